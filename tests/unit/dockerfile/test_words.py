"""Expansion: the rows of the language's table, and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.expansion import MAX_SUBSTITUTED, WordError
from builder.dockerfile.words import expand, expand_heredoc, expand_to_words, names_used

VALUES = {
    "n": "value",
    "e": "",
    "path": "aaa/bbb/ccc.tar.gz",
    "x": "aXbXc",
    "two": "one  two",
    "quoted": "a'b\"c",
    "star": "*",
    "lines": "ab\nab",
    "é": "letter",
    "n1": "digits",
    "_u": "underscore",
}


def expanded(word: str, escape: str = "\\") -> str:
    return expand(word, VALUES.get, escape)


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("", ""),
        ("plain", "plain"),
        ("$n", "value"),
        ("${n}", "value"),
        ("a${n}b$n.c", "avaluebvalue.c"),
        ("$unset|${unset}", "|"),
        ("$n1$_u$é", "digitsunderscoreletter"),
        # defaults
        ("${unset:-w}${e:-w}${n:-w}", "wwvalue"),
        ("${unset-w}${e-w}${n-w}", "wvalue"),
        ("${unset:+w}${e:+w}${n:+w}", "w"),
        ("${unset+w}${e+w}${n+w}", "ww"),
        ("${n:?m}${n?m}${e?m}", "valuevalue"),
        ("${unset:-${e:-$n}}", "value"),
        ("${unset:-'a b' \"$n\"}", "a b value"),
        ("${unset:-a\\}b}", "a}b"),
        ("${unset:-}", ""),
        # prefixes and suffixes
        ("${path#*/}", "bbb/ccc.tar.gz"),
        ("${path##*/}", "ccc.tar.gz"),
        ("${path%.*}", "aaa/bbb/ccc.tar"),
        ("${path%%.*}", "aaa/bbb/ccc"),
        ("${path#a?a}", "/bbb/ccc.tar.gz"),
        ("${path#nothing}", VALUES["path"]),
        ("${path#\\*}", VALUES["path"]),
        ("${star#\\*}", ""),
        ("${x%$unset}", "aXbXc"),
        ("${x#a$unset}", "XbXc"),
        ("${unset#*}", ""),
        ("${path##}", VALUES["path"]),
        ("${path#[a-z]}", VALUES["path"]),
        # replacements
        ("${x/X/-}", "a-bXc"),
        ("${x//X/-}", "a-b-c"),
        ("${path/\\//-}", "aaa-bbb/ccc.tar.gz"),
        ("${path//\\//\\/}", "aaa\\/bbb\\/ccc.tar.gz"),
        ("${x/?/#}", "#XbXc"),
        ("${x/*/all}", "all"),
        ("${x//*/all}", "all"),
        ("${x/#a/-}", "aXbXc"),
        ("${x/%c/-}", "aXbXc"),
        ("${x//X/}", "abc"),
        ("${x///-}", "-a-X-b-X-c-"),
        ("${x/X/$n}", "avaluebXc"),
        ("${x//X/$1}", "abc"),
        ("${lines//a*/-}", "-\n-"),
        ("${unset/a/b}", ""),
        # quotes and escapes
        ("'$n'", "$n"),
        ('"$n"', "value"),
        ("'a\\b'", "a\\b"),
        ('"a\\"b\\$n\\\\c\\d"', 'a"b$n\\c\\d'),
        ("\\$n \\a \\\\", "$n a \\"),
        ("a\\", "a"),
        ("$quoted", "a'b\"c"),
        ("'a'\"b\"c", "abc"),
        ("$two", "one  two"),
        # specials
        ("$1$9x${12}", "x"),
        ("$@$*$#$?$-$!$0", ""),
        ("$$n", "n"),
        ("$", "$"),
        ("$.a$", "$.a$"),
        ("$ a", "$ a"),
        ("a<<b<c", "a<<b<c"),
    ],
)
def test_expands(word: str, result: str) -> None:
    assert expanded(word) == result


@pytest.mark.parametrize(
    ("word", "result"),
    [("a`$n", "a$n"), ("a\\$n", "a\\value"), ('"`$n``\\"', "$n`\\"), ("${x//X/`}}", "a`}b`}c")],
)
def test_backtick_escapes(word: str, result: str) -> None:
    assert expanded(word, "`") == result


@pytest.mark.parametrize(
    ("word", "message", "position"),
    [
        ("a'b", "a single quote is not closed", 1),
        ('ab"c', "a double quote is not closed", 2),
        ("${n", "a substitution is not closed", 0),
        ("x${", "a substitution is not closed", 1),
        ("${n:-w", "a } is missing", 0),
        ("${n#p", "a } is missing", 0),
        ("${n/p}", "a / is missing", 0),
        ("${n/p/r", "a } is missing", 0),
        ("${n:-'w}", "a single quote is not closed", 0),
        ("${}", "must be followed by a name", 0),
        ("${{n}}", "must be followed by a name", 0),
        ("${:-w}", "must be followed by a name", 0),
        ("${n:#p}", "the modifier :# is not supported", 0),
        ("${n:%p}", "the modifier :% is not supported", 0),
        ("${#n}", "the modifier # is not supported", 0),
        ("${n:1:2}", "the modifier :1 is not supported", 0),
        ("${n^^}", "the modifier ^ is not supported", 0),
        ("${n,}", "the modifier , is not supported", 0),
        ("${n=w}", "the modifier = is not supported", 0),
        ("${n:=w}", "the modifier := is not supported", 0),
        ("${!n}", "the modifier ! is not supported", 0),
        ("${n[0]}", "the modifier [ is not supported", 0),
        ("${unset:?is $n}", "unset: is value", 0),
        ("${e:?}", "e: must not be empty", 0),
        ("${unset?}", "unset: must be set", 0),
        ("${n#\\a}", "the pattern \\a is malformed", 0),
        ("${n/\\a/b}", "the pattern \\a is malformed", 0),
    ],
)
def test_refuses(word: str, message: str, position: int) -> None:
    with pytest.raises(WordError) as caught:
        expanded(word)
    assert message in caught.value.message
    if "'" not in word[1:]:
        assert caught.value.position == position


@pytest.mark.parametrize("word", ["$a$b", "x${a}y${b}z", "${unset:-$a$b}", '"$a""$b"', "${a//a/$b}", "${b/b/$a$b}"])
def test_what_variables_bring_in_has_a_limit(word: str) -> None:
    """ENV A=$A$A, thirty times, would fill any memory."""
    values = {"a": "a" * (MAX_SUBSTITUTED - 1), "b": "bb"}
    assert len(expand("x$a", values.get, "\\")) == MAX_SUBSTITUTED
    for grown in (expand, expand_to_words, expand_heredoc):
        with pytest.raises(WordError, match="expand to more than 1048576 characters"):
            grown(word, values.get, "\\")


def test_nesting_has_a_limit() -> None:
    deep = "${a:-" * 60 + "x" + "}" * 60
    assert expanded(deep) == "x"
    with pytest.raises(WordError, match="nested more than"):
        expanded("${a:-" * 20_000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b", ["a", "b"]),
        ("  a\t b  ", ["a", "b"]),
        ("$two x", ["one", "two", "x"]),
        ('"$two" x', ["one  two", "x"]),
        ("'a b'c d", ["a bc", "d"]),
        ("a\\ b", ["a b"]),
        ("'' a", ["a"]),
        ("$e", []),
        ("80${unset:-80} 1", ["8080", "1"]),
    ],
)
def test_splits_into_words(text: str, words: list[str]) -> None:
    assert expand_to_words(text, VALUES.get, "\\") == words


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("a $n ${unset:-d}\n", "a value d\n"),
        ("'$n' \"$n\"\n", "'value' \"value\"\n"),
        ("\\$n \\\\ \\n\n", "$n \\ n\n"),
        ("it's ${x//X/-}", "it's a-b-c"),
        ("plain ' text\n", "plain ' text\n"),
    ],
)
def test_heredoc_bodies(body: str, result: str) -> None:
    assert expand_heredoc(body, VALUES.get) == result


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("", ()),
        ("$a${b}$a", ("a", "b")),
        ("'$a'\\$b\"$c\"", ("c",)),
        ("${a:-$b}${c:+${d#$e}}", ("b", "a", "e", "d", "c")),
        ("${a/$b/$c}", ("b", "c", "a")),
        ("$a${b^}$c", ("a",)),
        ("$1", ("1",)),
    ],
)
def test_names(word: str, names: tuple[str, ...]) -> None:
    assert names_used(word) == names


WORDS = st.text(alphabet="ab$ {}:-+?#%/*\\'\"`<é\n1_", max_size=30)


@given(WORDS, st.sampled_from("\\`"))
def test_never_crashes(word: str, escape: str) -> None:
    for function in (expand, expand_heredoc, expand_to_words):
        try:
            function(word, VALUES.get, escape)
        except WordError as error:
            assert 0 <= error.position <= len(word)


@given(st.text(), st.sampled_from("\\`"))
def test_single_quotes_keep_everything(text: str, escape: str) -> None:
    text = text.replace("'", "")
    assert expand(f"'{text}'", VALUES.get, escape) == text


@given(st.text())
def test_escaped_characters_are_themselves(text: str) -> None:
    assert expand("".join("\\" + char for char in text), VALUES.get, "\\") == text


@given(st.text())
def test_values_are_not_looked_into(value: str) -> None:
    assert expand("$v", {"v": value}.get, "\\") == value
    assert expand('"${v}"', {"v": value}.get, "\\") == value


@given(WORDS)
def test_no_expansion_asks_for_other_names(word: str) -> None:
    asked: list[str] = []

    def note(name: str) -> str:
        asked.append(name)
        return "x"

    try:
        expand(word, note, "\\")
    except WordError:
        assert set(asked) == set(names_used(word))
        return
    assert set(asked) == set(names_used(word))
