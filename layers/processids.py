"""The ids this process can give to files. Read once."""

import functools

from layers.idmap import IdMap, parse


@functools.cache
def current() -> IdMap:
    """That of this process. Asked for the first time after it has entered the namespace it works in."""
    with open("/proc/self/uid_map", encoding="ascii") as uids, open("/proc/self/gid_map", encoding="ascii") as gids:
        return IdMap(parse(uids.read()), parse(gids.read()))
