"""Errors that know where in a Dockerfile they come from.

PybuildError (layers.errors)
└── BuildError        adds a Span
    ├── ParseError    the text is not a Dockerfile
    ├── PlanError     the Dockerfile cannot be planned (unknown stage, missing source, unsupported option)
    ├── Unsupported   something BuildKit does and pybuild does not do yet
    ├── StepFailed    a RUN ended with an exit code other than 0, or another step could not be done
    └── Cancelled     the user or another step's failure stopped it
"""

from layers.errors import PybuildError
from layers.tuples import NamedTuple


class Span(NamedTuple):
    """Lines of a file, 1-based and inclusive; ``column`` (0-based, in characters) and ``width`` point into the first.

    ``width`` 0 means the whole line.
    """

    path: str
    first_line: int
    last_line: int
    column: int = 0
    width: int = 0


class BuildError(PybuildError):
    """A PybuildError with the place in a Dockerfile it is about, if there is one.

    ``about`` is the word that is meant, as it is written there, when the span is that of a whole instruction.
    """

    def __init__(
        self,
        message: str,
        *,
        span: Span | None = None,
        hint: str | None = None,
        code: str | None = None,
        about: str = "",
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.span = span
        self.about = about


class ParseError(BuildError):
    code = "parse"


class PlanError(BuildError):
    code = "plan"


class Unsupported(BuildError):
    code = "unsupported"


class StepFailed(BuildError):
    """``exit_code`` is None when the command did not run; ``tail`` is the end of its output, as bytes."""

    code = "step-failed"

    def __init__(
        self,
        message: str,
        *,
        span: Span | None = None,
        hint: str | None = None,
        exit_code: int | None = None,
        tail: bytes = b"",
    ) -> None:
        super().__init__(message, span=span, hint=hint)
        self.exit_code = exit_code
        self.tail = tail


class Cancelled(BuildError):
    code = "cancelled"
