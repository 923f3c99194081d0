import pytest

from builder.sandbox.capabilities import mask
from builder.sandbox.spec import DEFAULT_CAPABILITIES


def test_the_default_set_is_that_of_buildkit() -> None:
    assert mask(DEFAULT_CAPABILITIES) == 0x00000000A80425FB


def test_the_last_one_known() -> None:
    assert mask(["CHECKPOINT_RESTORE"]) == 1 << 40


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown capability CAP_CHOWN"):
        mask(["CAP_CHOWN"])
