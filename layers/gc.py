"""What may go: after a power cut, after processes that died, and what nobody reaches any more.

Everything is decided and renamed away while the gate is held alone, and deleted after.
"""

import fcntl
import os
import re
from collections.abc import Iterable, Sequence

from layers.buildrecords import ImageTable, StepTable
from layers.digest import LayerId, Rootfs
from layers.errors import IntegrityError, NotInStore
from layers.keptindexes import keep, keepable, outdated
from layers.leases import held, remove_tree
from layers.storecontext import StoreContext
from layers.tuples import NamedTuple
from layers.webfiles import WebFileTable

RECENT_SECONDS = 7 * 24 * 3600
"""Steps used, and unnamed images made, within this time survive a plain prune."""

_NUMBER = re.compile(r"[0-9]+\Z")


class PruneReport(NamedTuple):
    """How many went, and the bytes of disk that came free."""

    layers: int
    blobs: int
    steps: int
    images: int
    bytes: int


class Collector:
    def __init__(self, context: StoreContext, steps: StepTable, images: ImageTable) -> None:
        self._context = context
        self._steps = steps
        self._images = images

    def after_boot(self) -> None:
        """In a new boot: forgets what may not have reached the disk before the old one ended, and what stands on it."""
        context = self._context
        with context.gate.exclusive():
            with context.database.transaction():
                if context.layers.setting("boot") == context.boot:
                    return
                context.layers.forget_unsynced(context.boot)
                self._delete_layers(context.layers.without_bytes())
                context.layers.set_setting("boot", context.boot)
            trash = self._take_orphans()
        _remove(trash)

    def forget_made(self, setting: str, value: str) -> None:
        """Forgets all steps, and everything that is kept as files of a layer only; a setting says so."""
        context = self._context
        with context.gate.exclusive():
            with context.database.transaction():
                context.layers.forget_snapshots()
                self._steps.delete([step.key for step in self._steps.uses()])
                self._delete_layers(context.layers.without_bytes() | context.layers.out_of_reach())
                context.layers.set_setting(setting, value)
            trash = self._take_orphans()
        _remove(trash)

    def orphans(self) -> None:
        """Removes snapshots and indexes that a process left when it died between rename and commit."""
        with self._context.gate.exclusive():
            trash = self._take_orphans()
        _remove(trash)

    def prune(self, *, everything: bool) -> PruneReport:
        """Removes what neither named images, nor living processes, nor (unless ``everything``) recent builds need."""
        context = self._context
        since = context.clock() if everything else context.clock() - RECENT_SECONDS
        # First: on a disk that is full the records cannot be written before something has gone.
        swept = context.blobs.sweep()
        with context.gate.exclusive():
            with context.database.transaction():
                before = len(context.layers.places())
                steps, images = len(self._steps.uses()), len(self._images.all())
                kept = self._forget(since, everything=everything)
                gone = before - len(context.layers.places())
                steps -= len(self._steps.uses())
                images -= len(self._images.all())
            if not everything:
                keep(kept, context)
            trash = self._take_orphans() + [self._take(path) for path in outdated(context, everything=everything)]
            blobs = self._take_blobs()
            trash += self._take_repositories(since)
        if everything:
            context.files.clear()
            context.directories.clear()
        freed = swept + _remove(trash) + _remove(blobs)
        return PruneReport(gone, len(blobs), steps, images, freed)

    def _forget(self, since: float, *, everything: bool) -> dict[LayerId, str]:
        """Returns the layers whose indexes may be kept, see ``layers.keptindexes``. Names that are digests are nobody's
        to move, as tags are, so they would pile up: with ``everything`` they keep nothing."""
        context = self._context
        leased = held(os.path.join(context.root, "leases")).layers
        roots: list[Iterable[LayerId]] = [leased]
        for image in self._images.all():
            if any(not everything or "@" not in name for name in image.names) or image.created_at > since:
                roots.append(image.rootfs)
            elif not _in_use(image.rootfs, leased):
                self._images.delete((image.id,))
        uses = self._steps.uses()
        self._steps.delete(step.key for step in uses if step.used <= since and not _in_use(step.rootfs, leased))
        roots += [step.rootfs for step in uses if step.used > since]
        places = context.layers.places()
        lost = set(places) - _closure(roots, places)
        kept = keepable(lost, places, context)
        self._delete_layers(lost)
        context.layers.forget_blobs_of_nobody()
        context.supply.claims.forget_lost()
        context.supply.origins.forget_lost()
        WebFileTable(context.database, context.clock).forget(since)
        return kept

    def _delete_layers(self, gone: set[LayerId]) -> None:
        """With every layer, step and image that stands on them. In a transaction of the caller."""
        if not gone:
            return
        places = self._context.layers.places()
        for layer in sorted(places):
            if gone.intersection(places[layer]):
                gone.add(layer)
        self._steps.delete(step.key for step in self._steps.uses() if gone.intersection(step.rootfs))
        self._images.delete(image.id for image in self._images.all() if gone.intersection(image.rootfs))
        self._context.layers.delete(gone)

    def _take_orphans(self) -> list[str]:
        """Moves snapshots and indexes without a record into this lease's directory. The gate is held alone."""
        context = self._context
        trash = []
        for directory, known in (
            (context.snapshots, context.layers.with_snapshot()),
            (context.indexes, context.layers.with_index()),
        ):
            for name in os.listdir(directory):
                if _NUMBER.match(name) and LayerId(int(name)) not in known:
                    trash.append(self._take(os.path.join(directory, name)))
        return trash

    def _take_blobs(self) -> list[str]:
        context = self._context
        keep = context.layers.blob_digests() | held(os.path.join(context.root, "leases")).blobs
        keep |= WebFileTable(context.database, context.clock).digests()
        return [self._take(context.blobs.path(digest)) for digest in context.blobs if digest not in keep]

    def _take_repositories(self, since: float) -> list[str]:
        """Those of git that were not used after ``since``, and that nobody works in."""
        top = os.path.join(self._context.root, "git")
        trash = []
        for name in os.listdir(top) if os.path.isdir(top) else ():
            path = os.path.join(top, name)
            if not name.endswith(".lock") or not _idle_since(path.removesuffix(".lock"), since):
                continue
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.exists(path.removesuffix(".lock")):
                    trash.append(self._take(path.removesuffix(".lock")))
            except BlockingIOError:
                continue
            finally:
                os.close(lock)
        return trash

    def _take(self, path: str) -> str:
        target = self._context.lease.temporary("trash")
        os.rename(path, target)
        return target

    def check(self) -> list[str]:
        """Reads everything; returns one line per fault."""
        context = self._context
        with context.gate.shared():
            places = context.layers.places()
            snapshots = context.layers.with_snapshot()
            indexes = context.layers.with_index()
            lost = context.layers.blob_digests().difference(context.blobs)
            users = [(f"step {step.key}", step.rootfs) for step in self._steps.uses()]
            users += [(f"image {image.id}", image.rootfs) for image in self._images.all()]
            users += [(f"layer {layer}", below) for layer, below in places.items()]
            faults = [
                f"{user} stands on layer {layer}, which is not there"
                for user, rootfs in users
                for layer in rootfs
                if layer not in places
            ]
            faults += [f"layer {layer} has no bytes" for layer in sorted(context.layers.without_bytes())]
            faults += [
                f"layer {layer} has no bytes, and no known origin" for layer in sorted(context.layers.out_of_reach())
            ]
            faults += _missing("snapshot", context.snapshots, snapshots)
            faults += _missing("index", context.indexes, indexes)
            faults += [f"blob {digest} is not there" for digest in sorted(lost)]
        for digest in context.blobs:
            try:
                with context.blobs.open(digest) as reader:
                    reader.drain()
            except NotInStore:
                continue  # pruned meanwhile
            except IntegrityError as error:
                faults.append(error.message)
        return faults + self._unfinished()

    def _unfinished(self) -> list[str]:
        """Rubbish of processes that are gone."""
        temporary = os.path.join(self._context.root, "tmp")
        leases = set(os.listdir(os.path.join(self._context.root, "leases")))
        return [f"tmp/{name} belongs to no process" for name in os.listdir(temporary) if name not in leases]


def _idle_since(path: str, since: float) -> bool:
    try:
        return os.stat(path).st_mtime <= since
    except FileNotFoundError:
        return False


def _in_use(rootfs: Rootfs, leased: frozenset[LayerId]) -> bool:
    return bool(rootfs) and leased.issuperset(rootfs)


def _closure(roots: Sequence[Iterable[LayerId]], places: dict[LayerId, Rootfs]) -> set[LayerId]:
    """The layers of ``roots``, with all that was below them when they were made."""
    kept: set[LayerId] = set()
    todo = [layer for root in roots for layer in root]
    while todo:
        layer = todo.pop()
        if layer not in kept:
            kept.add(layer)
            todo += places.get(layer, ())
    return kept


def _missing(what: str, directory: str, layers: Iterable[LayerId]) -> list[str]:
    there = set(os.listdir(directory))
    return [f"layer {layer} has lost its {what}" for layer in sorted(layers) if str(layer) not in there]


def _remove(paths: Iterable[str]) -> int:
    return sum(remove_tree(path) for path in paths)
