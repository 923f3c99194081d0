"""What a command sees as /etc/hosts and /etc/resolv.conf, on the host's network. Pure.

Both are mounted, never written into the root filesystem, so that they are no part of a layer (reference part L).
"""

from collections.abc import Iterable

from builder.sandbox.spec import FileMount

HOSTS_PATH = "/etc/hosts"
RESOLV_CONF_PATH = "/etc/resolv.conf"
_MODE = 0o644


def hosts(hostname: str, extra: Iterable[tuple[str, str]] = ()) -> bytes:
    """``extra`` are (address, name) pairs of ``--add-host``, in order."""
    lines = [f"127.0.0.1\tlocalhost {hostname}".rstrip(), "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{address}\t{name}" for address, name in extra]
    return "".join(f"{line}\n" for line in lines).encode()


def network_files(hostname: str, resolv_conf: bytes, extra: Iterable[tuple[str, str]] = ()) -> tuple[FileMount, ...]:
    """The two files as mounts. ``resolv_conf`` is the host's, empty when it has none: its network is used, so its
    name servers are right as they are, a resolver on the loopback address included."""
    return (
        FileMount(HOSTS_PATH, hosts(hostname, extra), _MODE),
        FileMount(RESOLV_CONF_PATH, resolv_conf, _MODE),
    )
