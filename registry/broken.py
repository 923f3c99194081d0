"""What a connection does wrong, as errors of ``registry.errors``, whichever library it is made with."""

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from layers.tuples import NamedTuple
from registry.errors import BadAnswer, NotTls, RegistryError, Unreachable, Untrusted, Where, printable
from registry.watchdog import Watch

_Types = tuple[type[BaseException], ...]


class Kinds(NamedTuple):
    """Exceptions of a library: all that it raises for what a peer or a network does, and which of them mean that an
    address or a header cannot be sent, that nothing came in time (besides TimeoutError), that a proxy is at fault.
    """

    all: _Types
    unusable: _Types
    timeout: _Types = ()
    proxy: _Types = ()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all it wraps; libraries use arguments and ``reason`` for that.

    Not ``__context__``: that leads on to errors that were being handled when this exchange began.
    """
    queue: list[Any] = [error]
    seen: set[int] = set()
    while queue:
        found = queue.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            queue += [*found.args, getattr(found, "reason", None), found.__cause__]


def translated(error: BaseException, url: str, watch: Watch, kinds: Kinds, proxy: str = "") -> RegistryError:
    """What to raise in place of ``error``; ``proxy`` is the one that was used."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    where = Where(url)
    causes = tuple(_causes(error))
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if watch.expired:
        return _unreachable(host, "too little came in too long a time", where)
    if any(isinstance(cause, kinds.proxy) for cause in causes):
        place = urlsplit(proxy).netloc.rpartition("@")[2]
        return Unreachable(
            f"cannot reach {host} through the proxy {place}: {_reason(causes, kinds)}",
            hint=f"check HTTPS_PROXY and HTTP_PROXY, or add {host} to NO_PROXY",
            where=where,
            temporary=True,
        )
    if tls is not None:
        return _tls_error(tls, host, where)
    if isinstance(error, kinds.unusable):
        return BadAnswer(f"{host} is not a host that can be asked", where=where)
    unknown = next((cause for cause in causes if isinstance(cause, socket.gaierror)), None)
    if unknown is not None:
        temporary = unknown.errno == socket.EAI_AGAIN
        return Unreachable(
            f"cannot reach {host}: no address is known for that name",
            hint="check the spelling of the host, and the network",
            where=where,
            temporary=temporary,
        )
    return _unreachable(host, _reason(causes, kinds), where)


def _unreachable(host: str, reason: str, where: Where) -> Unreachable:
    hint = f"check that {host} is the right host and port, and that the network reaches it"
    return Unreachable(f"cannot reach {host}: {reason}", hint=hint, where=where, temporary=True)


def _reason(causes: tuple[BaseException, ...], kinds: Kinds) -> str:
    for cause in causes:
        if isinstance(cause, OSError) and isinstance(cause.errno, int) and cause.errno in errno.errorcode:
            return (cause.strerror or errno.errorcode[cause.errno]).lower()
    if any(isinstance(cause, (TimeoutError, *kinds.timeout)) for cause in causes):
        return "no answer in time"
    return f"the connection broke ({printable(str(causes[-1])) or type(causes[-1]).__name__})"


def _tls_error(error: ssl.SSLError, host: str, where: Where) -> RegistryError:
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Untrusted(
            f"the certificate of {host} is not trusted: {printable(error.verify_message or reason)}",
            hint=f"put the certificate of its authority at /etc/docker/certs.d/{host}/ca.crt, or name it as 'ca' of "
            f'[registry."{host}"] in config.toml',
            where=where,
        )
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}:
        return NotTls(
            f"{host} does not speak TLS",
            hint=f'if it is meant to be plain HTTP, say http = true in [registry."{host}"] of config.toml',
            where=where,
        )
    if "CERTIFICATE" in reason:
        return Untrusted(
            f"{host} wants a client certificate: {printable(reason.lower().replace('_', ' '))}",
            hint=f"put it at /etc/docker/certs.d/{host}/client.cert, its key at client.key beside it",
            where=where,
        )
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        # So ends the handshake of TLS 1.3 too, when what follows it tells that a certificate is missing.
        return Unreachable(
            f"cannot reach {host}: it broke off TLS",
            hint=f"check that {host} is the right host and port, and whether it wants a client certificate: those are "
            f"at /etc/docker/certs.d/{host}/client.cert, their key at client.key beside it",
            where=where,
            temporary=True,
        )
    return _unreachable(host, f"TLS failed ({printable(reason or str(error)).lower()})", where)
