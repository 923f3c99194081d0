"""The command line: the one place that shows errors and exits.

Exit codes: 0 done; 1 it could not be done; 2 it was asked for wrongly; 128 + N stopped by signal N (130: Ctrl-C).
"""

import sys
from collections.abc import Sequence

from builder.cli.quick import read_build
from builder.cli.session import Session, Terminated, completion_wish, nobody_reads, unwinding
from builder.errors import Cancelled
from builder.settings import FlagError
from layers.errors import PybuildError, advice

_FAILED = 1
_USAGE = 2
_SIGPIPE = 141


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code. Everything that goes wrong is shown here."""
    session = Session()
    with unwinding():
        try:
            return _run(sys.argv[1:] if args is None else list(args), session)
        except BaseException as error:
            # Whatever it is, it ends here and becomes an exit code.
            return _ended(error, session)


def _run(words: Sequence[str], session: Session) -> int:
    wish = completion_wish()
    if wish:
        from builder.cli.completion import answer
        from builder.cli.group import cli

        return answer(cli, wish)
    with session.resources:
        given = read_build(words)
        if given is None:
            from builder.cli.group import run

            return run(words, session)
        from builder.cli.building import run_build

        run_build(session, given)
    return 0


def _ended(error: BaseException, session: Session) -> int:
    match error:
        case Terminated():
            code = 128 + error.number
        case KeyboardInterrupt():
            code = 130
        case PybuildError():
            code = _failed(error, session)
        case BrokenPipeError() if nobody_reads():
            code = _SIGPIPE
        case OSError():
            code = _failed(PybuildError(os_message(error), hint=advice(error), code="os"), session, cause=error)
        case _:
            code = _broken(error, session)
    return code


def _failed(error: PybuildError, session: Session, *, cause: OSError | None = None) -> int:
    number = session.interrupts.number
    if number is not None:
        # Steps that were killed by the cancellation end with errors of their own, which say nothing.
        error = Cancelled("the build was interrupted")
    if cause is not None:
        error.__cause__ = cause
    _show(error, session)
    if number is not None:
        return 128 + number
    return _USAGE if isinstance(error, FlagError) else _FAILED


def _show(error: PybuildError, session: Session) -> None:
    from builder.cli.errors import as_fields, describe

    if session.json:
        import json

        text = json.dumps(as_fields(error))
    else:
        text = describe(error, session)
    try:
        _tell(text)
    except OSError:
        # Standard error is gone: the exit code has to say it.
        return


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _broken(error: BaseException, session: Session) -> int:
    """A mistake of pybuild's own."""
    import traceback

    if session.debug:
        _tell("".join(traceback.format_exception(error)).rstrip())
    hint = "please report it, with what this prints when it is run again with --debug"
    _show(PybuildError(f"internal error: {type(error).__name__}: {error}", hint=hint, code="internal"), session)
    return _FAILED


def os_message(error: OSError) -> str:
    """``x: No such file or directory``, without the number."""
    names = [name for name in (error.filename, error.filename2) if name is not None]
    texts = [name.decode(errors="backslashreplace") if isinstance(name, bytes) else str(name) for name in names]
    problem = error.strerror or str(error)
    return f"{' -> '.join(texts)}: {problem}" if texts else problem
