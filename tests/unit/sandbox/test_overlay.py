import pytest

from builder.sandbox.overlay import MAX_LOWERS, MAX_OPTIONS, OverlayMount, TooManyLayers, describe
from builder.sandbox.spec import OverlayRoot


def test_the_lowest_layer_comes_last_and_paths_are_short() -> None:
    root = OverlayRoot("/store/snapshots", ("1", "2", "30"), "/store/snapshots/w/upper", "/store/work")
    assert describe(root, "/empty") == OverlayMount(
        "/store/snapshots",
        "userxattr,volatile,index=off,metacopy=off,lowerdir=30:2:1,upperdir=w/upper,workdir=/store/work",
    )


def test_an_empty_directory_stands_in_for_no_layer() -> None:
    assert "lowerdir=/empty,upperdir" in describe(OverlayRoot("/s", (), "/u", "/w"), "/empty").options


def test_separators_in_paths_are_escaped() -> None:
    options = describe(OverlayRoot("/s", ("a:b", "c,d"), "/u,p:q", "/w\\x"), "/empty").options
    assert options.endswith(r"lowerdir=c\,d:a\:b,upperdir=/u\,p:q,workdir=/w\\x")


def test_limits_of_the_kernel_are_checked_first() -> None:
    deepest = OverlayRoot("/s", tuple(map(str, range(MAX_LOWERS))), "/s/u", "/s/w")
    assert len(describe(deepest, "/empty").options) <= MAX_OPTIONS
    with pytest.raises(TooManyLayers, match="501 layers"):
        describe(deepest._replace(lowers=(*deepest.lowers, "x")), "/empty")
    with pytest.raises(TooManyLayers, match=r"40 layers need .* bytes"):
        describe(deepest._replace(lowers=tuple(f"{name:0>120}" for name in range(40))), "/empty")
