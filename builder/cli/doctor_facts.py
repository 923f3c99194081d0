"""Gathers what ``doctor_checks`` judges: files of /proc, of Docker and of registries, and a trial of the sandbox.
Changes nothing but for a directory in the store's file system, which is removed again."""

import importlib
import os
import platform
import shutil
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path

from builder.cli.doctor_checks import Facts, Ids, Place, Programs
from builder.sandbox import subids, trial
from builder.sandbox.detect import OLDEST_KERNEL, unsuitable
from builder.settings import Host, store_root
from layers.errors import PybuildError
from registry.configfiles import docker_path, read_document
from registry.settings import load, places

_MODULES = ("click", "cryptography", "dockerfile_parse", "requests", "tqdm", "zlib_ng", "zstandard")


def gather(host: Host, root: str | None, now: float) -> Facts:
    """``root`` is that of ``--root``; ``now`` is in seconds since 1970. Raises FlagError for no possible store."""
    config, problem = _docker_config(host.environ)
    status = _text("/proc/self/status")
    user = _user(host.environ)
    where = store_root(root, host)
    there, writable = _nearest_writable(Path(where))
    unfit = unsuitable(os.uname())
    tried = trial.Trial() if unfit is not None else _try_sandbox(there if writable else None)
    return Facts(
        system=platform.system(),
        machine=host.machine,
        release=os.uname().release,
        oldest=OLDEST_KERNEL,
        user=user,
        uid=os.geteuid(),
        refusal=unfit or tried.refusal,
        notice=tried.notice,
        start=tried.start,
        ids=_ids(user),
        container=_container(host.environ),
        seccomp="Seccomp:\t2" in status,
        apparmor=_apparmor(),
        place=_place(where, there, writable=writable, overlay=tried.overlay),
        programs=Programs(_broken_modules(), _missing_helpers(config, host.environ)),
        docker_config=problem,
        registries=_registries(host.environ),
        authorities=_authorities(),
        now=now,
    )


def _text(path: str) -> str:
    """ "" for what is not there or may not be read: then it is not set."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _user(environ: Mapping[str, str]) -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return environ.get("USER") or str(os.geteuid())


def _ids(user: str) -> Ids:
    texts = _text("/etc/subuid"), _text("/etc/subgid")
    uids, gids = (sum(count for _, count in subids.ranges(text, user, os.geteuid())) for text in texts)
    programs = tuple(name for name in ("newuidmap", "newgidmap") if shutil.which(name))
    return Ids(uids, gids, programs, free=max(map(subids.free, texts)))


def _container(environ: Mapping[str, str]) -> str:
    """Files and variables by which engines make themselves known."""
    if Path("/run/.containerenv").exists():
        return "podman"
    if Path("/.dockerenv").exists():
        return "docker"
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    return environ.get("container", "")


def _apparmor() -> str:
    text = _text("/proc/self/attr/apparmor/current") or _text("/proc/self/attr/current")
    return text.strip().strip("\0").partition(" ")[0]


def _place(path: str, there: Path, *, writable: bool, overlay: str | None) -> Place:
    held = os.statvfs(there)
    inodes = held.f_favail if held.f_files else None
    return Place(path, writable, _filesystem(there), held.f_bavail * held.f_frsize, inodes, overlay)


def _nearest_writable(path: Path) -> tuple[Path, bool]:
    """The nearest directory on the way to ``path``, and whether it can be written."""
    there, hidden = _nearest(path)
    return there, not hidden and there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _nearest(path: Path) -> tuple[Path, bool]:
    """The lowest directory on the way to ``path`` that can be looked at, and whether another one hides the rest."""
    hidden = False
    while True:
        try:
            path.stat()
        except PermissionError:
            hidden = True
        except OSError:
            pass
        else:
            return path, hidden
        path = path.parent


def _filesystem(path: Path) -> str:
    """The type of the file system that was mounted last above ``path``."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in reversed(_text("/proc/self/mountinfo").splitlines()):
        left, _, right = line.partition(" - ")
        if left.split(" ")[2] == number:
            return right.split(" ")[0]
    return "unknown"


def _try_sandbox(directory: Path | None) -> trial.Trial:
    if directory is None:
        return trial.hold(None)
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=directory) as name:
        return trial.hold(name)


def _broken_modules() -> tuple[tuple[str, str], ...]:
    found = []
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            found.append((name, str(error)))
    return tuple(found)


def _docker_config(environ: Mapping[str, str]) -> tuple[Mapping[str, object], str | None]:
    try:
        return read_document(docker_path(environ)), None
    except PybuildError as error:
        return {}, error.message


def _missing_helpers(config: Mapping[str, object], environ: Mapping[str, str]) -> tuple[str, ...]:
    named = config.get("credHelpers")
    names = [config.get("credsStore"), *(named.values() if isinstance(named, dict) else ())]
    texts = dict.fromkeys(name for name in names if isinstance(name, str) and name)
    return tuple(name for name in texts if not shutil.which(f"docker-credential-{name}", path=environ.get("PATH")))


def _registries(environ: Mapping[str, str]) -> str | None:
    """Settings that cannot be understood, or that name files which are not there."""
    try:
        known = load(places(environ))
    except PybuildError as error:
        return error.message
    described = [*known.hosts.items()]
    for name, namespace in known.namespaces.items():
        described += [(name, there.settings) for there in (*namespace.hosts, namespace.server) if there is not None]
    for host, settings in described:
        for name in (*settings.ca, *(settings.client or ())):
            if not os.access(name, os.R_OK):
                return f"the settings of {host} name {name}, which cannot be read"
    return None


def _authorities() -> str:
    """What Python's ssl trusts unless told otherwise: a file, or a directory that is not empty."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return paths.cafile
    return paths.capath if paths.capath and any(Path(paths.capath).iterdir()) else ""
