"""The value carried down a stage, from its FROM line to its last instruction. Pure."""

from typing import Self

from builder.plan.graph import NodeId
from builder.plan.growing import Assignments, Growing, Variables
from layers.image import History, ImageConfig, Platform
from layers.tuples import NamedTuple

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of an image that sets none."""

COMMENT = "buildkit.dockerfile.v0"
"""Comment of every history entry: tools recognise BuildKit's images by it."""

UNEXPLAINED = "buildkit.exporter.image.v0"
"""Comment of the entry for a layer that no instruction made."""

NO_VARIABLES = Variables()
NO_ARGS: Growing[tuple[str, str | None]] = Growing()
NO_HISTORY: Growing[tuple[History, NodeId | None]] = Growing()


class Named(NamedTuple):
    """What an image's config says by name."""

    env: Assignments
    labels: Assignments


class StageState(NamedTuple):
    """``config`` is what the image would have if the stage ended here, but for ``named``, of which there may be much;
    its ``history`` is the base's. ``finished`` puts them together.
    """

    node: NodeId
    """Whose root filesystem the next step stands on."""
    config: ImageConfig
    named: Named
    env: Variables = NO_VARIABLES
    """What a RUN's environment would have: ENV and ARG, in the order they were last set."""
    args: Growing[tuple[str, str | None]] = NO_ARGS
    """Every ARG seen, in order, those of parent stages first."""
    cmd_set: bool = False
    """CMD was written in this very stage, so ENTRYPOINT leaves it."""
    history: Growing[tuple[History, NodeId | None]] = NO_HISTORY
    """Entries added since the base, with the node that made the layer."""
    position: int = 0
    """Shown steps so far in this stage."""

    @property
    def workdir(self) -> str:
        return absolute("/", self.config.workdir)

    def with_env(self, name: str, value: str) -> Self:
        """Sets a variable of the commands that follow; the config is untouched."""
        return self._replace(env=self.env.assign(name, value))

    def noted(self, text: str, node: NodeId | None = None) -> Self:
        """With a history entry; ``node`` made a layer, which the next step stands on."""
        entry = History(created_by=text, comment=COMMENT, empty_layer=node is None)
        return self._replace(history=self.history.plus((entry, node)), node=self.node if node is None else node)

    def finished(self) -> ImageConfig:
        """The whole config."""
        return self.config._replace(env=self.named.env.pairs, labels=self.named.labels.pairs)


def scratch(node: NodeId, platform: Platform) -> StageState:
    """FROM scratch."""
    return _begin(_split(node, ImageConfig(platform, workdir="/")))


def from_image(node: NodeId, config: ImageConfig) -> StageState:
    """FROM an image: its triggers run (elsewhere) and are gone, and its date is not that of what is built on it."""
    workdir = absolute("/", config.workdir) if config.workdir else ""
    if workdir and config.workdir.startswith("/"):
        workdir = config.workdir
    return _begin(_split(node, config._replace(diff_ids=(), onbuild=(), created=None, workdir=workdir)))


def from_stage(parent: StageState) -> StageState:
    """FROM a stage: its variables come along, but where ARG had hidden ENV the value of ENV returns."""
    config = parent.config._replace(onbuild=())
    return _begin(parent._replace(config=config, cmd_set=False, position=0))


def _split(node: NodeId, config: ImageConfig) -> StageState:
    named = Named(Assignments(config.env), Assignments(config.labels))
    return StageState(node, config._replace(env=(), labels=()), named)


def _begin(state: StageState) -> StageState:
    env = state.named.env
    if "PATH" not in env:
        env = env.assign("PATH", DEFAULT_PATH)
        state = state._replace(named=state.named._replace(env=env))
    for name, value in env.pairs:
        state = state.with_env(name, value)
    return state


def absolute(directory: str, path: str) -> str:
    """``path`` below ``directory`` unless it is absolute; without ``.``, ``..`` and empty parts."""
    done: list[str] = []
    for part in (path if path.startswith("/") else f"{directory}/{path}").split("/"):
        if part == "..":
            del done[-1:]
        elif part not in {"", "."}:
            done.append(part)
    return "/" + "/".join(done)
