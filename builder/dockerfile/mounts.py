"""The comma-separated values of ``RUN --mount``. Pure.

Which keys a mount has and when one is refused: BuildKit's frontend (reference 1.9). Keys are read in the order
written, so ``required`` and ``size`` have to come after the type they belong to.
"""

import re
from collections.abc import Callable

from builder.dockerfile.flags import nearest
from builder.units import parse_size
from layers.tuples import NamedTuple

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARING = ("shared", "private", "locked")
_KEYS = (
    *("type", "from", "source", "src", "target", "dst", "destination", "ro", "readonly", "rw", "readwrite"),
    *("id", "sharing", "size", "required", "mode", "uid", "gid", "env"),
)
_SAME = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "readonly": "ro",
    "readwrite": "rw",
}
_SWITCHES = frozenset({"ro", "rw", "required"})
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_MAX_NUMBER = 2**32 - 1
_DECIMAL = r"[0-9]+\Z"
_OCTAL = r"[0-7]+\Z"
_IDLE = {
    "bind": ("id", "size", "env"),
    "cache": ("env",),
    "tmpfs": ("from", "source", "id", "env"),
    "secret": (),
    "ssh": ("from", "env"),
}
"""Keys that a type takes and that change nothing."""


class MountError(ValueError):
    """A value that cannot be understood."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Mount(NamedTuple):
    """One ``--mount``, its variables expanded. Empty texts are keys that were not given."""

    type: str = "bind"
    stage: str = ""
    """``from``: a stage, an image or a named context."""
    source: str = ""
    target: str = ""
    read_only: bool = True
    id: str = ""
    sharing: str = ""
    size: int = 0
    required: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    env: str | None = None
    idle: tuple[str, ...] = ()
    """Keys that were given and have no effect."""


def fields(value: str) -> tuple[str, ...]:
    """The fields of one line of comma-separated values: a field in double quotes may hold commas, ``""`` is a quote."""
    found: list[str] = []
    rest = value
    while True:
        if not rest.startswith('"'):
            field, comma, rest = rest.partition(",")
            if '"' in field:
                raise MountError(f"a double quote stands inside the field {field}", "put the whole field in quotes")
        else:
            field, comma, rest = _quoted(rest)
        found.append(field)
        if comma == "":
            return tuple(found)


def _quoted(text: str) -> tuple[str, str, str]:
    out: list[str] = []
    at = 1
    while True:
        end = text.find('"', at)
        if end < 0:
            raise MountError(f"a double quote is not closed in {text}", "close it, or leave both out")
        out.append(text[at:end])
        if text.startswith('""', end):
            out.append('"')
            at = end + 2
            continue
        rest = text[end + 1 :]
        if rest != "" and not rest.startswith(","):
            raise MountError(f"text stands behind the quoted field in {text}", "put the whole field in quotes")
        return "".join(out), rest[:1], rest[1:]


def check_unexpanded(value: str) -> None:
    """What can be said of a mount before its variables are known: its fields, and that ``from`` has no variable."""
    for field in fields(value):
        key, _, text = field.partition("=")
        if key.lower() == "from" and "$" in text[:-1]:
            raise MountError(
                f"the mount key from={text}: variables are not expanded here",
                "give the image a name with FROM ... AS name, where global ARGs are expanded, and use that name",
            )


def mount_from(value: str) -> str:
    """What ``from`` names, "" when there is none. For a value that ``check_unexpanded`` took."""
    found = ""
    for field in fields(value):
        key, equals, text = field.partition("=")
        if equals and key.lower() == "from":
            found = text
    return found


def parse_mount(value: str, expand: Callable[[str], str]) -> Mount:
    """``expand`` replaces the variables of one value. Raises MountError, and what ``expand`` raises."""
    mount = Mount()
    given: dict[str, None] = {}
    for field in fields(value):
        key, equals, text = field.partition("=")
        key = _SAME.get(key.lower(), key.lower())
        if not equals and key not in _SWITCHES:
            if not field:
                raise MountError("a mount field is empty", "leave no blank after a comma, and no comma at the end")
            hint = _near(key, _KEYS) if key not in _KEYS else f"write {key}=VALUE"
            raise MountError(f"the mount field {field} needs a value", hint)
        mount = _with(mount, key, field, (text if key == "from" else expand(text)) if equals else "true")
        given[key] = None
    return _checked(mount, given)


def _with(mount: Mount, key: str, field: str, value: str) -> Mount:
    reader = _READERS.get(key)
    if reader is None:
        raise MountError(f"a mount has no key {key or 'without a name'} ({field})", _near(key, _KEYS))
    return reader(mount, field, value)


def _type(mount: Mount, _: str, value: str) -> Mount:
    if value.lower() not in TYPES:
        raise MountError(f"there is no mount type {value or 'without a name'}", _near(value.lower(), TYPES))
    return mount._replace(type=value.lower())


def _sharing(mount: Mount, _: str, value: str) -> Mount:
    if value.lower() not in SHARING:
        raise MountError(f"there is no sharing {value or 'without a name'}", _near(value.lower(), SHARING))
    return mount._replace(sharing=value.lower())


def _required(mount: Mount, field: str, value: str) -> Mount:
    if mount.type not in {"secret", "ssh"}:
        raise MountError(f"a {mount.type} mount has no key required", _order("required", "secret"))
    return mount._replace(required=parse_switch(field, value))


_Reader = Callable[[Mount, str, str], Mount]


def _octal(mount: Mount, field: str, value: str) -> Mount:
    return mount._replace(mode=_number(field, value, _OCTAL, 8, "an octal number: mode=0755"))


def _decimal(field: str, value: str) -> int:
    return _number(field, value, _DECIMAL, 10, "a number: 1000")


_READERS: dict[str, _Reader] = {
    "type": _type,
    "from": lambda mount, _, value: mount._replace(stage=value),
    "source": lambda mount, _, value: mount._replace(source=value),
    "target": lambda mount, _, value: mount._replace(target=value),
    "ro": lambda mount, field, value: mount._replace(read_only=parse_switch(field, value)),
    "rw": lambda mount, field, value: mount._replace(read_only=not parse_switch(field, value)),
    "required": _required,
    "size": lambda mount, field, value: mount._replace(size=_size(mount, field, value)),
    "id": lambda mount, _, value: mount._replace(id=value),
    "sharing": _sharing,
    "mode": _octal,
    "uid": lambda mount, field, value: mount._replace(uid=_decimal(field, value)),
    "gid": lambda mount, field, value: mount._replace(gid=_decimal(field, value)),
    "env": lambda mount, _, value: mount._replace(env=value),
}


_NO_OWNERS = {
    "bind": "files are mounted as they are: COPY them with --chmod or --chown, or mount them rw and change them there",
    "tmpfs": "it belongs to root and anybody may write to it: change that within the RUN",
}


def _checked(mount: Mount, given: dict[str, None]) -> Mount:
    for key in ("mode", "uid", "gid"):
        if key in given and mount.type in {"bind", "tmpfs"}:
            raise MountError(f"a {mount.type} mount has no key {key}", _NO_OWNERS[mount.type])
    if mount.sharing and mount.type != "cache":
        raise MountError(f"a {mount.type} mount has no key sharing", "it is for type=cache")
    if mount.type == "secret":
        _check_secret(mount, given)
    if mount.type == "ssh" and mount.source:
        raise MountError("an ssh mount has no source", "name the agent of --ssh with id=")
    if "ro" not in given and "rw" not in given:
        mount = mount._replace(read_only=mount.type not in {"cache", "tmpfs"})
    return mount._replace(idle=tuple(key for key in given if key in _IDLE[mount.type]))


def _check_secret(mount: Mount, given: dict[str, None]) -> None:
    if mount.stage:
        raise MountError("a secret mount has no key from", "its bytes come from --secret id=...")
    if not (mount.source or mount.target or mount.id):
        raise MountError("a secret mount needs an id or a target", "write type=secret,id=NAME")
    if mount.source and mount.id:
        raise MountError("a secret mount has both id and source, which mean the same", "keep id")
    if "env" in given and not mount.env:
        raise MountError("the mount key env is empty", "write env=NAME of the variable")


def parse_switch(field: str, value: str) -> bool:
    """As Go's strconv.ParseBool. Raises MountError."""
    if value not in _TRUE | _FALSE:
        raise MountError(f"the mount field {field} is neither true nor false", "write true or false")
    return value in _TRUE


def _size(mount: Mount, field: str, value: str) -> int:
    if mount.type != "tmpfs":
        raise MountError(f"a {mount.type} mount has no key size", _order("size", "tmpfs"))
    size = parse_size(value)
    if size is None:
        raise MountError(f"the mount field {field} is no size", "write bytes, or a number with a unit: size=64m")
    return size


def _number(field: str, value: str, digits: str, base: int, example: str) -> int:
    if not re.match(digits, value) or len(value.lstrip("0")) > 11 or int(value, base) > _MAX_NUMBER:
        raise MountError(f"the mount field {field} is no number", f"write {example}")
    return int(value, base)


def _order(key: str, kind: str) -> str:
    return f"it is for type={kind}, which has to stand before it: type={kind},{key}=..."


def _near(word: str, candidates: tuple[str, ...]) -> str:
    near = nearest(word, candidates)
    return f"did you mean {near}?" if near is not None else f"there are {', '.join(candidates)}"
