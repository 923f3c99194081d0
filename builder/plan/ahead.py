"""Directories of a large context listed before the walk comes to them, by processes beside it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from builder.plan.hashing import Check, Wanted
from builder.plan.hostfiles import HostFiles
from builder.plan.listing import Listing
from layers.errors import PybuildError

if TYPE_CHECKING:
    from builder.plan.contexthelper import ContextHelper, Listed, Pending

MANY = 2048
"""Files that are worth a process to hash them: fewer are hashed before it has started."""

SOME = 64
"""Files that are worth a message to one that is there."""

FEW = 1500
"""Names after which a context is worth a process."""

OWN = 12
"""Directories that the walk comes to next, and reads itself, if nothing but stats is wanted of them."""

SHARE = 8
"""Directories given away at once, with all that is below them."""

_SIGHT = 256
"""How many of the directories that are to come are looked at for a share."""


class Help:
    """Context manager: the process beside a walk over ``files``, and what it is made with, once it is needed. Most
    builds do without."""

    def __init__(self, files: HostFiles, check: Check) -> None:
        self._files = files
        self._check = check
        self._helper: ContextHelper | None = None

    def helper(self) -> "ContextHelper":
        if self._helper is None:
            from builder.plan.contexthelper import ContextHelper

            self._helper = ContextHelper(self._files.root, self._files.matcher, self._check)
        return self._helper

    def begin(self, wanted: Sequence[Wanted]) -> "Pending | None":
        """Hashes files there, if it is worth it."""
        enough = len(wanted) >= (SOME if self._helper is not None else MANY)
        return self.helper().begin(wanted) if enough else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._helper is not None:
            self._helper.close()


class Ahead:
    """``files`` for a walk that takes directories off the end of a list. Without ``help``, nothing is done ahead."""

    def __init__(self, files: HostFiles, help: Help | None) -> None:
        self.thorough = False
        """Whether files are hashed ahead, too: of a context of which nothing is known."""
        self._files = files
        self._help = help
        self._away: dict[bytes, Listed] = {}
        self._seen = 0
        self._next: list[bytes] = []
        """What this process reads while it waits for stats."""

    def listing(self, path: bytes, todo: Sequence[bytes]) -> Listing | None:
        """Of ``path``, which is a directory that ends ``todo``, or did."""
        share = self._away.pop(path, None)
        if share is not None:
            while not self.thorough and not share.ready() and self._read_another(todo):
                pass
            self._files.adopt(share.result())
        listing = self._files.listing(path)
        if self._help is not None and listing is not None:
            self._seen += listing.size
            if self._seen >= FEW and len(todo) > OWN:
                self._give_away(self._help.helper(), todo)
        return listing

    def _read_another(self, todo: Sequence[bytes]) -> bool:
        """One of the directories that are to come, and that nobody else reads. False when there is none in sight."""
        if not self._next:
            self._next += self._free(todo, 0, 1)
            if not self._next:
                return False
        path = self._next.pop()
        try:
            listing = self._files.listing(path)
        except (PybuildError, OSError):
            return False  # told when the walk comes there, if nothing before it is wrong
        if listing is not None:
            prefix = path + b"/" if path else b""
            self._next += [prefix + name for name in reversed(listing.folders)]
        return True

    def _give_away(self, helper: "ContextHelper", todo: Sequence[bytes]) -> None:
        own = 0 if self.thorough else OWN
        while helper.has_room(thorough=self.thorough):
            folders = self._free(todo, own, SHARE)
            job = helper.walk(folders, thorough=self.thorough) if len(folders) >= SHARE // 2 else None
            if job is None:
                return
            self._away.update(dict.fromkeys(folders, job))

    def _free(self, todo: Sequence[bytes], passed: int, number: int) -> list[bytes]:
        """The next ``number`` that nobody has read or reads, after so many that are ``passed`` over."""
        found: list[bytes] = []
        for path in reversed(todo[-_SIGHT:]):
            if path in self._away or self._files.knows(path):
                continue
            if passed:
                passed -= 1
                continue
            found.append(path)
            if len(found) == number:
                break
        return found
