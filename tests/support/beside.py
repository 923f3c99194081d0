"""Processes beside a build, watched and killed by tests."""

import pytest

from layers.beside import Beside


def watch_starts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules of those that are started from now on."""
    names: list[str] = []
    start = Beside._start

    def counted(self: Beside) -> object:
        names.append(self._module)
        return start(self)

    monkeypatch.setattr(Beside, "_start", counted)
    return names


def kill_at(monkeypatch: pytest.MonkeyPatch, answers: int) -> list[str]:
    """Kills the process that is asked for an answer after so many. Returns the modules of those asked."""
    asked: list[str] = []
    receive = Beside.receive

    def killed(self: Beside) -> bytes:
        if len(asked) == answers:
            assert self._process is not None
            self._process.kill()
            self._process.wait()
        asked.append(self._module)
        return receive(self)

    monkeypatch.setattr(Beside, "receive", killed)
    return asked
