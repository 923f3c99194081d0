import signal

import pytest

from builder.plan.signals import is_signal


@pytest.mark.parametrize(
    "text", ["TERM", "SIGTERM", "sigterm", "Term", "9", "+9", "-3", "123", "RTMIN", "SIGRTMIN+15", "rtmax-14", "SIGCLD"]
)
def test_known(text: str) -> None:
    assert is_signal(text)


@pytest.mark.parametrize(
    "text", ["", "0", "SIG", "SIGFOO", "SIGSIGTERM", "RTMIN+16", "RTMAX-15", "TERM ", "1.5", "SIGEMT"]
)
def test_unknown(text: str) -> None:
    assert not is_signal(text)


@pytest.mark.parametrize("member", list(signal.Signals), ids=lambda member: str(member.name))
def test_every_signal_of_linux_is_known(member: signal.Signals) -> None:
    assert is_signal(member.name)
