"""What a RUN mounts, and how its content enters the key."""

import pytest

from builder.errors import PlanError, Span
from builder.plan.graph import RunOp
from builder.plan.mounts import BindMount, CacheMount, TmpfsMount
from builder.plan.select_mounts import Chosen, MountSelection, choose, sources
from tests.support.plans import PLATFORM
from tests.support.trees import Content, MemoryTree, directory, file, link

SPAN = Span("Dockerfile", 2, 2)
CONTENT: dict[str, Content] = {
    "d": directory(mode=0o700),
    "d/f": b"1",
    "g": file(b"2"),
    "link": link("/d"),
    "loop": link("loop"),
    "dangling": link("/nowhere"),
}


def chosen(path: str, **changes: Content) -> Chosen:
    return choose(path, MemoryTree({**CONTENT, **changes}), None, SPAN)


@pytest.mark.parametrize(
    ("path", "found"),
    [("/", b""), ("/d", b"d"), ("d/", b"d"), ("/link", b"d"), ("/link/f", b"d/f"), ("/../g", b"g")],
)
def test_links_are_followed_inside(path: str, found: bytes) -> None:
    assert chosen(path).entry.path == found


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/no", "RUN --mount: source /no: not found"),
        ("/dangling", "RUN --mount: source /dangling: not found"),
        ("/g/x", "RUN --mount: source /g/x: not found"),
        ("/d/*", "RUN --mount: source /d/*: not found"),
        ("/loop", "RUN --mount: source /loop: Too many levels of symbolic links"),
    ],
)
def test_what_is_not_there(path: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        chosen(path)
    assert caught.value.message == message and caught.value.hint and caught.value.span == SPAN


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/d", {"d": directory(mode=0o755), "d/f": b"1"}),
        ("/d", {"d": directory(mode=0o700, uid=1), "d/f": b"1"}),
        ("/d", {"d/f": b"other"}),
        ("/d", {"d/new": b""}),
        ("/", {"d": directory(mode=0o755), "d/f": b"1"}),
        ("/g", {"g": file(b"other")}),
        ("/g", {"g": file(b"2", mode=0o600)}),
        ("/link", {"d/f": b"other"}),
    ],
)
def test_what_changes_the_digest(path: str, changes: dict[str, Content]) -> None:
    assert chosen(path).digest() != chosen(path, **changes).digest()


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/d", {"g": b"other"}),
        ("/d", {"d": directory(mode=0o700, mtime=9), "d/f": file(b"1", mtime=9)}),
        ("/g", {"d/f": b"other"}),
    ],
)
def test_what_does_not(path: str, changes: dict[str, Content]) -> None:
    assert chosen(path).digest() == chosen(path, **changes).digest()


def test_of_all_mounts_the_places_count() -> None:
    one, other = chosen("/d"), chosen("/g")
    digests = {
        MountSelection(each).digest()
        for each in ((one, other), (other, one), (one, None), (None, one), (one,), (one, None, other))
    }
    assert len(digests) == 5, "only (one, None) and (one,) are the same"


def test_sources() -> None:
    mounts = (
        TmpfsMount("/t", 0, False),
        BindMount("/b", "/s", True, 1),
        CacheMount("/c", "/c", "shared", False, "/", None),
        CacheMount("/d", "/d", "shared", False, "/x", 2),
    )
    op = RunOp(("true",), (), "/", "", "host", "h", (), (), PLATFORM, mounts)
    assert sources(op) == (None, (1, "/s"), None, (2, "/x"))
