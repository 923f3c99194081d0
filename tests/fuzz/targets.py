"""What is fuzzed: functions of bytes that must come back soon, in bounded memory, with a result or a proper error.

Anything else they raise is a finding. ``SEEDS`` gives each its first inputs: the fixtures, and what was found before.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from builder.dockerfile.ignore import Matcher, parse_ignore, parse_patterns
from builder.dockerfile.ignore_expressions import PatternError
from builder.dockerfile.instructions import Dockerfile
from builder.dockerfile.parse import parse
from builder.dockerfile.words import WordError, expand, expand_heredoc, expand_to_words, names_used
from builder.errors import BuildError, ParseError
from tests.conftest import FIXTURES

CASES = Path(__file__).parent / "cases"
LONGEST_VALUE = 2 << 20
"""No expansion of so small an input gives more characters."""

VARIABLES = {"a": "value", "b": "", "c": "a b  c", "d": "*/?\\'\"$a", "e": "xX" * 20, "path": "/usr/lib/x.so.1"}


def parser(data: bytes) -> None:
    lines = data.count(b"\n") + 1
    try:
        parsed = parse(data, "Dockerfile")
    except BuildError as error:
        assert error.span is not None, error
        assert 1 <= error.span.first_line <= error.span.last_line <= lines, error.span
        assert error.message
        return
    check_spans(parsed, lines)


def check_spans(parsed: Dockerfile, lines: int) -> None:
    """Instructions stand in order, one after the other, in the file."""
    stages = [each.span for stage in parsed.stages for each in (stage.base, *stage.instructions)]
    spans = [each.span for each in parsed.global_args] + stages
    assert all(1 <= span.first_line <= span.last_line <= lines for span in spans)
    assert all(before.last_line < after.first_line for before, after in pairwise(spans))


def words(data: bytes) -> None:
    escape = "`" if data[:1] == b"`" else "\\"
    text = data.decode(errors="surrogateescape")
    names = names_used(text, escape)
    assert len(set(names)) == len(names)
    for way in (expand, expand_to_words, expand_heredoc):
        try:
            found = way(text, VARIABLES.get, escape)
        except WordError:
            continue
        assert sum(map(len, found)) <= LONGEST_VALUE


def ignore(data: bytes) -> None:
    """Patterns, then NUL, then paths, one a line."""
    rules, _, rest = data.partition(b"\0")
    paths = [path for path in rest.split(b"\n")[:8] if path.strip(b"/")]
    _exclude(rules, paths)
    try:
        matcher = parse_ignore(rules, ".dockerignore")
    except ParseError as error:
        assert error.span is not None
        assert 1 <= error.span.first_line <= rules.count(b"\n") + 1
        return
    try:
        _answers_agree(matcher, paths)
    except ParseError as error:  # a pattern that fails when it is first tried
        assert error.span is not None


def _answers_agree(matcher: Matcher, paths: list[bytes]) -> None:
    for path in paths:
        ignored = matcher.ignored(path)
        rule = matcher.rule(path)
        assert ignored == (rule is not None and not rule.takes_back)
        assert matcher.decided_by(path) == (rule.source if rule is not None else None)
        parents = [path[:at] for at in range(1, len(path)) if path[at : at + 1] == b"/"]
        assert ignored or all(matcher.may_descend(parent) for parent in parents)


def _exclude(rules: bytes, paths: list[bytes]) -> None:
    try:
        matcher = parse_patterns(rules.decode(errors="surrogateescape").split("\n"))
    except PatternError as error:
        assert error.message
        return
    for path in paths:
        if matcher.ignored(path):
            parents = [path[:at] for at in range(1, len(path)) if path[at : at + 1] == b"/"]
            assert all(matcher.ignored(each) or matcher.may_match_below(each) for each in parents)


TARGETS: Mapping[str, Callable[[bytes], None]] = {"parser": parser, "words": words, "ignore": ignore}


def seeds(target: str) -> Iterator[bytes]:
    for path in sorted((CASES / target).iterdir()):
        yield path.read_bytes()
    name = ".dockerignore" if target == "ignore" else "Dockerfile"
    for folder in ("dockerfiles", "parity", "rejected"):
        for path in sorted((FIXTURES / folder).glob(f"*/{name}")):
            data = path.read_bytes()
            if len(data) < 1 << 16:
                yield data
    if target == "ignore":
        yield from IGNORE_SEEDS
    if target == "words":
        yield from WORD_SEEDS


IGNORE_SEEDS = (
    b"*.md\n!README.md\n**/x\na/**\n[a-z]?\\*\n# note\n\0README.md\na/b/c\nx\n.hidden/y",
    b"**\n!d/**/*.c\n**foo\nd**\n/lead/\n./x/../y\n[^a]b\n\0d/e/f.c\nafoo\ny\nlead",
    b"a\n!a/b\na/b/c\n!a/b/c/d\n\xe9*\n\0a/b/c/d\na/b/c/e\n\xe9x",
)
WORD_SEEDS = (
    b"${a:-$b}${c+x}${d:?m}${e#x*}${e##*X}${e%x?}${e%%X*}",
    b'${a/l/$b}${e//x/${a/u/}}${path//\\//-}\'$a\'"$c\\""\\$d $1 $@ ${_}',
    b"`$a `\"x${none:-'a b'}\"",
    b"<<E <<-'F' 3<<\"G\" <<<x",
)
