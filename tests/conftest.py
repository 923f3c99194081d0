"""Shared fixtures, and the markers that say what a test needs of its machine.

In CI (``CI`` set) what a test needs is required: a missing tool or privilege fails the test instead of skipping it.
"""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent
FIXTURES = REPOSITORY / "fixtures"
IN_CI = bool(os.environ.get("CI"))

# In CI the same examples every time: a change is judged by what it changed. New ones are looked for everywhere else.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("everywhere", deadline=None)
settings.load_profile("ci" if IN_CI else "everywhere")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files from what the code gives now")


def _missing(item: pytest.Item) -> str | None:
    if item.get_closest_marker("needs_root") and not has_admin():
        return "needs CAP_SYS_ADMIN in the initial user namespace (run as root)"
    for marker in item.iter_markers("needs_tool"):
        for tool in marker.args:
            if shutil.which(tool) is None:
                return f"needs the program {tool}"
    return None


def has_admin() -> bool:
    """CAP_SYS_ADMIN (bit 21) in the initial user namespace (whose map covers all 32-bit ids)."""
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    whole = Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
    return whole and bool(int(effective.split()[1], 16) >> 21 & 1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = _missing(item)
    if missing is None:
        return
    if IN_CI:
        pytest.fail(f"required in CI: {missing}")
    pytest.skip(missing)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the caller's settings."""
    for name in tuple(os.environ):
        if name.startswith(("PYBUILD_", "DOCKER_", "BUILDKIT_", "BUILDX_")) or name in {
            "SOURCE_DATE_EPOCH",
            "NO_COLOR",
        }:
            monkeypatch.delenv(name)


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
