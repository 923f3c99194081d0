"""What a build may hand to its steps: secrets, ssh agents, rights beyond the usual ones, and the network. Pure."""

from layers.tuples import NamedTuple

NETWORK_HOST = "network.host"
SECURITY_INSECURE = "security.insecure"
DEVICE = "device"


class SecretSource:
    """Where a secret's bytes are: in the file ``path``, or (from the environment) in ``value``. Never shows them."""

    __slots__ = ("id", "path", "value")

    def __init__(self, id: str, path: str | None = None, value: bytes | None = None) -> None:
        self.id = id
        self.path = path
        self.value = value

    def __repr__(self) -> str:
        return f"SecretSource({self.id!r})"


class AgentSource(NamedTuple):
    """``--ssh``: an agent's socket, or files with private keys to be served by an agent of the build's own."""

    id: str
    socket: str | None
    keys: tuple[str, ...] = ()


class Grants(NamedTuple):
    secrets: tuple[SecretSource, ...] = ()
    agents: tuple[AgentSource, ...] = ()
    allowed: tuple[str, ...] = ()
    """Values of ``--allow``."""
    network: str = "default"
    """``default``, ``none`` or ``host``: of every RUN that does not say otherwise."""

    def allows(self, right: str) -> bool:
        return right in self.allowed


NO_GRANTS = Grants()
