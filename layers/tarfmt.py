"""Entry streams to and from tar streams. The two directions are in ``tarwrite`` and ``tarread``."""

from layers.content import Seen
from layers.tarread import LIMITS, Limits, read_tar
from layers.tarwrite import Write, write_tar

__all__ = ["LIMITS", "Limits", "Seen", "Write", "read_tar", "write_tar"]
