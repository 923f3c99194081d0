"""EXPOSE's words to ``port/protocol`` texts (Docker's port specifications: ``[ip:][host:]container``). Pure."""

import re
from collections.abc import Iterable

_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})
_NUMBER = r"[+-]?[0-9]+\Z"
_IPV4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}\Z"
_IPV6 = r"\[?[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(?:%[^\]]+)?\]?\Z"
_MAX_PORT = 65535


def parse_ports(words: Iterable[str]) -> tuple[str, ...]:
    """``8080/tcp`` texts in the order of the words, ranges spelled out. Raises ValueError naming the word."""
    return tuple(port for word in words for port in _ports(word))


def mapped(word: str) -> bool:
    """Whether ``word`` names a host port or address, which EXPOSE has no use for."""
    return ":" in word


def _ports(word: str) -> list[str]:
    address, host, container = _split(word)
    port, _, protocol = container.partition("/")
    if not port:
        raise ValueError(f'invalid port: "{word}": no port specified')
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise ValueError(f'invalid port: "{word}": invalid proto: {protocol}')
    if address and not (_valid_ipv4(address) or re.match(_IPV6, address)):
        raise ValueError(f"invalid IP address: {address}")
    first, last = _range(port, "containerPort")
    if host:
        host_first, host_last = _range(host, "hostPort")
        if host_last - host_first != last - first and first != last:
            raise ValueError(f"invalid ranges specified for container and host Ports: {port} and {host}")
    return [f"{number}/{protocol}" for number in range(first, last + 1)]


def _split(word: str) -> tuple[str, str, str]:
    parts = word.rsplit(":", 2)
    return ("", "", *parts)[-3], ("", *parts)[-2], parts[-1]


def _valid_ipv4(address: str) -> bool:
    return bool(re.match(_IPV4, address)) and all(int(part) <= 255 for part in address.split("."))


def _range(text: str, what: str) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    try:
        first = _number(start)
        last = _number(end) if dash and end != start else first
    except ValueError as error:
        raise ValueError(f"invalid {what}: {text}: {error}") from error
    if last < first:
        raise ValueError(f"invalid {what}: {text}: the range descends")
    return first, last


def _number(text: str) -> int:
    if not re.match(_NUMBER, text):
        raise ValueError("a port is a number" if text else "value is empty")
    number = int(text)
    if not 0 <= number <= _MAX_PORT:
        raise ValueError(f"value out of range (0-{_MAX_PORT})")
    return number
