"""Names STOPSIGNAL may give: those of Linux and its real-time ones (signal(7)). Pure."""

import re

NAMES = frozenset(
    {
        *("ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE"),
        *("POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU"),
        *("URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX"),
        *(f"RTMIN+{number}" for number in range(1, 16)),
        *(f"RTMAX-{number}" for number in range(1, 15)),
    }
)

_NUMBER = r"[+-]?[0-9]+\Z"


def is_signal(text: str) -> bool:
    """A known name in any case, with or without SIG, or any number but 0."""
    if re.match(_NUMBER, text):
        return int(text) != 0
    return text.upper().removeprefix("SIG") in NAMES
