"""Each hostile archive gives its error or its right result, and nothing outside changes."""

from pathlib import Path

import pytest

from tests.support.attack import Attack, run
from tests.support.hostile import ATTACKS

pytestmark = pytest.mark.needs_root


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_hostile_archive(attack: Attack, tmp_path: Path) -> None:
    run(attack, tmp_path)


def test_attacks_have_distinct_names() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names) >= 25
