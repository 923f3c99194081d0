"""Contexts that are fetched: repositories and files over HTTP, as directories made for the build.

Also what every kind of fetching works with. Neither git nor HTTP is touched before something is asked for.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from builder.fetch.giturl import GitSource, parse_git_url
from layers.tuples import NamedTuple

if TYPE_CHECKING:
    from builder.fetch.git import Git
    from builder.fetch.http import Http
    from layers.store import Store
    from registry.session import Session

DOCKERFILE = "context"
"""What BuildKit calls the only file of a context that is a Dockerfile."""
_HTTP = ("http://", "https://")


class Remote(NamedTuple):
    """``session`` opens connections, None: the network may not be used. ``environ``: variables of the user, for git.
    ``secret``: values of the build's secrets by id."""

    store: "Store"
    session: "Callable[[], Session] | None" = None
    cancelled: Event = Event()  # never set: a default for callers who do not cancel
    environ: Mapping[str, str] = {}
    secret: Callable[[str], bytes | None] = lambda _: None
    tell: Callable[[str, bool], None] = lambda what, start: None
    """Told of what is fetched before there are steps: that it begins, and that it has ended."""

    @contextmanager
    def telling(self, what: str) -> Iterator[None]:
        from registry.errors import redact

        self.tell(redact(what), True)
        yield
        self.tell(redact(what), False)

    def http(self) -> "Http":
        from builder.fetch.http import Http

        return Http(self.store, self.session, self.cancelled, self.secret)

    def git(self) -> "Git":
        from builder.fetch.git import Git
        from builder.fetch.gitcommand import Command

        command = Command(self.environ, self.cancelled, self.secret)
        return Git(self.store.root, command, online=self.session is not None)


class Fetched(NamedTuple):
    """``directory`` holds the context. ``single``: there is but one file in it, which was no archive."""

    directory: str
    single: bool = False


def is_remote(text: str) -> bool:
    """Whether a context is to be fetched; a directory of that name comes first, which is the caller's business.

    Raises BadGitUrl.
    """
    return text.startswith(_HTTP) or parse_git_url(text, shorthand=True) is not None


def fetch_context(
    text: str, remote: Remote, *, keep_git_dir: bool = False, commit_times: bool = False, unpacks: bool = True
) -> Fetched:
    """``text`` as ``is_remote`` knows it. ``commit_times``: files of a repository get its commit's time; ``unpacks``:
    an archive is not the only file. Raises PybuildError."""
    directory = remote.store.temporary("context")
    source = parse_git_url(text, shorthand=True)
    if source is not None and source.commit_times is None and commit_times:
        source = source._replace(commit_times=True)
    with remote.telling(text):
        if source is not None:
            return Fetched(_check_out(source, remote, directory, keep_git_dir=keep_git_dir))
        return _from_http(text, remote, directory, unpacks=unpacks)


def _check_out(source: GitSource, remote: Remote, directory: str, *, keep_git_dir: bool) -> str:
    git = remote.git()
    keeps = source.keep_git_dir if source.keep_git_dir is not None else keep_git_dir
    return git.check_out(source, git.resolve(source), directory, keep_git_dir=keeps)


def _from_http(url: str, remote: Remote, directory: str, *, unpacks: bool) -> Fetched:
    """An archive is unpacked, anything else is the only file."""
    from builder.fetch.archives import is_archive, read_head, unpack_context
    from registry.errors import redact

    found = remote.http().fetch(url)
    with remote.store.blobs.open(found.digest) as blob:
        head, read = read_head(blob.read)
        if unpacks and is_archive(head):
            unpack_context(read, directory, redact(url))
            return Fetched(directory)
        Path(directory).mkdir(0o700)
        file = Path(directory, DOCKERFILE)
        with file.open("xb") as out:
            while data := read(1 << 20):
                out.write(data)
        file.chmod(0o600)
        os.utime(file, (found.mtime, found.mtime))
    return Fetched(directory, single=True)
