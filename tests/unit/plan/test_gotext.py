import pytest

from builder.plan import gotext
from layers.image import Healthcheck


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("a", '"a"'),
        ("", '""'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("a\nb\tc", r'"a\nb\tc"'),
        ("\x01\x7f", r'"\x01\x7f"'),
        ("grüße €", '"grüße €"'),
        ("\u200b", r'"\u200b"'),
        ("\u00a0", r'"\u00a0"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("\udcff", r'"\xff"'),
    ],
)
def test_quote(text: str, quoted: str) -> None:
    assert gotext.quote(text) == quoted


def test_words() -> None:
    assert gotext.words(["/bin/sh", "-ec"]) == "[/bin/sh -ec]"
    assert gotext.words([]) == "[]"
    assert gotext.quoted_words(["a b", "c"]) == '["a b" "c"]'
    assert gotext.quoted_words([]) == "[]"


SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (1_000_000, "1ms"),
        (100_250_000, "100.25ms"),
        (SECOND, "1s"),
        (SECOND * 3 // 2, "1.5s"),
        (59 * SECOND, "59s"),
        (60 * SECOND, "1m0s"),
        (90 * SECOND, "1m30s"),
        (3600 * SECOND, "1h0m0s"),
        (5400 * SECOND + 1, "1h30m0.000000001s"),
        (100 * 3600 * SECOND, "100h0m0s"),
    ],
)
def test_duration(nanoseconds: int, text: str) -> None:
    assert gotext.duration(nanoseconds) == text


def test_healthcheck() -> None:
    check = Healthcheck(("CMD-SHELL", "true"), interval=5 * SECOND, start_interval=2 * SECOND)
    assert gotext.healthcheck(check) == (
        "{Test:[CMD-SHELL true] Interval:5s Timeout:0s StartPeriod:0s StartInterval:2s Retries:0}"
    )
