"""layers.tuples.NamedTuple beside that of typing."""

import copy
import pickle
import typing

import pytest

from layers.tuples import NamedTuple


class Span(NamedTuple):
    """Where something is."""

    path: str
    first: int = 1
    last: int | None = None
    """None: where it begins."""

    @property
    def length(self) -> int:
        return (self.last or self.first) - self.first + 1

    @classmethod
    def nowhere(cls) -> "Span":
        return cls("", 0)


class Peer(typing.NamedTuple):
    path: str
    first: int = 1
    last: int | None = None


class Empty(NamedTuple):
    pass


def test_values() -> None:
    span = Span("Dockerfile", last=4)
    assert tuple(span) == ("Dockerfile", 1, 4)
    assert issubclass(Span, tuple)
    assert (span.path, span.first, span.last, span.length) == ("Dockerfile", 1, 4, 4)
    assert span._replace(first=2) == Span("Dockerfile", 2, 4)
    assert span._asdict() == {"path": "Dockerfile", "first": 1, "last": 4}
    assert Span._make(["x", 2, 3]) == Span("x", 2, 3)
    assert Span.nowhere() == Span("", 0)
    assert hash(span) == hash(Span("Dockerfile", 1, 4))
    assert copy.copy(span) == copy.deepcopy(span) == pickle.loads(pickle.dumps(span)) == span
    assert len(Empty()) == 0
    match span:
        case Span(path, first, last=4):
            assert (path, first) == ("Dockerfile", 1)
        case _:
            raise AssertionError(span)


def test_class() -> None:
    for name in ("_fields", "_field_defaults", "__match_args__", "__annotations__"):
        assert getattr(Span, name) == getattr(Peer, name)
    assert Span.__doc__ == "Where something is."
    assert (Span.__name__, Span.__module__, type(Span)) == ("Span", __name__, type)
    assert not hasattr(Span("x"), "__dict__")


def test_repr() -> None:
    assert repr(Span("x", 2)) == repr(Peer("x", 2)).replace("Peer", "Span")
    assert repr(Empty()) == "Empty()"


CALLS: tuple[typing.Callable[[typing.Any], object], ...] = (
    lambda made: made(),
    lambda made: made("x", 1, 2, 3),
    lambda made: made("x", line=3),
    lambda made: made("x", path="y"),
    lambda made: made("x")._replace(line=3),
    lambda made: made._make([]),
    lambda made: setattr(made("x"), "path", "y"),
    lambda made: setattr(made("x"), "other", "y"),
)


@pytest.mark.parametrize("call", CALLS)
def test_refusals(call: typing.Callable[[typing.Any], object]) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)) as theirs:
        call(Peer)
    with pytest.raises(theirs.type) as own:
        call(Span)
    assert str(own.value) == str(theirs.value).replace("Peer", "Span")
