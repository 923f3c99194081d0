"""Gets snapshots onto the disk after a build, in the background, so that they outlive a power cut.

A snapshot is made by rename, without waiting for the disk. ``python -m layers.durability ROOT`` does one ``syncfs`` and
then marks what was there before it as synced; a store starts it when it is closed and does not wait. Without it nothing
is lost but a cache: unsynced snapshots are made again after the next boot.
"""

import os
import sys
import threading

from layers.records import LayerRecords
from layers.schema import Database
from layers.storecontext import boot_id


def start(root: str) -> None:
    """Starts the syncing process and returns at once. It holds no descriptor of ours, nor our terminal."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment = {"PYTHONPATH": package, "PATH": os.defpath}
    null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    process = os.posix_spawn(
        sys.executable,
        [sys.executable, "-s", "-m", "layers.durability", root],
        environment,
        file_actions=null,
        setsid=True,
    )
    # Whoever lives on after the build must not collect dead children.
    threading.Thread(target=os.waitpid, args=(process, 0), daemon=True).start()


def sync(root: str) -> None:
    """Raises OSError when the disk says that something was not written; then nothing is marked."""
    database = Database(os.path.join(root, "store.db"))
    try:
        layers = LayerRecords(database)
        boot = boot_id()
        made = layers.unsynced(boot)
        if made:
            _syncfs(root)
            with database.transaction():
                layers.set_synced(made, boot)
    finally:
        database.close()


def _syncfs(path: str) -> None:
    """syncfs(2), which Python does not offer."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    if os.path.exists(os.path.join(sys.argv[1], "store.db")):
        sync(sys.argv[1])
