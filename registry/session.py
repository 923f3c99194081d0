"""What one process shares of all registries: settings, credentials, connections. Imports HTTP when first used."""

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from registry.auth import Credential
from registry.client import Client, Network
from registry.credentials import Credentials, Runner, run_helper
from registry.download import download
from registry.endpoints import Endpoint, HostSettings, network_host
from registry.messages import Request, Response
from registry.pace import DEFAULT_PACE, Pace
from registry.proxies import Proxies
from registry.reference import Reference
from registry.registries import Registries
from registry.repository import Repository
from registry.settings import load, places

if TYPE_CHECKING:
    from registry.asking import Asker
    from registry.tls import Contexts
    from registry.transport import Transport

T = TypeVar("T")

CONNECTIONS = 4
"""At once to one registry, unless the settings say otherwise: what BuildKit and Docker use."""


class Session:
    """Safe to use from many threads. A context manager: leaving it closes all connections."""

    def __init__(
        self,
        registries: Registries,
        credentials: Credentials,
        proxies: Proxies,
        pace: Pace = DEFAULT_PACE,
    ) -> None:
        self.credentials = credentials
        self.registries = registries
        self._proxies = proxies
        self.pace = pace
        self._network = Network(self._exchange, registries.settings, pace)
        self._lock = threading.Lock()
        self._contexts: Contexts | None = None
        self._asker: Asker | None = None
        self._transport: Transport | None = None
        self._clients: dict[tuple[str, str, str], Client] = {}

    @classmethod
    def of(cls, environ: Mapping[str, str], run: Runner = run_helper) -> Self:
        """As the user's files and environment say; ``run`` runs credential helpers. Raises SettingsError and
        CredentialError."""
        credentials = Credentials(environ, run)
        return cls(load(places(environ)), credentials, Proxies.of(environ, credentials.docker_config()))

    def sources(self, reference: Reference) -> tuple[Repository, ...]:
        """Where to pull from: mirrors first, the registry itself last."""
        return tuple(self._repository(endpoint, "pull") for endpoint in self.registries.sources(reference))

    def target(self, reference: Reference) -> Repository:
        """Where to push to."""
        return self._repository(self.registries.target(reference), "push")

    def login(self, host: str, credential: Credential) -> Credential:
        """Proves ``credential`` to a registry; returns what to keep. Raises RegistryError."""
        found = Client(network_host(host), self.registries.settings(host), self._network, lambda: credential, host)
        return found.login() or credential

    def download(self, url: str, headers: Mapping[str, str], take: Callable[[Response], T]) -> T:
        """As ``registry.download.download``: of any server, with no credential of a registry."""
        return download(self._network, url, headers, take)

    def _repository(self, endpoint: Endpoint, verb: str) -> Repository:
        key = endpoint.host, endpoint.key, endpoint.repository
        with self._lock:
            if key not in self._clients:
                self._clients[key] = Client(
                    endpoint.host,
                    endpoint.settings,
                    self._network,
                    lambda: self.credentials.find(endpoint.key, endpoint.repository),
                    endpoint.key,
                )
            return Repository(self._clients[key], endpoint.repository, verb=verb)

    def _exchange(self, request: Request, settings: HostSettings) -> Response:
        return self._way(request).exchange(request, settings)

    def _way(self, request: Request) -> "Asker | Transport":
        """Questions are asked at less cost, until something needs what carries everything."""
        from registry.tls import Contexts

        with self._lock:
            self._contexts = self._contexts or Contexts()
            if self._transport is None and request.question:
                from registry.asking import Asker, askable

                if askable(request.url, self._proxies):
                    if self._asker is None:
                        self._asker = Asker(timeouts=self.pace.timeouts, contexts=self._contexts)
                    return self._asker
            if self._transport is None:
                from registry.transport import Transport

                self._transport = Transport(
                    self._proxies, timeouts=self.pace.timeouts, contexts=self._contexts, connections=CONNECTIONS
                )
                if self._asker is not None:
                    self._asker.retire()
            return self._transport

    def close(self) -> None:
        with self._lock:
            ways = self._transport, self._asker
            self._transport = self._asker = None
        for way in ways:
            if way is not None:
                way.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
