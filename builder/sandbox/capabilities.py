"""Capabilities by name, as the kernel's bit masks. Numbers: include/uapi/linux/capability.h. Pure."""

from collections.abc import Iterable

_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
    "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
    "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
NUMBERS = {name: number for number, name in enumerate(_NAMES.split())}


def mask(names: Iterable[str]) -> int:
    """Names without ``CAP_``. Raises ValueError for a name that is none."""
    bits = 0
    for name in names:
        if name not in NUMBERS:
            raise ValueError(f"unknown capability {name}")
        bits |= 1 << NUMBERS[name]
    return bits


ALL = tuple(NUMBERS)
