"""The ids a store's files were written with: those of the user namespace that is built in.

Files of snapshots have the ids of the namespace they were made in (``layers.idmap``). In another namespace they would
belong to others, so a store remembers the map. What was written with a single id anybody can remove: such a store is
emptied of what it made when its user comes with more ids, and goes on. Any other change is an error.
"""

import os

from layers.errors import StoreBusy, StoreError
from layers.gc import Collector
from layers.idmap import SETTING, parse_text
from layers.leases import held
from layers.processids import current
from layers.storecontext import StoreContext


def match(context: StoreContext, collector: Collector) -> None:
    """Raises StoreError when the store's files were written with ids that mean others now."""
    now, before = current(), context.layers.setting(SETTING)
    if before is not None and not now.agrees(parse_text(before)):
        if not parse_text(before).one_user:
            raise StoreError(
                f"the files of the store {context.root} were written with other user ids than today's",
                hint="restore the ranges of /etc/subuid and /etc/subgid, name another store with --root,"
                f" or remove this one as root: sudo rm -rf {context.root}",
            )
        if held(os.path.join(context.root, "leases")).layers:
            raise StoreBusy(
                f"the store {context.root} is in use by a process with a single user id", hint="wait until it has ended"
            )
        collector.forget_made(SETTING, now.text())
        return
    if before != now.text():
        context.layers.set_setting(SETTING, now.text())
