"""What every kind of output has in common: the Target protocol, and the file or pipe an archive goes to."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from builder.events import Emit, Transfer
from builder.plan.fetching import told
from builder.plan.pulling import Bytes
from builder.request import Annotation
from layers.atomic import Write, replacing, write_to
from layers.digest import BlobDigest, Rootfs
from layers.errors import PybuildError
from layers.image import Descriptor
from layers.store import Store
from layers.tuples import NamedTuple

if TYPE_CHECKING:
    from layers.compress import Compression

_REPORT_EVERY = 8 << 20
_STDOUT = 1


class OutputError(PybuildError):
    """An output that cannot be written where it was asked for."""

    code = "output"


class Finished(NamedTuple):
    """An image that is ready to be written. ``epoch`` is SOURCE_DATE_EPOCH; ``created`` seconds since 1970."""

    config: bytes
    rootfs: Rootfs
    clamps: tuple[int | None, ...]
    names: tuple[str, ...]
    """Full names with tags."""
    created: float
    epoch: int | None = None
    annotations: tuple[Annotation, ...] = ()


class Target(Protocol):
    """One ``-o``."""

    @property
    def compression(self) -> "Compression | None":
        """Of the layer blobs it needs; None when it needs none."""

    def check(self) -> None:
        """Finds out before the build what would fail after it. Raises PybuildError."""

    def write(self, image: Finished, store: Store, progress: "Progress") -> Descriptor | None:
        """The descriptor of the manifest, for those that write one. What fails leaves nothing half-written."""


@runtime_checkable
class Receiver(Protocol):
    """A target that takes layers before the image is finished."""

    @property
    def compression(self) -> "Compression | None":
        """As Target's."""

    def receive(self, blob: Descriptor, store: Store) -> None:
        """Begins to send it and returns. What goes wrong is tried again by ``write``, which tells of it."""

    def abort(self) -> None:
        """There will be no image: what was begun is given up."""


class Progress:
    """Reports bytes written, every few megabytes."""

    def __init__(
        self, what: str, emit: Emit, clock: Callable[[], float], check: Callable[[], None] = lambda: None
    ) -> None:
        """``check`` is called at every write, and may raise."""
        self._what = what
        self.check = check
        self._emit = emit
        self._clock = clock
        self._done = 0
        self._reported = 0

    def counting(self, write: Write) -> Write:
        def count(data: bytes | memoryview) -> None:
            self.check()
            write(data)
            self._done += len(data)
            if self._done - self._reported >= _REPORT_EVERY:
                self.report()

        return count

    def part(self, what: str, total: int | None) -> "Bytes":
        """A transfer of its own."""
        return Bytes(what, total, self._emit, self._clock)

    def fetching(self, digest: BlobDigest, done: int, total: int) -> None:
        """A listener of ``Supply.fetch``."""
        told(self._emit, self._clock, None)(digest, done, total)

    def report(self) -> None:
        """A transfer that counted nothing is not told of."""
        if not self._done:
            return
        self._reported = self._done
        self._emit(Transfer(self._clock(), None, self._what, self._done, None))


def check_file(dest: str) -> None:
    """Raises OutputError when a file could not be put at ``dest``."""
    if dest == "-":
        return
    if os.path.isdir(dest):
        raise OutputError(f"output {dest} is a directory", hint="name a file in it")
    check_directory(os.path.dirname(os.path.realpath(dest)), dest)


def check_directory(directory: str, dest: str) -> None:
    """Raises OutputError when nothing can be put into ``directory``, which ``make_way`` would make."""
    place = directory
    while not os.path.lexists(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        raise OutputError(f"output {dest}: {place} is not a directory", hint="name another place")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"output {dest}: directory {place} is not writable")


def make_way(dest: str) -> None:
    """The directories above an output, as buildx makes them."""
    os.makedirs(os.path.dirname(os.path.realpath(dest)), exist_ok=True)


@contextmanager
def opened(dest: str) -> Iterator[Write]:
    """A function that writes the file ``dest``, which appears whole or not at all, or standard output for "-"."""
    try:
        if dest == "-":
            yield write_to(_STDOUT)
            return
        make_way(dest)
        with replacing(dest) as write:
            yield write
    except OSError as error:
        if error.filename is not None:
            raise
        raise OutputError(f"output {dest}: {error.strerror}") from error
