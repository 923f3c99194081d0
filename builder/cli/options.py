"""The options of ``pybuild build`` and ``pybuild plan``, as data: click's are made of it by ``cli.flags``, and
``cli.quick`` reads a plain command line by it."""

from typing import Literal

from layers.tuples import NamedTuple


class Option(NamedTuple):
    """``kind``: a value, of which the last one counts; values, kept in a tuple; a switch. ``complete`` says what a
    shell offers for the value, by a name of ``cli.completers``."""

    names: tuple[str, ...]
    kind: Literal["value", "list", "switch"]
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    default: str | None = None
    complete: str = ""

    @property
    def key(self) -> str:
        """The name of what is given, in Python."""
        return self.names[-1].lstrip("-").replace("-", "_")

    @property
    def nothing(self) -> str | bool | tuple[str, ...] | None:
        """What stands for the option when it is not given."""
        match self.kind:
            case "list":
                return ()
            case "switch":
                return False
            case _:
                return self.default


PLAN = (
    Option(
        ("-f", "--file"), "value", "Dockerfile (default: Dockerfile in PATH); - is standard input.", complete="files"
    ),
    Option(("--ignorefile",), "list", "Instead of .dockerignore; several are read as one.", "FILE", complete="files"),
    Option(("--target",), "value", "Stage to build (default: the last one).", complete="stages"),
    Option(("--build-arg",), "list", "Value of an ARG.", "NAME[=VALUE]"),
    Option(("--build-arg-file",), "list", "Lines of NAME=VALUE; --build-arg goes before.", "FILE", complete="files"),
    Option(("--label",), "list", "Label of the image.", "NAME=VALUE"),
    Option(("--platform",), "list", "Platform; only this machine's own is supported."),
    Option(("--no-cache",), "switch", "Run every step again."),
    Option(("--no-cache-filter",), "list", "Run every step of these stages again.", "STAGE[,STAGE]", complete="stages"),
    Option(("--build-context",), "list", "Directory, image, layout, address, stage.", "NAME=PLACE"),
    Option(
        ("--pull",),
        "value",
        "When registries are asked for bases (default: missing; --pull alone: always).",
        choices=("missing", "newer", "always", "never"),
        default="missing",
    ),
    Option(("--add-host",), "list", "Line in /etc/hosts of RUNs.", "NAME:ADDRESS"),
    Option(("--ulimit",), "list", "Limit of RUNs.", "NAME=SOFT[:HARD]"),
    Option(("--shm-size",), "value", "Size of /dev/shm in RUNs (default: 64m).", "SIZE"),
    Option(("--secret",), "list", "Secret for RUN --mount.", "id=ID[,src=FILE|,env=NAME]"),
    Option(("--ssh",), "list", "Agent for RUN --mount.", "default|ID[=SOCKET|KEY[,KEY]]"),
    Option(("--network",), "value", "Network of RUNs (default: the host's).", "default|none|host"),
    Option(("--allow",), "list", "network.host, security.insecure or device.", "RIGHT"),
    Option(("--root",), "value", "Where the store is (default: PYBUILD_ROOT).", "DIRECTORY", complete="directories"),
    Option(("-D", "--debug"), "switch", "Show tracebacks and every phase."),
)
"""What decides the plan."""

MODES = ("auto", "tty", "plain", "json", "rawjson", "quiet", "none")
"""Of ``--progress``."""

BUILD = (
    Option(("-t", "--tag"), "list", "Name of the image; may be repeated.", "NAME[:TAG]"),
    *PLAN,
    Option(("-o", "--output"), "list", "oci, docker, tar, local, image or registry.", "type=TYPE,dest=PATH"),
    Option(("--annotation",), "list", "Annotation of the image's manifest.", "[TYPE:]NAME=VALUE"),
    Option(("--load",), "switch", "Load the image into a Docker Engine."),
    Option(("--push",), "switch", "Push the image to the registries that its names say."),
    Option(("--iidfile",), "value", "Write the image id to a file.", "FILE", complete="files"),
    Option(("--metadata-file",), "value", "Write what was built to a file, as JSON.", "FILE", complete="files"),
    Option(("--digest-file",), "value", "Write the digest of the manifest to a file.", "FILE", complete="files"),
    Option(("--security-opt",), "list", "Run steps without a filter.", "seccomp=unconfined"),
    Option(("--progress",), "value", "How progress is shown (default: auto).", choices=MODES),
    Option(("-q", "--quiet"), "switch", "Print the image id only."),
)

PULLS = {
    "--pull": "--pull=always",
    **{f"--pull={word}": "--pull=always" for word in ("true", "1", "t", "T", "TRUE", "True")},
    **{f"--pull={word}": "--pull=missing" for word in ("false", "0", "f", "F", "FALSE", "False")},
}
"""--pull needs no value: buildx has a switch of this name, other tools a choice."""
