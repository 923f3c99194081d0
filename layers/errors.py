"""The base of every error pybuild raises on purpose, and the errors of this package.

PybuildError
├── IntegrityError    bytes do not have the digest or size they were said to have
├── InvalidImage      a manifest, config or layout that cannot be understood
├── UnsafeArchive     an archive that would write outside its root or cannot be applied
├── SourceChanged     a file that changed between hashing and packing
├── GivenUp           whoever wanted the work done does not want it any more
└── StoreError        the store cannot do what was asked
    ├── NotInStore    a name, blob or layer the store does not hold
    └── StoreBusy     another process holds what is needed
"""

import errno

_ADVICE = {
    errno.ENOSPC: "free some space; pybuild prune removes what no image needs",
    errno.EDQUOT: "free some space; pybuild prune removes what no image needs",
    errno.EROFS: "the file system is mounted read-only: choose another place",
}


def advice(error: OSError) -> str | None:
    """A hint for what the host refused; None when the error itself says what to do."""
    return _ADVICE.get(error.errno or 0)


class PybuildError(Exception):
    """Something to tell the user: what happened (``message``) and what to do about it (``hint``).

    ``code`` is a stable, kebab-case name for scripts.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class IntegrityError(PybuildError):
    code = "integrity"


class InvalidImage(PybuildError):
    code = "invalid-image"


class UnsafeArchive(PybuildError):
    code = "unsafe-archive"


class SourceChanged(PybuildError):
    """A file's bytes are not those its digest was computed from. ``path`` is the host path."""

    code = "source-changed"

    def __init__(self, path: bytes) -> None:
        super().__init__(
            f"{path.decode(errors='backslashreplace')} changed while it was being read",
            hint="wait until nothing writes to the build context, then build again",
        )
        self.path = path


class GivenUp(PybuildError):
    code = "given-up"


class StoreError(PybuildError):
    code = "store"


class NotInStore(StoreError):
    code = "not-in-store"


class StoreBusy(StoreError):
    code = "store-busy"
