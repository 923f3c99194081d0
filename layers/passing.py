"""A file that is written and not read soon: memory is not asked to keep it.

The pages of a written file are memory that a virtual machine may first have to get from its host, which takes several
times as long as filling them. With RWF_DONTCACHE (pwritev2(2), Linux 6.14) the kernel begins to write at once and takes
the same few pages again. It needs whole pages: one written in two halves would be read from the disk in between.
"""

import errno
import os

_DONTCACHE = 0x80
"""RWF_DONTCACHE of linux/fs.h, which Python has no name for."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_REFUSED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}
"""By kernels and file systems without it."""


class Passing:
    """Appends to ``descriptor``, an empty file. What is not a whole page waits for more, or for ``end``."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._offset = 0
        self._waiting = b""
        self._flags = _DONTCACHE

    def write(self, data: memoryview) -> None:
        """Raises OSError."""
        whole = (len(self._waiting) + len(data)) // _PAGE * _PAGE
        if not whole:
            self._waiting += data
            return
        cut = whole - len(self._waiting)
        self._put(self._waiting, data[:cut])
        self._waiting = bytes(data[cut:])

    def end(self) -> None:
        """Raises OSError."""
        self._put(self._waiting, memoryview(b""))
        self._waiting = b""

    def _put(self, *parts: bytes | memoryview) -> None:
        left = [memoryview(part) for part in parts if part]
        while left:
            written = self._written(left)
            self._offset += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]

    def _written(self, parts: list[memoryview]) -> int:
        try:
            return os.pwritev(self._descriptor, parts, self._offset, self._flags)
        except NotImplementedError:  # a Python made without pwritev2
            pass
        except OSError as error:
            if not self._flags or error.errno not in _REFUSED:
                raise
        self._flags = 0
        return os.pwritev(self._descriptor, parts, self._offset)
