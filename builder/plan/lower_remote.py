"""Sources of ADD that are to be fetched: addresses of files and of repositories, and the flags that go with them.

Pure: what they mean now is found by ``remotes``.
"""

import re
from collections.abc import Sequence

from builder.dockerfile.instructions import Add, Copy, Heredoc
from builder.errors import PlanError
from builder.plan.graph import GitTree, RemoteSource, WebFile
from layers.errors import PybuildError

_GIT = r"(?:git|ssh)://|[a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:(?!//)|https?://[^?#]*\.git(?:[?#].*)?\Z|git@"
_SCHEMES = ("http://", "https://")
_SHA256 = r"sha256:[0-9a-f]{64}\Z"
_COMMIT = r"[0-9a-f]{1,64}\Z"

Source = str | RemoteSource


def sources(instruction: Copy | Add, words: Sequence[str], checksum: str) -> tuple[Source, ...]:
    """``words``, expanded, with what is to be fetched instead of its address. ``checksum``: expanded, "" for none.

    Raises PlanError.
    """
    found = tuple(_source(instruction, word) for word in words)
    if not checksum:
        return found
    flag = "--checksum"
    if len(found) != 1 or any(isinstance(word, Heredoc) for word in instruction.sources):
        raise PlanError(
            "checksum can't be specified for multiple sources", span=instruction.span, hint=_ONE, about=flag
        )
    match found[0]:
        case WebFile() as file:
            if not re.match(_SHA256, checksum):
                hint = "write --checksum=sha256: and 64 hexadecimal digits, as sha256sum prints them"
                raise PlanError(f"invalid checksum {checksum!r}", span=instruction.span, hint=hint, about=flag)
            return (file._replace(digest=checksum, pinned=True),)
        case GitTree() as tree:
            if not re.match(_COMMIT, checksum):
                hint = "for a repository it is the commit: hexadecimal digits alone"
                raise PlanError(f"invalid checksum {checksum!r}", span=instruction.span, hint=hint, about=flag)
            if tree.checksum not in {"", checksum}:
                message = f"two commits are asked for: {checksum} and {tree.checksum}"
                raise PlanError(message, span=instruction.span, hint="leave out one of them", about=flag)
            return (tree._replace(checksum=checksum),)
        case _:
            raise PlanError(
                "checksum can't be specified for a local source",
                span=instruction.span,
                hint="leave out --checksum",
                about=flag,
            )


_ONE = "write one ADD for each"


def _source(instruction: Copy | Add, word: str) -> Source:
    is_git = ("://" in word or "@" in word) and bool(re.match(_GIT, word))
    if not is_git and not word.startswith(_SCHEMES):
        return word
    if isinstance(instruction, Copy):
        kind = "a git ref" if is_git else "a URL"
        message = f"source can't be {kind} for COPY"
        raise PlanError(message, span=instruction.span, hint="ADD takes remote sources", about=word)
    try:
        return _tree(instruction, word) if is_git else _file(instruction, word)
    except PybuildError as error:
        raise PlanError(error.message, span=instruction.span, hint=error.hint, about=word) from error


def _tree(instruction: Add, word: str) -> GitTree:
    from builder.fetch.giturl import parse_git_url

    found = parse_git_url(word)
    if found is None:
        raise PybuildError(f"{word} is no address of a repository", hint="write https://HOST/PATH.git#REF:SUBDIR")
    flag, keep = instruction.keep_git_dir, found.keep_git_dir
    if None not in {flag, keep} and flag is not keep:
        raise PybuildError("the flag and the address disagree about keep-git-dir", hint="leave out one of them")
    keep = flag if keep is None else keep
    return GitTree(word, found.remote, found.subdir, found.submodules, bool(keep), found.checksum)


def _file(instruction: Add, word: str) -> WebFile:
    from builder.fetch.http import file_name

    return WebFile(word, file_name(word), instruction.unpack is True)
