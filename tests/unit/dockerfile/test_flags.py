"""Flags as words, and the nearest name."""

import pytest

from builder.dockerfile.flags import FLAGS, FlagError, nearest, parse_flags, split_flags


@pytest.mark.parametrize(
    ("value", "flags", "rest"),
    [
        ("a --b", [], "a --b"),
        ("", [], ""),
        ("--a", ["--a"], ""),
        ("--a  --b=c\td e", ["--a", "--b=c"], "d e"),
        ("--a -- --b", ["--a"], "--b"),
        ("--", [], ""),
        ("--a --", ["--a"], ""),
        ("-- --", [], "--"),
        ("--a=\"b c\"' d'e f", ["--a=b c de"], "f"),
        ("--a=b\\ c d", ["--a=b c"], "d"),
        ('--a="b\\"c" d', ['--a=b"c'], "d"),
        ("--a='b\\'c' d", ["--a=b'c"], "d"),
        ('--a="b c', ["--a=b c"], ""),
        ("--a=b\\", ["--a=b"], ""),
        ('"--a" b', [], '"--a" b'),
        ("-a b", [], "-a b"),
        ('--"" --a b', [], "--a b"),
    ],
)
def test_split(value: str, flags: list[str], rest: str) -> None:
    split = split_flags(value, "\\")
    assert [flag.word for flag in split.flags] == flags
    assert split.rest == rest
    for flag in split.flags:
        assert value[flag.offset :].startswith("--")
        assert value[flag.offset + flag.width : flag.offset + flag.width + 1] in ("", " ", "\t")


def test_the_escape_is_the_files() -> None:
    assert [flag.word for flag in split_flags("--a=b` c\\ d", "`").flags] == ["--a=b c\\"]


def test_values() -> None:
    flags = parse_flags("ADD", split_flags("--chown= --link --unpack=FALSE --exclude=a --exclude= x", "\\").flags)
    assert flags.text("chown") is None
    assert flags.text("chmod") is None
    assert (flags.switch("link"), flags.switch("unpack"), flags.switch("keep-git-dir")) == (True, False, None)
    assert flags.texts("exclude") == ("a", "")
    assert flags.word("link").word == "--link"


@pytest.mark.parametrize("keyword", sorted(FLAGS))
def test_every_flag_is_known_to_its_instruction_alone(keyword: str) -> None:
    for name in FLAGS[keyword]:
        given = split_flags(f"--{name}=true", "\\").flags
        assert parse_flags(keyword, given).texts(name) == ("true",)
        with pytest.raises(FlagError):
            parse_flags("CMD", given)


@pytest.mark.parametrize(
    ("word", "near"),
    [("form", "from"), ("chwon", "chown"), ("from", None), ("", None), ("zzzzzzz", None), ("chmodd", "chmod")],
)
def test_nearest(word: str, near: str | None) -> None:
    assert nearest(word, ["from", "chown", "chmod"]) == near
