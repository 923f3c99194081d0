"""The targets of tests/fuzz on their seeds: among them everything that fuzzing has found so far."""

import pytest

from tests.fuzz.targets import TARGETS, seeds

ALL = [(name, data) for name in TARGETS for data in seeds(name)]


@pytest.mark.parametrize(("target", "data"), ALL, ids=lambda value: value if isinstance(value, str) else "")
def test_seeds(target: str, data: bytes) -> None:
    TARGETS[target](data)
