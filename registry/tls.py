"""What TLS connections are made with: the authorities, client certificates and checks that settings ask for."""

import ssl
import threading

from registry.endpoints import HostSettings
from registry.errors import SettingsError

_Key = tuple[tuple[str, ...], tuple[str, str] | None, bool]


class Contexts:
    """One context for all connections of equal settings: to read the system's authorities takes 25 ms. Safe to use
    from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[_Key, ssl.SSLContext] = {}

    def of(self, settings: HostSettings) -> ssl.SSLContext:
        """Raises SettingsError for files that are no certificates."""
        key = settings.ca, settings.client, not (settings.insecure or settings.unverified)
        with self._lock:
            if key not in self._made:
                self._made[key] = _context(settings)
            return self._made[key]


def _context(settings: HostSettings) -> ssl.SSLContext:
    if settings.insecure or settings.unverified:
        # Nothing is verified: the system's authorities need not be read.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    for path in settings.ca:
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"cannot use the authority in {path}: {error.strerror or error}") from error
    if settings.client is not None:
        try:
            context.load_cert_chain(*settings.client)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"cannot use the client certificate {settings.client[0]}: {error}") from error
    return context
