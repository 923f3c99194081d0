"""Parser directives: ``# syntax=``, ``# escape=``, ``# check=`` in the head of a Dockerfile. Pure."""

from builder.dockerfile.blanks import SPACE
from builder.errors import ParseError, Span, Unsupported
from layers.tuples import NamedTuple

_ASCII_SPACE = "\t\n\f\r "
_TRUE_FALSE = frozenset(("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"))
_BUILTIN = ("docker/dockerfile", "docker/dockerfile-upstream")


class Directive(NamedTuple):
    """``name`` is lower-case; ``value`` has its blanks trimmed and its case kept."""

    name: str
    value: str
    span: Span


class DirectiveReader:
    """Takes the lines from the first on, until one is no directive. ``escape`` is the character in force."""

    def __init__(self, path: str, escape: str) -> None:
        self.path = path
        self.escape = escape
        self.found: list[Directive] = []
        self._done = False

    def read(self, line: str, number: int) -> bool:
        """Whether this line, leading blanks trimmed, is a directive. ParseError for a repeated or malformed one."""
        if self._done:
            return False
        split = _split(line)
        if split is None:
            self._done = True
            return False
        name, value = split
        span = Span(self.path, number, number)
        if any(earlier.name == name for earlier in self.found):
            raise ParseError(
                f"the directive {name} stands twice", span=span, hint=f"keep one of the two # {name}= lines"
            )
        if name == "escape":
            if value not in ("\\", "`"):
                raise ParseError(
                    f"the escape character cannot be {value}", span=span, hint="it is a backslash or a backtick"
                )
            self.escape = value
        elif name == "check":
            validate_check(value, span)
        self.found.append(Directive(name, value, span))
        return True


def _split(line: str) -> tuple[str, str] | None:
    """Name and value of ``# name = value`` when the name is that of a directive."""
    if not line.startswith("#"):
        return None
    name, equals, value = line[1:].lstrip(SPACE).partition("=")
    name = name.rstrip(_ASCII_SPACE).lower()
    value = value.strip(_ASCII_SPACE)
    if equals == "" or value == "" or name not in ("syntax", "escape", "check"):
        return None
    return name, value


def validate_check(value: str, span: Span | None) -> None:
    """``skip=A,B;error=true;experimental=all``, each at most once or so; names of rules are not looked at."""
    for option in value.split(";", 2):
        name, equals, setting = option.partition("=")
        if equals == "" or name.strip(SPACE) not in ("skip", "experimental", "error"):
            raise ParseError(
                f"the directive check has no option {option.strip(SPACE)}",
                span=span,
                hint="the options are skip=, error= and experimental=, separated by ;",
            )
        if name.strip(SPACE) == "error" and setting.strip(SPACE) not in _TRUE_FALSE:
            raise ParseError(
                f"error={setting.strip(SPACE)} is neither true nor false", span=span, hint="write error=true"
            )


def unheeded_checks(directives: tuple[Directive, ...]) -> list[tuple[str, Span]]:
    """A warning when the file wants to fail by build checks, which pybuild does not have."""
    for each in directives:
        options = dict(option.partition("=")[::2] for option in each.value.replace(" ", "").split(";"))
        fails = options.get("error", "").lower() in {"1", "t", "true"}
        if each.name == "check" and fails and options.get("skip", "").lower() != "all":
            return [("check=error=true has no effect: there are no build checks yet, so none can fail", each.span)]
    return []


def require_builtin_syntax(source: str, directives: tuple[Directive, ...], path: str) -> None:
    """Unsupported when the file asks for a frontend other than Docker's own, whose language this is.

    A mirror of Docker's frontend counts as such. Other frontends are also asked for by ``// syntax=`` and by a JSON
    document with that key; a first line that begins with ``#!`` is not looked at.
    """
    found = next(((each.value, each.span) for each in directives if each.name == "syntax"), None)
    if found is None:
        found = _foreign_syntax(source, path)
    if found is None:
        return
    value, span = found
    if not is_builtin(value):
        image = value.split(" ", 1)[0]
        raise Unsupported(
            f"the syntax image {image} cannot be used: pybuild runs no frontend images",
            span=span,
            hint="pybuild reads the language of docker/dockerfile:1 itself",
        )


def is_builtin(value: str) -> bool:
    """Whether a ``syntax`` names Docker's own frontend, or a mirror of it."""
    repository = value.split(" ", 1)[0].partition("@")[0]
    head, slash, tail = repository.rpartition("/")
    repository = head + slash + tail.partition(":")[0]
    return any(repository == name or repository.endswith("/" + name) for name in _BUILTIN)


def _foreign_syntax(source: str, path: str) -> tuple[str, Span] | None:
    """A ``syntax`` that is no directive of the Dockerfile language: below ``#!``, or in another comment style."""
    if source[:2] not in ("#!", "//") and source[:1] != "{":
        return None
    first = 0
    lines = source.split("\n")
    if lines[0].startswith("#!"):
        first = 1
    for mark in ("#", "//"):
        for number, line in enumerate(lines[first:], first + 1):
            if not line.startswith(mark):
                break
            split = _split("#" + line.removeprefix(mark))
            if split is None:
                break
            if split[0] == "syntax":
                return split[1], Span(path, number, number)
    if source.startswith("{"):
        return _json_syntax(source, path)
    return None


def _json_syntax(source: str, path: str) -> tuple[str, Span] | None:
    import json

    try:
        document = json.loads(source)
    except (ValueError, RecursionError):
        return None
    value = document.get("syntax")
    return (value, Span(path, 1, 1)) if isinstance(value, str) else None
