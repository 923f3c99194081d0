"""All that is set about registries, put together: where to pull a name from, and where to push it to. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from layers.tuples import NamedTuple
from registry.endpoints import Endpoint, HostSettings, Mirror, Rule, combined, network_host
from registry.errors import SettingsError
from registry.hoststoml import DEFAULT, Namespace, TomlHost
from registry.reference import Reference


class Registries(NamedTuple):
    """All settings of registries. ``hosts`` by host as in references; ``mirrors`` of config.toml likewise.

    Mirrors are those of config.toml, of hosts.toml and of registries.conf, in this order.
    """

    hosts: Mapping[str, HostSettings]
    mirrors: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...] = ()
    namespaces: Mapping[str, Namespace] = MappingProxyType({})
    """What ``hosts.toml`` says, by registry; under DEFAULT of all others."""

    def settings(self, host: str) -> HostSettings:
        return self.hosts.get(host, HostSettings())

    def sources(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Where to pull from, in the order to try. Raises SettingsError for what registries.conf blocks."""
        rule, rest = self._rule(reference)
        found = []
        for location in self.mirrors.get(reference.host, ()):
            found.append(self._at(f"{location}/{reference.repository}", mirror=True))
        namespace = self._namespace(reference)
        for host in namespace.hosts:
            if "pull" in host.can and (reference.digest is not None or "resolve" in host.can):
                found.append(self._toml(host, reference, mirror=True))
        if rule is None:
            return (*found, self._origin(reference))
        for mirror in rule.mirrors:
            if _useful(mirror, reference):
                found.append(self._at(mirror.location + rest, mirror=True))
        return (*found, self._at(rule.location + rest) if rule.location else self._origin(reference))

    def target(self, reference: Reference) -> Endpoint:
        """Where to push to: never a mirror, but for a host that hosts.toml calls capable of it."""
        rule, rest = self._rule(reference)
        if rule is not None and rule.location:
            return self._at(rule.location + rest)
        capable = next((host for host in self._namespace(reference).hosts if "push" in host.can), None)
        return self._origin(reference) if capable is None else self._toml(capable, reference)

    def _namespace(self, reference: Reference) -> Namespace:
        return self.namespaces.get(reference.host) or self.namespaces.get(DEFAULT) or Namespace((), None)

    def _origin(self, reference: Reference) -> Endpoint:
        """Whatever it is called on the network, its credentials are filed under the name it has in references."""
        found = self._at(reference.name)
        server = self._namespace(reference).server
        if server is None:
            return found
        there = self._toml(server, reference)
        return found._replace(
            host=there.host, repository=there.repository, settings=combined(found.settings, server.settings)
        )

    def _toml(self, host: TomlHost, reference: Reference, *, mirror: bool = False) -> Endpoint:
        found = self._at(f"{host.location}/{reference.repository}", mirror=mirror)
        return found._replace(settings=combined(found.settings, host.settings))

    def _rule(self, reference: Reference) -> tuple[Rule | None, str]:
        fitting = [(len(rule.prefix), rule) for rule in self.rules if rule.rest(reference.name) is not None]
        if not fitting:
            return None, ""
        rule = max(fitting, key=lambda pair: pair[0])[1]
        if rule.blocked:
            raise SettingsError(
                f"{reference.familiar} is blocked by registries.conf",
                hint=f"take 'blocked' off the registry {rule.prefix!r} there, or use another image",
            )
        return rule, rule.rest(reference.name) or ""

    def _at(self, name: str, *, mirror: bool = False) -> Endpoint:
        host, _, repository = name.partition("/")
        return Endpoint(network_host(host), host, repository, self.settings(host), mirror)


def _useful(mirror: Mirror, reference: Reference) -> bool:
    if mirror.use == "all":
        return True
    return (mirror.use == "digest-only") == (reference.digest is not None)
