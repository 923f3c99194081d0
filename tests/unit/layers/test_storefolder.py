import subprocess
from pathlib import Path

import pytest

from layers.store import Store
from layers.storefolder import spread


def flags(directory: Path) -> str | None:
    """The letters of lsattr(1); None where the file system has none."""
    told = subprocess.run(["lsattr", "-d", directory], check=False, capture_output=True, text=True)
    return told.stdout.split()[0] if told.returncode == 0 else None


def kind(directory: Path) -> str:
    return subprocess.run(["stat", "-f", "-c", "%T", directory], check=True, capture_output=True, text=True).stdout


def test_a_new_store_spreads_its_layers_over_the_disk(store: Store, tmp_path: Path) -> None:
    if "ext" not in kind(tmp_path):
        pytest.skip("the temporary directory is not on ext4")
    told = flags(tmp_path / "store" / "tmp")
    assert told is not None
    assert "T" in told


def test_other_flags_stay(tmp_path: Path) -> None:
    if "ext" not in kind(tmp_path):
        pytest.skip("the temporary directory is not on ext4")
    subprocess.run(["chattr", "+d", tmp_path], check=True)
    spread(str(tmp_path))
    told = flags(tmp_path)
    assert told is not None
    assert {"d", "T"} <= set(told)


@pytest.mark.parametrize("place", ["/proc/self", "/dev/shm"])
def test_a_file_system_without_the_flag_is_left_alone(place: str) -> None:
    before = flags(Path(place))
    spread(place)
    assert flags(Path(place)) == before
