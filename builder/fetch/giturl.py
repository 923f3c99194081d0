"""Addresses of git repositories, as sources of ADD and as build contexts: ``URL#ref:subdir`` and ``URL?ref=...``. Pure.

What is an address of a repository, and what the parts mean: BuildKit's util/gitutil, by reference 1.10.
"""

import posixpath
import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote, urlsplit

from layers.errors import PybuildError
from layers.tuples import NamedTuple

_SCP = re.compile(r"([a-zA-Z0-9_-]+)@([a-zA-Z0-9.-]+):(?!//)(.*)", re.ASCII | re.DOTALL)
_COMMIT = re.compile(r"[0-9a-f]{40}\Z|[0-9a-f]{64}\Z")
_CHECKSUM = re.compile(r"[0-9a-f]{1,64}\Z")
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|\Z)|\.\Z|/\Z|\A[-./]")
"""git-check-ref-format(1), and no name that git could take for an option."""
_HOST = re.compile(r"[A-Za-z0-9.:\[\]_%-]+\Z")
_SCHEMES = ("http", "https", "git", "ssh")
_TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
_FALSE = frozenset({"0", "f", "F", "false", "False", "FALSE"})
_SWITCHES = frozenset({"keep-git-dir", "submodules", "fetch-by-commit"})
SHORTHAND = "github.com/"


class BadGitUrl(PybuildError):
    """An address of a repository with something that cannot be meant."""

    code = "git-url"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint or "write it as https://HOST/PATH.git#REF:SUBDIR, each part once")


class GitSource(NamedTuple):
    """``remote`` is what git is asked for, without user name and password over HTTP; ``host`` is for credentials."""

    remote: str
    host: str
    ref: str = ""
    """A branch, a tag, ``refs/...`` or a full commit; "" for the default branch."""
    subdir: str = ""
    """Relative and cleaned; "" for the root."""
    checksum: str = ""
    """The first digits that the commit (or the annotated tag) must have."""
    keep_git_dir: bool | None = None
    submodules: bool = True
    commit_times: bool | None = None
    """Files get the commit's time, instead of that of the checkout; None where the address does not say."""
    foreign: bool = False
    """A submodule on another server: only credentials that are named for that go there."""
    userinfo: str = ""
    """``user:password`` as written in the address; percent-decoded."""

    @property
    def pinned(self) -> bool:
        return is_commit(self.ref)

    def __str__(self) -> str:
        tail = self.ref + (f":{self.subdir}" if self.subdir else "")
        return self.remote + (f"#{tail}" if tail else "")


def is_commit(ref: str) -> bool:
    """Whether it is a full commit id, which no server need be asked about."""
    return _COMMIT.match(ref) is not None


def parse_git_url(text: str, *, shorthand: bool = False) -> GitSource | None:
    """None for what is no address of a repository. ``shorthand``: ``github.com/x/y`` is one too (contexts).

    Raises BadGitUrl.
    """
    if text.startswith(("./", "../", "/", "-")):
        return None
    if shorthand and text.startswith(SHORTHAND):
        return _from_url("https://" + text)
    scp = _SCP.match(text)
    if scp is not None:
        return _from_scp(*scp.groups())
    scheme, separator, _ = text.partition("://")
    if not separator or scheme.lower() not in _SCHEMES:
        return None
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise BadGitUrl(f"{text}: {error}") from error
    if parts.scheme in {"http", "https"} and not parts.path.endswith(".git"):
        return None
    return _from_url(text)


def resolve_relative(base: str, url: str) -> str:
    """The address of a submodule, which may be relative to that of its parent (gitmodules(5))."""
    if not url.startswith(("./", "../")):
        return url
    base = base.removesuffix("/")
    while url.startswith(("./", "../")):
        if url.startswith("../"):
            head, slash, _ = base.rpartition("/")
            if not slash:
                head, colon, _ = base.rpartition(":")
                head += colon
            base = head
        url = url.partition("/")[2]
    return base + url if base.endswith(":") else f"{base}/{url}"


def _from_scp(user: str, host: str, rest: str) -> GitSource:
    path, _, fragment = rest.partition("#")
    path, _, query = path.partition("?")
    if not path or path.startswith("-") or host.startswith("-"):
        raise BadGitUrl(f"{user}@{host}:{rest} names no repository")
    return _with_parts(GitSource(f"{user}@{host}:{path}", host), query, fragment)


