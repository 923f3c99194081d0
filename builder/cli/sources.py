"""Reads what a build is made from: the Dockerfile and the ignore files, found by Docker's rules."""

import os
import sys
from collections.abc import Callable, Mapping
from threading import Event
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

from builder.grants import NO_GRANTS, Grants
from builder.request import BuildRequest, IgnoreFile
from builder.settings import BuildFiles, FlagError, UnsupportedFlag, absolute
from builder.textfile import MAX_TEXT, read_ignores, read_text
from layers.tuples import NamedTuple

if TYPE_CHECKING:
    from builder.fetch.remote import Remote
    from layers.store import Store
    from registry.session import Session

_HTTP = ("http://", "https://")
_NAMES = ("Dockerfile", "dockerfile")
_POLICY = ".rego"
STDIN = "standard input"
Environ = Mapping[str, str]
NOTHING: Environ = MappingProxyType({})
_NAMED = "it is looked for from the working directory, not the context"


class Staging:
    """Where inputs that are no directory are unpacked: within the store, which is opened for it when first asked.

    Context manager; what was unpacked goes at its end, or when the next process opens the store.
    """

    def __init__(
        self,
        root: str,
        connect: "Callable[[], Session] | None" = None,
        environ: Environ = NOTHING,
        grants: Grants = NO_GRANTS,
        tell: Callable[[str, bool], None] = lambda what, start: None,
    ) -> None:
        self._root = root
        self._grants = grants
        self._tell = tell
        self._connect = connect
        self._environ = environ
        self._store: Store | None = None
        self._session: Session | None = None

    @property
    def store(self) -> "Store":
        if self._store is None:
            from layers.store import Store

            self._store = Store.open(self._root)
        return self._store

    def directory(self) -> str:
        """A path nobody has; the caller makes it."""
        return self.store.temporary("context")

    def remote(self) -> "Remote":
        """What fetches for the command line itself, before there is a build."""
        from builder.fetch.remote import Remote
        from builder.solve.secrets import Secrets

        session = self._open if self._connect is not None else None
        return Remote(self.store, session, Event(), self._environ, Secrets(self._grants.secrets).get, self._tell)

    def _open(self) -> "Session":
        if self._session is None:
            assert self._connect is not None
            self._session = self._connect()
        return self._session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._session is not None:
            self._session.close()
        if self._store is not None:
            self._store.close()


class Inputs(NamedTuple):
    """What the command line says of them, as given."""

    context: str
    file: str | None
    ignorefiles: tuple[str, ...]
    cwd: str
    keep_git_dir: bool = False
    commit_times: bool = False
    """Files of a repository get its commit's time."""
    policed: bool = False
    """A policy beside the Dockerfile would have to be heeded."""
    needs_dockerfile: bool = True
    """False: without one there is an empty one."""


def read_files(given: Inputs, staging: Staging) -> BuildFiles:
    """Raises FlagError, PybuildError for an archive that cannot be unpacked, and OSError for what cannot be read."""
    if given.context == "-":
        files = _from_stdin(given, staging)
    elif (root := _directory(given.context, given.cwd)) is not None:
        files = _from_directory(given, root, staging)
    else:
        files = _fetched(given, staging)
    if given.ignorefiles:
        files = files._replace(ignores=tuple(_named_ignore(name, given.cwd) for name in given.ignorefiles))
    return files


def _from_directory(given: Inputs, root: str, staging: Staging) -> BuildFiles:
    usual = os.path.join(root, ".dockerignore")
    if given.file is None:
        found = _find(given.context, root)
        if found is None and given.needs_dockerfile:
            raise FlagError(f"there is no Dockerfile in {given.context}", hint="name another file with -f")
        if found is None:
            return BuildFiles(root, _NAMES[0], b"", _ignores(root, usual))
        shown, path = found
    elif given.file == "-":
        return BuildFiles(root, STDIN, _dockerfile_from_stdin(), _ignores(root, usual))
    elif given.file.startswith(_HTTP):
        return BuildFiles(root, given.file, _download(given.file, staging), _ignores(root, usual))
    else:
        shown, path = _cased(given.file, given.cwd)
    _check_policy(given, shown, os.path.exists(path + _POLICY))
    # NAME.dockerignore beside the Dockerfile replaces the context's .dockerignore, even when empty.
    ignores = _ignores(root, path + ".dockerignore", usual)
    return BuildFiles(root, shown, _read(path, shown, named=given.file is not None), ignores)


def _from_stdin(given: Inputs, staging: Staging) -> BuildFiles:
    """An archive is the context, anything else the Dockerfile of a build without one."""
    from builder.fetch.archives import is_archive, read_all, read_head, unpack_context

    if given.file == "-":
        raise FlagError(
            "context and Dockerfile cannot both come from standard input", hint="put the Dockerfile into the archive"
        )
    head, read = read_head(sys.stdin.buffer.read)
    if not head:
        raise FlagError("there is nothing on standard input", hint="pipe a tar archive or a Dockerfile into pybuild")
    directory = staging.directory()
    if is_archive(head):
        unpack_context(read, directory, STDIN)
        return _unpacked(directory, given.file, given, staging)
    if given.file is not None:
        raise FlagError(
            f"standard input and --file {given.file} both give a Dockerfile",
            hint="leave one of them out; an archive on standard input would be the context",
        )
    os.mkdir(directory, 0o700)
    return BuildFiles(directory, STDIN, _limited(read_all(read, MAX_TEXT + 1)), (), unpacked=True)


