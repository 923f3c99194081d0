"""Making directories and giving owners in a root filesystem that is only described, as COPY, ADD and WORKDIR do."""

import errno
from collections.abc import Iterator

from builder.sandbox.users import UserError, has_names, owner, unknown_names
from layers.entry import Entry, Kind, parents
from layers.errors import PybuildError
from layers.tree import Tree, read_file, resolve
from layers.tuples import NamedTuple

MAX_ACCOUNTS = 10 << 20
"""A passwd or group file larger than this is refused, as BuildKit refuses it (reference part L)."""

_ACCOUNTS = (b"etc/passwd", b"etc/group")
_CIRCLE = "its links lead in a circle"
_SET_GID = 0o2000

MAX_DEPTH = 256
"""As ``layers.descent`` has it, which a build without anything to unpack does not import."""

Owner = tuple[int, int]


class CannotPlace(PybuildError):
    """What is copied does not fit what is there."""

    code = "cannot-place"


def show(path: bytes) -> str:
    return "/" + path.decode(errors="backslashreplace")


def encode(path: str) -> bytes:
    return path.encode(errors="surrogateescape")


def find_owner(spec: str, tree: Tree) -> Owner:
    """(uid, gid) of a ``--chown`` word or a USER in the root filesystem ``tree``.

    An unknown name is as good as none, as in BuildKit; on a root filesystem that is still empty it is an error there
    too. ``root`` is 0, whatever the files say.
    """
    spec = _numbered(spec)
    if has_names(spec) and not tree.children(b""):
        raise PybuildError(
            f"invalid user {spec!r}: the root filesystem is still empty, so it has no names",
            hint="use numbers",
            code="unknown-user",
        )
    try:
        passwd, group = (_accounts(tree, path) for path in _ACCOUNTS)
        return owner(spec, passwd, group)
    except UserError as error:
        raise PybuildError(str(error), hint="give a smaller number, or a name", code="unknown-user") from error


def _numbered(spec: str) -> str:
    return ":".join("0" if word == "root" else word for word in spec.split(":", 1))


def unknown_owners(spec: str, tree: Tree) -> tuple[str, ...]:
    """The names in a ``--chown`` word or a USER that ``tree`` does not know, each with what it should name."""
    spec = _numbered(spec)
    if not has_names(spec):
        return ()
    passwd, group = (_accounts(tree, path) for path in _ACCOUNTS)
    return unknown_names(spec, passwd, group)


def can_find(spec: str, tree: Tree) -> bool:
    """Whether ``find_owner`` has all it needs in ``tree``. Indexes of layers have the bytes of the two files of names
    at their usual paths only: behind a link they are told to be there, but cannot be read."""
    return not has_names(_numbered(spec)) or all(_is_readable(tree.lookup(resolve(tree, path))) for path in _ACCOUNTS)


def _is_readable(entry: Entry | None) -> bool:
    return entry is None or entry.kind is not Kind.FILE or not entry.size or entry.source is not None


def _accounts(tree: Tree, path: bytes) -> bytes:
    try:
        return read_file(tree, resolve(tree, path), MAX_ACCOUNTS) or b""
    except ValueError as error:
        raise PybuildError(str(error), hint="give a smaller number, or a name", code="unknown-user") from error


def destination(dest: str, tree: Tree) -> bytes:
    """Where ``dest`` is in ``tree`` once links are followed. Raises CannotPlace when they lead in a circle."""
    try:
        return resolve(tree, encode(dest))
    except OSError as error:
        raise CannotPlace(f"{dest}: {error.strerror}", hint=_CIRCLE if error.errno == errno.ELOOP else None) from error


class NewDirectory(NamedTuple):
    """How a missing directory is made: ``owner`` None is root's, with the group of a set-group-id parent."""

    mode: int
    owner: Owner | None
    mtime_ns: int

    def make(self, path: bytes, above: Entry | None) -> Entry:
        """A set-group-id directory hands its group and the bit on to what is made in it (inode(7))."""
        uid, gid = self.owner or (0, 0)
        mode = self.mode
        if above is not None and above.mode & _SET_GID:
            mode |= _SET_GID
            gid = gid if self.owner is not None else above.gid
        return Entry(path, Kind.DIRECTORY, mode, uid, gid, self.mtime_ns)


def check_depth(path: bytes) -> None:
    """Raises CannotPlace for a directory that no layer can be unpacked into: it would only be found out later."""
    if path.count(b"/") >= MAX_DEPTH:
        raise CannotPlace(
            f"{show(path[:80])}... lies in more than {MAX_DEPTH} directories", hint="leave it out with .dockerignore"
        )


def chain(tree: Tree, path: bytes, new: NewDirectory) -> Iterator[Entry]:
    """The directories above ``path`` and ``path`` itself, outermost first: as they are in ``tree``, or newly made.

    The root is not among them. No part of ``path`` is a link (see layers.tree.resolve). Raises CannotPlace for a part
    that is no directory.
    """
    above: Entry | None = tree.lookup(b"")
    missing = False
    for part in (*parents(path), path) if path else ():
        here = None if missing else tree.lookup(part)
        if here is None:
            missing = True
            here = new.make(part, above)
        elif here.kind is not Kind.DIRECTORY:
            raise CannotPlace(
                f"cannot make {show(path)}: {show(part)} is not a directory",
                hint=f"it is a {here.kind.value} in the image so far",
            )
        yield here
        above = here