def _from_url(text: str) -> GitSource:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadGitUrl(f"{text}: {error}") from error
    if not host or host.startswith("-") or not _HOST.match(parts.netloc.rpartition("@")[2]):
        raise BadGitUrl(f"{text} names no host")
    if _control(parts.netloc + parts.path):
        raise BadGitUrl("an address of a repository has a control character in it")
    place = parts.netloc.rpartition("@")[2]
    userinfo = unquote(parts.netloc.rpartition("@")[0])
    if parts.scheme == "ssh" and userinfo:
        user = userinfo.partition(":")[0]
        if user.startswith("-"):
            raise BadGitUrl(f"{text} names no user")
        place, userinfo = f"{user}@{place}", ""
    shown = host if port is None else f"{host}:{port}"
    source = GitSource(f"{parts.scheme}://{place}{parts.path}", shown, userinfo=userinfo)
    return _with_parts(source, parts.query, parts.fragment)


def _control(text: str) -> bool:
    return any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in text)


def _with_parts(source: GitSource, query: str, fragment: str) -> GitSource:
    ref, colon, subdir = fragment.partition(":")
    source = source._replace(ref=ref, subdir=subdir if colon else "")
    if query:
        source = _with_query(source, parse_qsl(query, keep_blank_values=True))
    if source.ref and (_BAD_REF.search(source.ref) or _control(source.ref)):
        raise BadGitUrl(
            f"{source.ref!r} cannot be the name of a branch, tag or commit", hint="write URL#branch, or URL#tag"
        )
    cleaned = posixpath.normpath("/" + source.subdir).strip("/")
    if "\0" in cleaned:
        raise BadGitUrl("a subdirectory has a zero byte in its name")
    return source._replace(subdir=cleaned)


class _Query:
    """What the keys of a query have said so far."""

    def __init__(self, source: GitSource) -> None:
        self.source = source
        self.ref = ""
        self.by_commit = False

    def take(self, key: str, value: str) -> None:
        match key:
            case "ref":
                self._take_ref(value)
            case "branch":
                self._take_ref("refs/heads/" + value.removeprefix("refs/heads/"))
            case "tag":
                self._take_ref("refs/tags/" + value.removeprefix("refs/tags/"))
            case "subdir":
                if self.source.subdir not in {"", value}:
                    raise BadGitUrl(f"two subdirectories are asked for: {self.source.subdir} and {value}")
                self.source = self.source._replace(subdir=value)
            case "commit" | "checksum":
                self._take_checksum(value)
            case "mtime":
                if value not in {"commit", "checkout"}:
                    raise BadGitUrl(f"mtime={value} is neither commit nor checkout")
                self.source = self.source._replace(commit_times=value == "commit")
            case _:
                self._take_switch(key, value)

    def _take_switch(self, key: str, value: str) -> None:
        match key:
            case "keep-git-dir":
                self.source = self.source._replace(keep_git_dir=_truth(key, value))
            case "submodules":
                self.source = self.source._replace(submodules=_truth(key, value))
            case "fetch-by-commit":
                self.by_commit = _truth(key, value)
            case _:
                known = "ref, branch, tag, subdir, commit, checksum, keep-git-dir, submodules, mtime, fetch-by-commit"
                raise BadGitUrl(f"{key or 'an empty word'} is no part of a git address", hint=f"there are {known}")

    def _take_ref(self, value: str) -> None:
        if self.ref not in {"", value}:
            raise BadGitUrl(f"two refs are asked for: {self.ref} and {value}")
        self.ref = value

    def _take_checksum(self, value: str) -> None:
        if not _CHECKSUM.match(value):
            raise BadGitUrl(f"{value!r} is not a commit", hint="give its hexadecimal digits")
        if self.source.checksum not in {"", value}:
            raise BadGitUrl(f"two commits are asked for: {self.source.checksum} and {value}")
        self.source = self.source._replace(checksum=value)


def _with_query(source: GitSource, pairs: Sequence[tuple[str, str]]) -> GitSource:
    query = _Query(source)
    for key, value in pairs:
        query.take(key, value)
    for key, value in pairs:
        if not value and key not in _SWITCHES:
            raise BadGitUrl(f"{key} has no value")
    if len(pairs) > len(dict(pairs)):
        raise BadGitUrl("a part of the address is given twice")
    found = query.source
    if query.ref and found.ref not in {"", query.ref}:
        raise BadGitUrl(f"two refs are asked for: {query.ref} and {found.ref}")
    found = found._replace(ref=query.ref or found.ref)
    if query.by_commit:
        if not is_commit(found.checksum):
            raise BadGitUrl("fetch-by-commit needs a full commit", hint="add commit= with its 40 digits")
        found = found._replace(ref=found.checksum)
    return found


def _truth(key: str, value: str) -> bool:
    """A key without a value is true, as in BuildKit."""
    if value in _TRUE or value == "":
        return True
    if value in _FALSE:
        return False
    raise BadGitUrl(f"{key}={value} is neither true nor false")