def _fetched(given: Inputs, staging: Staging) -> BuildFiles:
    """From a repository, or over HTTP: an archive or a Dockerfile."""
    from builder.fetch.remote import DOCKERFILE, fetch_context

    found = fetch_context(
        given.context, staging.remote(), keep_git_dir=given.keep_git_dir, commit_times=given.commit_times
    )
    if given.file is not None and given.file.startswith("/"):
        # As in buildx, a file of this machine: an address has no root.
        shown, path = _cased(given.file, given.cwd)
        _check_policy(given, shown, os.path.exists(path + _POLICY))
        return BuildFiles(found.directory, shown, _read(path, shown, named=True), (), unpacked=True)
    if found.single and given.file is None:
        return _unpacked(found.directory, DOCKERFILE, given, staging)
    return _unpacked(found.directory, given.file, given, staging)


def _download(url: str, staging: Staging) -> bytes:
    """A Dockerfile."""
    remote = staging.remote()
    found = remote.http().fetch(url)
    with remote.store.blobs.open(found.digest) as blob:
        from builder.fetch.archives import read_all

        return _limited(read_all(blob.read, MAX_TEXT + 1))


def _unpacked(directory: str, file: str | None, given: Inputs, staging: Staging) -> BuildFiles:
    """The Dockerfile is in the context. Ignore files of what is no directory of the user's are not applied (reference
    part 2)."""
    from builder.cli.inside import read_inside

    if file == "-":
        return BuildFiles(directory, STDIN, _dockerfile_from_stdin(), (), unpacked=True)
    if file is not None and file.startswith(_HTTP):
        return BuildFiles(directory, file, _download(file, staging), (), unpacked=True)
    for name in _spellings(file):
        text = read_inside(directory, name, MAX_TEXT)
        if text is not None:
            _check_policy(given, name, read_inside(directory, name + _POLICY, MAX_TEXT) is not None)
            return BuildFiles(directory, name, _limited(text), (), unpacked=True)
    if not given.needs_dockerfile:
        return BuildFiles(directory, _NAMES[0], b"", (), unpacked=True)
    hint = "name another file with -f" if file is None else "-f names a file in the context, unless that is a directory"
    what = STDIN if given.context == "-" else given.context
    raise FlagError(f"there is no {file or 'Dockerfile'} in the context from {what}", hint=hint)


def _dockerfile_from_stdin() -> bytes:
    text = sys.stdin.buffer.read(MAX_TEXT + 1)
    if not text:
        raise FlagError("there is no Dockerfile on standard input", hint="pipe one into pybuild")
    return _limited(text)


def _limited(text: bytes) -> bytes:
    if len(text) > MAX_TEXT:
        raise FlagError(f"the Dockerfile has more than {MAX_TEXT >> 20} MiB", hint="COPY large files")
    return text


def _directory(context: str, cwd: str) -> str | None:
    """None for what is to be fetched. A directory comes first, whatever its name looks like."""
    root = absolute(cwd, context)
    if os.path.isdir(root):
        return root
    if "/" in context or ":" in context:
        from builder.fetch.remote import is_remote

        if is_remote(context):
            return None
    hint = "the argument is the directory whose files COPY takes, often just ."
    if os.path.isfile(root):
        hint += f"; an archive is read from standard input: pybuild - < {context}"
    raise FlagError(f"{context}: {'is not a directory' if os.path.exists(root) else 'no such directory'}", hint=hint)


def _spellings(file: str | None) -> tuple[str, ...]:
    """A Dockerfile may be called dockerfile, wherever it is."""
    if file is None:
        return _NAMES
    head, slash, name = file.rpartition("/")
    return (file, f"{head}{slash}{_NAMES[1]}") if name == _NAMES[0] else (file,)


def _cased(file: str, cwd: str) -> tuple[str, str]:
    """As shown, and as it is spelt on the disk."""
    for name in _spellings(file):
        path = absolute(cwd, name)
        if os.path.exists(path):
            return name, path
    return file, absolute(cwd, file)


def _check_policy(given: Inputs, shown: str, found: bool) -> None:
    """buildx takes it up without being asked to (reference 4.1). Raises UnsupportedFlag."""
    if found and given.policed:
        raise UnsupportedFlag(
            f"the policy {shown}{_POLICY}", "--policy disabled=true builds without it, as the file's absence does"
        )


def _find(context: str, root: str) -> tuple[str, str] | None:
    for name in _NAMES:
        path = os.path.join(root, name)
        if os.path.exists(path):
            return absolute("", os.path.join(context, name)), path
    return None


def _read(path: str, shown: str, *, named: bool) -> bytes:
    if os.path.isdir(path):
        raise FlagError(f"--file {shown} is a directory", hint="name the Dockerfile itself")
    try:
        return read_text(path, special=named)
    except FileNotFoundError as error:
        raise FlagError(f"--file {shown}: no such file", hint=_NAMED) from error


def _ignores(root: str, *paths: str) -> tuple[IgnoreFile, ...]:
    """The first of ``paths`` that is there; shown without ``root``, where it lies in it. A directory is none."""
    for path in paths:
        text = read_ignores(path)
        if text is None:
            continue
        return (IgnoreFile(path.removeprefix(os.path.join(root, "")), text),)
    return ()


def _named_ignore(name: str, cwd: str) -> IgnoreFile:
    try:
        return IgnoreFile(name, read_text(absolute(cwd, name), special=True))
    except FileNotFoundError as error:
        raise FlagError(f"--ignorefile {name}: no such file", hint=_NAMED) from error


def check_contexts(request: BuildRequest) -> None:
    """Raises FlagError for a named context that isn't there."""
    for named in request.build_contexts:
        if named.kind not in {"local", "oci-layout"}:
            continue
        if not (os.path.isdir if named.kind == "local" else os.path.exists)(named.path):
            raise FlagError(f"--build-context {named.name}: there is no directory {named.path}")
