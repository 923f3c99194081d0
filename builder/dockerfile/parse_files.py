"""COPY and ADD. Pure."""

from builder.dockerfile.flags import Flags
from builder.dockerfile.heredocs import parse_mark
from builder.dockerfile.instructions import Add, Copy, Heredoc
from builder.dockerfile.lines import Body
from builder.dockerfile.statement import Statement, Word, blank_separated
from builder.dockerfile.words import WordError, expand


def copy(of: Statement) -> Copy:
    flags = of.flags()
    sources, dest, listed = _sources_and_dest(of)
    return Copy(
        of.line.span,
        of.line.text,
        sources,
        dest,
        json_form=listed,
        from_stage=_from(of, flags),
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.switch("link") is True,
        parents=flags.switch("parents") is True,
        exclude=flags.texts("exclude"),
    )


def add(of: Statement) -> Add:
    flags = of.flags()
    sources, dest, listed = _sources_and_dest(of)
    return Add(
        of.line.span,
        of.line.text,
        sources,
        dest,
        json_form=listed,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.switch("link") is True,
        exclude=flags.texts("exclude"),
        checksum=flags.text("checksum"),
        keep_git_dir=flags.switch("keep-git-dir"),
        unpack=flags.switch("unpack"),
    )


def heredoc(body: Body) -> Heredoc:
    mark = body.mark
    text = "\n".join(line.lstrip("\t") for line in body.text.split("\n")) if mark.chomp else body.text
    return Heredoc(mark.name, text, mark.expand, mark.chomp, mark.fd, body.text)


def _from(of: Statement, flags: Flags) -> str | None:
    name = flags.text("from")
    if name is None:
        return None
    try:
        plain = expand(name, lambda _: None, of.escape) == name
    except WordError:
        plain = False
    if not plain:
        if "$" not in name:
            raise of.flag_error(
                flags.word("from"), f"{of.keyword} --from={name} is no name", "write it without quotes and backslashes"
            )
        raise of.flag_error(
            flags.word("from"),
            f"{of.keyword} --from={name}: variables are not expanded here",
            "give the image a name with FROM ... AS name, where global ARGs are expanded, and use that name",
        )
    return name


def _sources_and_dest(of: Statement) -> tuple[tuple[str | Heredoc, ...], str, bool]:
    listed = of.listed(of.rest)
    words = blank_separated(of.rest) if listed is None else tuple(Word(word, 0) for word in listed)
    if len(words) < 2:
        raise of.error(
            f"{of.keyword} needs at least a source and a destination",
            hint=f"write {of.keyword} {words[0].text if words else 'SOURCE'} DESTINATION",
        )
    if listed is not None:
        return listed[:-1], listed[-1], True
    if _mark_name(words[-1].text) is not None:
        raise of.error(
            f"the destination of {of.keyword} cannot be a heredoc",
            word=words[-1],
            hint=f"write {of.keyword} {words[-1].text} /path/of/the/file",
        )
    return tuple(_source(of, word) for word in words[:-1]), words[-1].text, False


def _source(of: Statement, word: Word) -> str | Heredoc:
    name = _mark_name(word.text)
    if name is None:
        return word.text
    # With two bodies of one name the last is the one for both, as in BuildKit.
    body = next((each for each in reversed(of.line.heredocs) if each.mark.name == name), None)
    if body is None:
        raise of.error(
            f"the heredoc {name} has no body because the quotes on this line do not add up",
            word=word,
            hint="close every quote on the line",
        )
    return heredoc(body)


def _mark_name(word: str) -> str | None:
    try:
        mark = parse_mark(word)
    except WordError:
        return None
    return None if mark is None else mark.name
