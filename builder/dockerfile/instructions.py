"""The typed, immutable form of a Dockerfile. Words are as written: nothing is expanded here.

``text`` is the instruction in one line as it is shown to people (continuations joined, heredoc bodies left out).
"""

from builder.errors import Span
from layers.tuples import NamedTuple


class Heredoc(NamedTuple):
    """``expand``: the delimiter was not quoted. ``chomp``: ``<<-`` (tabs already stripped from ``body``).

    ``raw``: the body as it stands in the file, with those tabs; a shell that handles the heredoc itself gets this.
    """

    name: str
    body: str
    expand: bool
    chomp: bool
    fd: int | None = None
    raw: str = ""


class From(NamedTuple):
    span: Span
    text: str
    image: str
    platform: str | None
    name: str | None


class Arg(NamedTuple):
    """``items``: (name, default or None) in order; names are as written, defaults unexpanded with quotes."""

    span: Span
    text: str
    items: tuple[tuple[str, str | None], ...]


class Env(NamedTuple):
    """``pairs``: raw (key, value), quotes kept. ``legacy``: the ``ENV key rest of line`` form."""

    span: Span
    text: str
    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False


class Label(NamedTuple):
    span: Span
    text: str
    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False


class Run(NamedTuple):
    """``command``: one string in shell form, else the words. Mounts are the raw values of ``--mount``."""

    span: Span
    text: str
    command: tuple[str, ...]
    shell_form: bool
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[str, ...] = ()
    network: str | None = None
    security: str | None = None
    devices: tuple[str, ...] = ()


class Copy(NamedTuple):
    """``sources``: raw words; a Heredoc stands where its ``<<NAME`` stood. ``json_form``: words came as a JSON list."""

    span: Span
    text: str
    sources: tuple[str | Heredoc, ...]
    dest: str
    json_form: bool = False
    from_stage: str | None = None
    chown: str | None = None
    chmod: str | None = None
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()


class Add(NamedTuple):
    span: Span
    text: str
    sources: tuple[str | Heredoc, ...]
    dest: str
    json_form: bool = False
    chown: str | None = None
    chmod: str | None = None
    link: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str | None = None
    keep_git_dir: bool | None = None
    unpack: bool | None = None


class Workdir(NamedTuple):
    span: Span
    text: str
    path: str


class User(NamedTuple):
    span: Span
    text: str
    user: str


class Expose(NamedTuple):
    """``ports``: the raw words, sorted as text, which is the order of the image's history."""

    span: Span
    text: str
    ports: tuple[str, ...]


class Volume(NamedTuple):
    span: Span
    text: str
    paths: tuple[str, ...]


class Cmd(NamedTuple):
    """``command``: one string in shell form ("" when bare), else the words; an empty tuple for ``CMD []``."""

    span: Span
    text: str
    command: tuple[str, ...]
    shell_form: bool


class Entrypoint(NamedTuple):
    span: Span
    text: str
    command: tuple[str, ...]
    shell_form: bool


class Shell(NamedTuple):
    span: Span
    text: str
    command: tuple[str, ...]


class StopSignal(NamedTuple):
    span: Span
    text: str
    signal: str


class HealthcheckInstruction(NamedTuple):
    """``test`` is ("NONE",), ("CMD", words...) or ("CMD-SHELL", text). Durations in nanoseconds, 0 when not given."""

    span: Span
    text: str
    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class Onbuild(NamedTuple):
    """``trigger``: the instruction's text with its heredoc bodies, as stored in a config and parsed again later."""

    span: Span
    text: str
    trigger: str


class Maintainer(NamedTuple):
    span: Span
    text: str
    name: str


Instruction = (
    Arg
    | Env
    | Label
    | Run
    | Copy
    | Add
    | Workdir
    | User
    | Expose
    | Volume
    | Cmd
    | Entrypoint
    | Shell
    | StopSignal
    | HealthcheckInstruction
    | Onbuild
    | Maintainer
)


class Stage(NamedTuple):
    """``name`` is lower-cased, None when the stage has none."""

    number: int
    name: str | None
    base: From
    instructions: tuple[Instruction, ...]
    span: Span


class Dockerfile(NamedTuple):
    """``warnings``: (message, span), for what is accepted but almost surely not meant."""

    global_args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    escape: str
    warnings: tuple[tuple[str, Span], ...]
    source: str
