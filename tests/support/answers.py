"""Answers from memory, for what talks to a registry through an Exchange."""

from collections.abc import Callable, Iterator, Mapping

from registry.endpoints import HostSettings
from registry.errors import BadAnswer
from registry.messages import CHUNK, Request, Response


class Answered:
    """An answer with its whole body."""

    def __init__(self, status: int = 200, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        self.status = status
        self.headers: Mapping[str, str] = headers or {}
        self.url = ""
        self.closed = False
        self._body = body

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        for begin in range(0, len(self._body), size):
            yield self._body[begin : begin + size]

    def read(self, limit: int, what: str = "an answer") -> bytes:
        if len(self._body) > limit:
            raise BadAnswer(f"{what} is too long")
        return self._body

    def close(self) -> None:
        self.closed = True


class Script:
    """An Exchange that gives these answers in turn (an exception is raised), and keeps what it was sent."""

    def __init__(self, *answers: Answered | Exception | Callable[[Request], Answered]) -> None:
        self._answers = list(answers)
        self.sent: list[Request] = []
        self.settings: list[HostSettings] = []

    def __call__(self, request: Request, settings: HostSettings) -> Response:
        self.sent.append(request)
        self.settings.append(settings)
        assert self._answers, f"nothing more was expected, but {request}"
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found = answer if isinstance(answer, Answered) else answer(request)
        found.url = request.url
        return found

    @property
    def lines(self) -> list[str]:
        return [f"{request.method} {request.url}" for request in self.sent]
