"""What the mounts and devices of a RUN come to. Most have none: they import no more of them than this."""

from builder.sandbox import spec
from layers.tuples import NamedTuple


class Mounted(NamedTuple):
    """What the step's sandbox gets besides. Never shows the variables, which may be secrets."""

    mounts: tuple[spec.Mount, ...]
    env: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return f"Mounted({self.mounts!r})"


NOTHING = Mounted((), ())
