"""COPY and ADD: expanded words, the destination, owners and modes. Pure."""

import posixpath
import re

from builder.dockerfile.ignore_expressions import PatternError
from builder.dockerfile.instructions import Add, Copy, Heredoc
from builder.errors import PlanError
from builder.plan import titles
from builder.plan.expand import Expander
from builder.plan.graph import AddOp, CopyOp, GitTree, InlineFile, LocalOp, NodeId
from builder.plan.lower_remote import sources
from builder.plan.modes import BadMode, parse_mode
from builder.plan.nodes import Shown
from builder.plan.scope import Scope
from builder.plan.stage_state import StageState, absolute
from builder.plan.stages import MAIN, LocalRef, Ref

_NUMERIC = r"[0-9]*(?::[0-9]*)?\Z"
"""Owners that need no look-up."""


def copy(state: StageState, instruction: Copy | Add, source: Ref | None, scope: Scope) -> StageState:
    """``source`` is what ``--from`` names; None is the build context."""
    expander = scope.expander(state, instruction)
    op, words = _operation(state, instruction, expander, keep_owner=_keeps_owner(source, scope))
    if instruction.link and not op.link:
        scope.warn(
            f"{words[0]} --link --chown={op.chown} is not linked: names are looked up in the image so far; numbers are"
            " not",
            instruction.span,
        )
    if len(op.sources) > 1 and not op.dest.endswith("/") and not op.parents:
        scope.warn(
            f"{words[0]} of several sources to {op.dest}, which does not end in a slash: unless it is a directory,"
            " all of them are written to that one file",
            instruction.span,
        )
    _warn_of_words(instruction, scope)
    inputs: tuple[NodeId, ...] = ()
    if any(isinstance(part, str) for part in op.sources):
        inputs = (scope.source(source) if source is not None else context_node(scope),)
    title = titles.expanded(instruction.text, expander)
    make = scope.linked_step if op.link else scope.step
    state, node = make(state, op, inputs, title, instruction)
    return state.noted(f"{' '.join(words)} # buildkit", node)


def _warn_of_words(instruction: Copy | Add, scope: Scope) -> None:
    """Of what other languages have and a Dockerfile takes for a part of a path."""
    for word in (*instruction.sources, instruction.dest) if not instruction.json_form else ():
        if isinstance(word, str) and word.startswith("#"):
            scope.warn(
                f"{word} starts no comment here, it is a path: a comment needs a line of its own", instruction.span
            )
            return
        if isinstance(word, str) and re.search(r"\w\\\w", word) and scope.found.escape == "\\":
            text = f"the backslashes in {word} are taken away: write / between the parts of a path"
            scope.warn(text, instruction.span)
            return


def _keeps_owner(source: Ref | None, scope: Scope) -> bool:
    match source:
        case None:
            return MAIN in scope.found.owned
        case LocalRef(name):
            return name in scope.found.owned
        case _:
            return True


def context_node(scope: Scope) -> NodeId:
    return scope.table.add(LocalOp(MAIN), (), Shown("load build context"))


def _operation(
    state: StageState, instruction: Copy | Add, expander: Expander, *, keep_owner: bool
) -> tuple[CopyOp | AddOp, list[str]]:
    """The operation and the words of its history entry, which shows the destination as it was written."""
    chown = expander.word(instruction.chown or "") or None
    chmod = expander.word(instruction.chmod or "") or None
    _check_mode(instruction, chmod)
    paths = [expander.word(word) for word in instruction.sources if isinstance(word, str)]
    checksum = expander.word(instruction.checksum or "") if isinstance(instruction, Add) else ""
    found = sources(instruction, paths, checksum)
    dest = expander.word(instruction.dest)
    place = destination(state.workdir, dest)
    if any(isinstance(source, GitTree) for source in found) and not place.endswith("/"):
        place += "/"  # a repository's files go into a directory
    # BuildKit takes heredocs after all other sources.
    heredocs = [word for word in instruction.sources if isinstance(word, Heredoc)]
    adds = isinstance(instruction, Add)
    unpacks = isinstance(instruction, Add) and instruction.unpack is not False
    parents = isinstance(instruction, Copy) and instruction.parents
    op = (AddOp if unpacks else CopyOp)(
        sources=(*found, *(_inline(heredoc, expander, instruction) for heredoc in heredocs)),
        dest=place,
        chown=chown,
        chmod=chmod,
        keep_owner=keep_owner,
        exclude=_patterns(instruction),
        parents=parents,
        link=instruction.link and (chown is None or re.match(_NUMERIC, chown) is not None),
    )
    words = ["ADD" if adds else "COPY"]
    words += ["--parents"] if parents else []
    words += [f"--chown={chown}"] if chown else []
    words += [f"--chmod={chmod}"] if chmod else []
    return op, [*words, *paths, *(f"<<{heredoc.name}" for heredoc in heredocs), dest]


def destination(workdir: str, dest: str) -> str:
    """Absolute; ends in a slash when ``dest`` can only be a directory."""
    path = absolute(workdir, dest)
    is_directory = dest in {"", "."} or dest.endswith(("/", "/."))
    return path + "/" if is_directory and path != "/" else path


def _inline(heredoc: Heredoc, expander: Expander, instruction: Copy | Add) -> InlineFile:
    name = posixpath.normpath(f"/{heredoc.name}").lstrip("/")
    if not name or "/" in name:
        raise PlanError(
            f"<<{heredoc.name}: a heredoc is a file of this name, which cannot be that of a directory or lie in one",
            span=instruction.span,
            hint="write the directory before the instruction's last slash: COPY <<FILE DIRECTORY/",
            about=f"<<{heredoc.name}",
        )
    body = expander.heredoc(heredoc.body) if heredoc.expand else heredoc.body
    return InlineFile(name, body.encode(errors="surrogateescape"))


def _patterns(instruction: Copy | Add) -> tuple[str, ...]:
    """The patterns of ``--exclude``, checked. Blank ones say nothing."""
    if not instruction.exclude:
        return ()
    from builder.dockerfile.ignore import parse_patterns

    try:
        parse_patterns(instruction.exclude)
    except PatternError as error:
        raise PlanError(
            f"--exclude: {error.message}", span=instruction.span, hint=error.hint, about="--exclude"
        ) from error
    return instruction.exclude


def _check_mode(instruction: Copy | Add, chmod: str | None) -> None:
    if chmod is None:
        return
    try:
        parse_mode(chmod)
    except BadMode as error:
        raise PlanError(
            f"invalid chmod parameter: '{chmod}'. {error}",
            span=instruction.span,
            hint="write --chmod=0755 or --chmod=u=rwX,go=rX",
            about=f"--chmod={instruction.chmod}",
        ) from error
