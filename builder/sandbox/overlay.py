"""An OverlayRoot as the arguments of mount(2), and the limits of overlayfs. Pure. Nothing else knows them.

Every overlay is mounted with the same four options:

``userxattr``    one flavour of attributes (``user.overlay.*``) for a store, rootless or not
``volatile``     unmounting does not sync the whole file system below (0.2 s beside 512 MB of dirty data, against 5 ms)
``index=off``    an upper directory may become the lower of another mount, hard links stay within their layer
``metacopy=off`` an upper file always holds its own bytes

Options reach the kernel in one page, so lowers are short names relative to a directory that the mounting process
enters first (40 layers with digests for names are too many; moby/buildkit#4810).
"""

from builder.sandbox.spec import OverlayRoot
from layers.tuples import NamedTuple

MAX_LOWERS = 500
"""OVL_MAX_STACK of fs/overlayfs: 501 lower directories are refused."""

MAX_OPTIONS = 4095
"""Bytes of mount options: a page with its final NUL."""

_FIXED = "userxattr,volatile,index=off,metacopy=off"


class TooManyLayers(ValueError):
    """The stack cannot be mounted in one overlay."""


class OverlayMount(NamedTuple):
    """``directory`` is to be entered before mounting with ``options``."""

    directory: str
    options: str


def describe(root: OverlayRoot, empty: str) -> OverlayMount:
    """``empty`` is the absolute path of an empty directory, the lower of a root without any (the kernel wants one, and
    two where nothing can be written). Raises TooManyLayers.
    """
    if len(root.lowers) > MAX_LOWERS:
        raise TooManyLayers(f"the root filesystem has {len(root.lowers)} layers; overlayfs takes {MAX_LOWERS}")
    names = list(reversed(root.lowers))
    if len(names) < (1 if root.upper else 2):
        names.append(empty)
    options = f"{_FIXED},lowerdir={':'.join(_escape(name, ':,') for name in names)}"
    if root.upper:
        upper, work = (_escape(_relative(path, root.directory), ",") for path in (root.upper, root.work))
        options += f",upperdir={upper},workdir={work}"
    size = len(options.encode(errors="surrogateescape"))
    if size > MAX_OPTIONS:
        raise TooManyLayers(
            f"the mount options of {len(root.lowers)} layers need {size} bytes; the kernel takes {MAX_OPTIONS}"
        )
    return OverlayMount(root.directory, options)


def _relative(path: str, directory: str) -> str:
    return path.removeprefix(directory.rstrip("/") + "/")


def _escape(path: str, separators: str) -> str:
    """A backslash before separators and backslashes: overlayfs takes it away again, in all three options."""
    return "".join("\\" + letter if letter == "\\" or letter in separators else letter for letter in path)
