"""Reads what a build is made from: the Dockerfile and the ignore file, found by Docker's rules."""

from pathlib import Path

from builder.settings import BuildFiles, BuildRequest, FlagError, UnsupportedFlag, absolute
from builder.textfile import read_text

_REMOTE = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")
_NAMES = ("Dockerfile", "dockerfile")


def read_files(context: str, file: str | None, cwd: str) -> BuildFiles:
    """``context`` and ``file`` as given. Raises FlagError, and OSError for what cannot be read."""
    root = _context(context, cwd)
    if file is None:
        shown, path = _find(context, root)
    else:
        shown, path = file, Path(absolute(cwd, _local_file(file)))
    return BuildFiles(str(root), shown, _read(path, shown, named=file is not None), _ignore(path, root))


def _context(context: str, cwd: str) -> Path:
    if context == "-":
        raise UnsupportedFlag("a build context from standard input", "unpack it, and name its directory")
    if context.startswith(_REMOTE):
        raise UnsupportedFlag(f"a remote build context ({context})", "fetch it, and name its directory")
    root = Path(absolute(cwd, context))
    if not root.is_dir():
        problem = "is not a directory" if root.exists() else "no such directory"
        raise FlagError(
            f"{context}: {problem}", hint="the argument is the directory whose files COPY takes, often just ."
        )
    return root


def _local_file(file: str) -> str:
    if file == "-":
        raise UnsupportedFlag("--file - (a Dockerfile from standard input)", "write it to a file")
    if file.startswith(_REMOTE):
        raise UnsupportedFlag(f"--file {file}", "fetch it, and name the file")
    return file


def _find(context: str, root: Path) -> tuple[str, Path]:
    for name in _NAMES:
        if (root / name).exists():
            return str(Path(context) / name), root / name
    raise FlagError(f"there is no Dockerfile in {context}", hint="name another file with -f")


def _read(path: Path, shown: str, *, named: bool) -> bytes:
    if path.is_dir():
        raise FlagError(f"--file {shown} is a directory", hint="name the Dockerfile itself")
    try:
        return read_text(str(path), special=named)
    except FileNotFoundError as error:
        raise FlagError(
            f"--file {shown}: no such file", hint="it is looked for from the working directory, not the context"
        ) from error


def _ignore(dockerfile: Path, root: Path) -> bytes | None:
    """``NAME.dockerignore`` beside the Dockerfile replaces the context's ``.dockerignore``, even when empty."""
    for path in (dockerfile.with_name(dockerfile.name + ".dockerignore"), root / ".dockerignore"):
        try:
            return read_text(str(path))
        except FileNotFoundError:
            continue
    return None


def check_contexts(request: BuildRequest) -> None:
    """Raises FlagError for a named context that isn't there."""
    for named in request.build_contexts:
        if named.kind == "docker-image":
            continue
        path = Path(named.path)
        if not path.exists() or (named.kind == "local" and not path.is_dir()):
            raise FlagError(f"--build-context {named.name}: there is no directory {named.path}")
