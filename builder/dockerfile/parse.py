"""Dockerfile text to typed instructions. Pure. Nothing is expanded and no stage is looked up here."""

from collections.abc import Callable, Mapping

from builder.dockerfile import hints, parse_commands, parse_files
from builder.dockerfile.blanks import SPACE, split_keyword
from builder.dockerfile.directives import is_builtin, require_builtin_syntax, unheeded_checks, validate_check
from builder.dockerfile.instructions import (
    Arg,
    Dockerfile,
    Env,
    Expose,
    From,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Stage,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from builder.dockerfile.lines import LogicalLine, logical_lines
from builder.dockerfile.statement import Statement, blank_separated, name_value_pairs, quoted_words, statement
from builder.errors import BuildError, ParseError, Span, Unsupported

Warnings = list[tuple[str, Span]]

_LIST_FORMS = frozenset(("ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"))
_REBUILD = "build the base image again: its ONBUILD triggers are not what a Dockerfile can write"
_NO_TRIGGERS = frozenset(("FROM", "MAINTAINER", "ONBUILD"))


def parse(source: bytes, path: str, *, syntax: str | None = None, check: str | None = None) -> Dockerfile:
    """The stages of a Dockerfile. ``path`` is for messages; ``syntax`` and ``check`` count instead of the directives.

    Raises ParseError for text that is no Dockerfile, and Unsupported when it asks for another frontend.
    """
    lines = logical_lines(source, path)
    if syntax is None:
        require_builtin_syntax(lines.source, lines.directives, path)
    elif not is_builtin(syntax):
        raise Unsupported(
            f"--build-arg BUILDKIT_SYNTAX={syntax}: other frontends are not supported",
            hint="pybuild reads Dockerfiles itself: leave it out, or give docker/dockerfile:1",
        )
    if check is not None:
        validate_check(check, None)
    warnings = [*lines.warnings, *(unheeded_checks(lines.directives) if check is None else ())]
    global_args: list[Arg] = []
    stages: list[Stage] = []
    base: From | None = None
    instructions: list[Instruction] = []
    above: LogicalLine | None = None
    for line in lines.lines:
        parsed = _instruction(statement(line, lines.escape), warnings, above)
        above = line
        if isinstance(parsed, From):
            if base is not None:
                stages.append(_stage(len(stages), base, instructions))
            base, instructions = parsed, []
        elif base is not None:
            instructions.append(parsed)
        elif isinstance(parsed, Arg):
            global_args.append(parsed)
        else:
            raise ParseError(
                f"{line.keyword} stands before the first FROM",
                span=line.place_word(),
                hint="a stage starts with FROM; only ARG may stand above the first",
            )
    if base is None:
        raise ParseError(
            f"{path} has no stage", span=lines.lines[-1].span, hint="add a FROM instruction: FROM scratch, FROM debian"
        )
    stages.append(_stage(len(stages), base, instructions))
    return Dockerfile(tuple(global_args), tuple(stages), lines.escape, tuple(warnings), lines.source)


def parse_trigger(text: str, span: Span, escape: str) -> Instruction:
    """The instruction of an ONBUILD trigger, as a config stores it. ``span`` is what brought it in, a FROM."""
    try:
        lines = logical_lines(text.encode(errors="surrogatepass"), span.path, escape=escape)
        if len(lines.lines) != 1:
            raise ParseError("it is not one instruction", hint=_REBUILD)
        parsed = _instruction(statement(lines.lines[0], lines.escape), [])
        if isinstance(parsed, From | Maintainer | Onbuild):
            raise ParseError(f"{lines.lines[0].keyword} cannot be a trigger", hint=_REBUILD)
    except BuildError as error:
        shown = text if len(text) <= 60 else text[:60] + "..."
        raise ParseError(
            f"the ONBUILD trigger {shown!r} of the base image: {error.message}", span=span, hint=error.hint
        ) from error
    return parsed._replace(span=span)


def _stage(number: int, base: From, instructions: list[Instruction]) -> Stage:
    last = instructions[-1].span.last_line if instructions else base.span.last_line
    span = Span(base.span.path, base.span.first_line, last)
    return Stage(number, base.name, base, tuple(instructions), span)


def _instruction(of: Statement, warnings: Warnings, above: LogicalLine | None = None) -> Instruction | From:
    """``above``: the instruction before it, which a line may have been meant for."""
    build = _BUILDERS.get(of.keyword)
    if build is None:
        line = of.line
        hint = hints.unknown_instruction(line.word, line.text, above.text if above is not None else "", _BUILDERS)
        raise ParseError(f"{hints.visible(line.word)} is no instruction", span=line.place_word(), hint=hint)
    return build(of, warnings)


def _from(of: Statement, warnings: Warnings) -> From:
    flags = of.flags()
    words = blank_separated(of.rest)
    name: str | None = None
    if len(words) == 3 and words[1].text.lower() == "as":
        name = words[2].text.lower()
        if not _is_stage_name(name):
            raise of.error(
                f"a stage cannot have the name {words[2].text}",
                word=words[2],
                hint=hints.stage_name(words[2].text),
            )
    elif len(words) != 1:
        raise of.error("FROM needs one argument, or three", hint=hints.from_words([word.text for word in words]))
    return From(of.line.span, of.line.text, words[0].text, flags.text("platform"), name)


def _is_stage_name(name: str) -> bool:
    """A name is used as the name of an image too, so it must be valid as one component of an image's name."""
    if not name.isascii() or not name[0].isalpha():
        return False
    if name.isalnum():
        return True
    import re

    return re.fullmatch(r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*", name) is not None


def _arg(of: Statement, warnings: Warnings) -> Arg:
    _ignored_flags(of, warnings)
    words = quoted_words(of.rest, of.escape)
    if not words:
        raise of.error("ARG needs at least one name", hint="write ARG name, or ARG name=default")
    items: list[tuple[str, str | None]] = []
    for word in words:
        name, equals, default = word.text.partition("=")
        if name == "":
            raise of.error("ARG has an empty name", word=word, hint="write ARG name=default, without blanks")
        items.append((name, default if equals else None))
    return Arg(of.line.span, of.line.text, tuple(items))


def _env(of: Statement, warnings: Warnings) -> Env:
    of.flags()
    return Env(of.line.span, of.line.text, *_named_pairs(of, warnings))


def _label(of: Statement, warnings: Warnings) -> Label:
    of.flags()
    return Label(of.line.span, of.line.text, *_named_pairs(of, warnings))


def _named_pairs(of: Statement, warnings: Warnings) -> tuple[tuple[tuple[str, str], ...], bool]:
    pairs, legacy = name_value_pairs(of)
    if legacy and pairs[0][1].startswith("="):
        warnings.append((f"{of.keyword} gives {pairs[0][0]} the value {pairs[0][1]}, = included", of.line.span))
    if any(name == "" for name, _ in pairs):
        raise of.error(f"{of.keyword} has an empty name", hint=f"write {of.keyword} name=value, without blanks")
    return pairs, legacy


def _expose(of: Statement, warnings: Warnings) -> Expose:
    of.flags()
    ports = blank_separated(of.rest)
    if not ports:
        raise of.error("EXPOSE needs at least one port", hint="write EXPOSE 8080, or EXPOSE 53/udp")
    return Expose(of.line.span, of.line.text, tuple(sorted(port.text for port in ports)))


def _volume(of: Statement, warnings: Warnings) -> Volume:
    of.flags()
    words = of.listed(of.rest)
    if words is None:
        words = tuple(word.text for word in blank_separated(of.rest))
    if not words:
        raise of.error("VOLUME needs at least one path", hint="write VOLUME /data")
    paths = tuple(word.strip(SPACE) for word in words)
    if "" in paths:
        raise of.error("VOLUME has an empty path", hint="write VOLUME /data")
    return Volume(of.line.span, of.line.text, paths)


def _only(of: Statement, hint: str) -> str:
    """The arguments as one text, which must not be empty."""
    if of.rest == "":
        raise of.error(f"{of.keyword} needs an argument", hint=hint)
    return of.rest


def _user(of: Statement, warnings: Warnings) -> User:
    of.flags()
    return User(of.line.span, of.line.text, _only(of, "write USER name, or USER 1000:1000"))


def _workdir(of: Statement, warnings: Warnings) -> Workdir:
    of.flags()
    return Workdir(of.line.span, of.line.text, _only(of, "write WORKDIR /path"))


def _stop_signal(of: Statement, warnings: Warnings) -> StopSignal:
    _ignored_flags(of, warnings)
    return StopSignal(of.line.span, of.line.text, _only(of, "write STOPSIGNAL SIGTERM"))


def _maintainer(of: Statement, warnings: Warnings) -> Maintainer:
    of.flags()
    return Maintainer(of.line.span, of.line.text, _only(of, 'write LABEL org.opencontainers.image.authors="name"'))


def _ignored_flags(of: Statement, warnings: Warnings) -> None:
    """BuildKit takes any flag here and drops it; to refuse them would refuse files that build."""
    for flag in of.flag_words:
        warnings.append((f"{flag.word} has no effect on {of.keyword}", of.line.place(flag.offset, flag.width)))


def _onbuild(of: Statement, warnings: Warnings) -> Onbuild:
    of.flags()
    keyword, value = split_keyword(of.rest)
    if keyword == "":
        raise of.error("ONBUILD needs an instruction", hint="write ONBUILD RUN command")
    if keyword in _NO_TRIGGERS:
        raise of.error(f"{keyword} cannot be a trigger of ONBUILD", hint="any other instruction can")
    if keyword not in _BUILDERS:
        warnings.append((f"{keyword} is no instruction: the trigger will fail when it runs", of.line.span))
    _check_trigger(of, keyword, value)
    bodies = "".join(f"\n{body.text}{body.mark.name}" for body in of.line.heredocs)
    trigger = of.line.text[len(of.line.word) :].lstrip("\t\n\f\r ") + of.line.trailing
    return Onbuild(of.line.span, of.line.text, trigger + bodies)


def _check_trigger(of: Statement, keyword: str, value: str) -> None:
    """Report what is wrong whatever the trigger will meet; the rest is seen when it runs."""
    inner = statement(of.line._replace(keyword=keyword, value=value), of.escape)
    if keyword in _LIST_FORMS:
        inner.listed(inner.rest)
    elif keyword in ("ENV", "LABEL") and inner.rest != "":
        name_value_pairs(inner)


def _without_warnings(
    build: Callable[[Statement], Instruction],
) -> Callable[[Statement, Warnings], Instruction]:
    return lambda of, _: build(of)


_BUILDERS: Mapping[str, Callable[[Statement, Warnings], Instruction | From]] = {
    "FROM": _from,
    "RUN": parse_commands.run,
    "COPY": _without_warnings(parse_files.copy),
    "ADD": _without_warnings(parse_files.add),
    "ENV": _env,
    "ARG": _arg,
    "LABEL": _label,
    "CMD": parse_commands.cmd,
    "ENTRYPOINT": parse_commands.entrypoint,
    "WORKDIR": _workdir,
    "USER": _user,
    "EXPOSE": _expose,
    "VOLUME": _volume,
    "SHELL": _without_warnings(parse_commands.shell),
    "STOPSIGNAL": _stop_signal,
    "HEALTHCHECK": parse_commands.healthcheck,
    "ONBUILD": _onbuild,
    "MAINTAINER": _maintainer,
}
