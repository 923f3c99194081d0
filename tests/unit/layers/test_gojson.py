import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers import gojson
from layers.errors import InvalidImage
from layers.gojson import Reader, dumps, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a<b>&c", b'"a\\u003cb\\u003e\\u0026c"'),
        ("\u2028\u2029", b'"\\u2028\\u2029"'),
        ('\ttab\n"q"\\', b'"\\ttab\\n\\"q\\"\\\\"'),
        ("\x01\x1f", b'"\\u0001\\u001f"'),
        ("\x7f", b'"\x7f"'),
        ("é😀", '"é😀"'.encode()),
        ("bad \udcff byte", b'"bad \\ufffd byte"'),
    ],
)
def test_strings_are_escaped_as_go_does(text: str, written: bytes) -> None:
    assert dumps(text) == written


@given(VALUES)
def test_what_is_written_reads_back(value: object) -> None:
    assert json.loads(dumps(value)) == value
    assert json.loads(dumps(value, indent=2)) == value
    assert not set(dumps(value)) & set(b"<>&")


def test_indented_as_marshal_indent() -> None:
    assert dumps({"a": [1, {"b": []}], "c": {}}, indent=2) == (
        b'{\n  "a": [\n    1,\n    {\n      "b": []\n    }\n  ],\n  "c": {}\n}'
    )


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b'"text"', b"[" * 100_000])
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidImage, match="the thing is not"):
        loads(raw, "the thing")


@pytest.mark.parametrize("raw", [b'{"\\ud800": ["a\\uDFFFb"]}', b'{"\\ud800": ["a\xed\xbf\xbfb"]}'])
def test_lone_surrogates_are_read_as_go_reads_them(raw: bytes) -> None:
    assert loads(raw, "the thing") == {"\ufffd": ["a\ufffdb"]}


def test_pairs_of_surrogates_are_one_character() -> None:
    assert loads(b'{"a": "\\ud83d\\ude00", "b": 1}', "the thing") == {"a": "\U0001f600", "b": 1}


def test_too_long_a_document_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gojson, "MAX_DOCUMENT", 10)
    with pytest.raises(InvalidImage, match="more than the 10 allowed"):
        loads(b'{"a": "bcdefg"}', "the thing")


def test_reader_takes_null_as_absent() -> None:
    reader = Reader({"a": None}, "it")
    assert (reader.text("a"), reader.integer("a"), reader.flag("a")) == ("", 0, False)
    assert (reader.texts("a"), reader.child("a"), reader.children("a")) == (None, None, ())
    assert (reader.pairs("a"), reader.names("a")) == ((), ())


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("text", 1),
        ("integer", "1"),
        ("integer", True),
        ("flag", 1),
        ("texts", "a"),
        ("texts", [1]),
        ("child", []),
        ("children", {}),
        ("children", [1]),
        ("pairs", []),
        ("pairs", {"a": 1}),
        ("names", []),
    ],
)
def test_reader_names_the_document_and_the_key(method: str, value: object) -> None:
    with pytest.raises(InvalidImage, match="it: 'key' is not"):
        getattr(Reader({"key": value}, "it"), method)("key")
