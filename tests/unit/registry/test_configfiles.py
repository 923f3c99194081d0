"""Docker's config.json as builds read it."""

from pathlib import Path

import pytest

from registry.configfiles import docker_config
from registry.errors import CredentialError


def test_where_it_is(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text('{"a": 1}')
    (tmp_path / "config.json").write_text('{"a": 2}')
    assert docker_config({"HOME": str(tmp_path)}) == {"a": 1}
    assert docker_config({"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path)}) == {"a": 2}


def test_none(tmp_path: Path) -> None:
    assert docker_config({"HOME": str(tmp_path)}) == {}
    (tmp_path / "config.json").write_text(" \n")
    assert docker_config({"DOCKER_CONFIG": str(tmp_path)}) == {}


def test_one_that_is_not_for_this_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert docker_config({"DOCKER_CONFIG": str(tmp_path)}) == {}


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "\0", "[" * 100_000])
def test_one_that_is_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CredentialError, match=r"config\.json is not a JSON object"):
        docker_config({"DOCKER_CONFIG": str(tmp_path)})
