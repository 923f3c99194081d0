"""How long things may take, and when a request is sent again."""

import random
import time
from collections.abc import Callable, Mapping

from layers.tuples import NamedTuple
from registry.errors import RegistryError
from registry.messages import DEFAULT_TIMEOUTS, Response, Timeouts

_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_NOT_DONE = frozenset({429, 503})
"""Answers that say nothing was done: even what must not be done twice may be tried again."""


class Patience(NamedTuple):
    """``attempts`` at one request; seconds of the first wait, which doubles, of the longest, and of the longest
    Retry-After that is waited for. Each wait is between half and all of that.
    """

    attempts: int = 5
    first_s: float = 0.5
    longest_s: float = 16.0
    retry_after_s: float = 90.0

    def wait(self, attempt: int, jitter: float) -> float:
        """Seconds after the ``attempt``-th failure, from 0; ``jitter`` is between 0 and 1."""
        return min(self.longest_s, self.first_s * 2.0**attempt) * (0.5 + jitter / 2)


DEFAULT_PATIENCE = Patience()


class Clock(NamedTuple):
    """Time and chance, to be replaced in tests."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


DEFAULT_CLOCK = Clock()


class Pace(NamedTuple):
    """How long things may take."""

    clock: Clock = DEFAULT_CLOCK
    patience: Patience = DEFAULT_PATIENCE
    timeouts: Timeouts = DEFAULT_TIMEOUTS


DEFAULT_PACE = Pace()


def repeated(pace: Pace, send: Callable[[], Response], *, once: bool = False) -> Response:
    """``send`` with new attempts where they may help; the last answer, whatever its status."""
    clock, patience = pace.clock, pace.patience
    attempt = 0
    while True:
        last = attempt + 1 >= patience.attempts
        try:
            response = send()
        except RegistryError as error:
            if last or once or not error.temporary:
                raise
            wait = patience.wait(attempt, clock.jitter())
        else:
            if last or response.status not in (_NOT_DONE if once else _TRY_AGAIN):
                return response
            asked = retry_after(response.headers)
            if asked is not None and asked > patience.retry_after_s:
                return response
            response.close()
            wait = patience.wait(attempt, clock.jitter()) + (asked or 0.0)
        clock.sleep(wait)
        attempt += 1


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3); a date is taken relative to the Date header."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal() and len(text) < 10:
        return float(text)
    if not text or "date" not in headers:
        return None
    from email.utils import parsedate_to_datetime

    try:
        seconds = (parsedate_to_datetime(text) - parsedate_to_datetime(headers["date"])).total_seconds()
    except (ValueError, TypeError):
        return None
    return max(0.0, seconds)
