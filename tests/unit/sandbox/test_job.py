import os
import subprocess
import sys

from builder.sandbox.job import Job, read, write
from tests.conftest import REPOSITORY


def test_a_job_comes_through() -> None:
    job = Job(
        args=(b"sh", b"-c", b"\xff" * 300_000),
        capabilities=1 << 40,
        cwd=b"/",
        directory=b"/store",
        env={b"A": b"1"},
        files=((b"/f", b"\0data", 0o755, True),),
        gid=2**32 - 2,
        groups=(1, 2),
        hostname=b"h",
        insecure=False,
        limits=((7, 10, -1),),
        mounts=(("secret", b"/run/s", False, True, (b"\0",), (0o400, 0, 0)),),
        options=b"lowerdir=1",
        own_network=False,
        seccomp=None,
        shm_size=1,
        uid=0,
        upper=b"/store/u",
    )
    descriptor = write(job)
    try:
        found = read(descriptor)
    finally:
        os.close(descriptor)
    assert {name: getattr(found, name) for name in Job.__slots__} == {
        name: getattr(job, name) for name in Job.__slots__
    }


def test_the_helper_imports_little() -> None:
    """Its start-up is waited for by the first command of a build."""
    script = "import sys; sys.path.insert(0, sys.argv[1]); import builder.sandbox.helper; print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", script, str(REPOSITORY)]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert not loaded & {
        "collections",
        "contextlib",
        "enum",
        "functools",
        "signal",
        "typing",
        "re",
        "json",
        "dataclasses",
        "pickle",
        "selectors",
        "socket",
        "subprocess",
        "threading",
        "platform",
        "logging",
    }
    ours = {name for name in loaded if name.split(".")[0] in {"builder", "layers", "registry"}}
    modules = ("enter", "helper", "job", "kernel", "mounts", "network", "sockets", "stage", "stubs", "suppress")
    assert ours == {"builder", "builder.sandbox", *(f"builder.sandbox.{name}" for name in modules)}


def test_the_runner_imports_little() -> None:
    """The helper starts when that is done, and steps wait for the helper."""
    script = "import sys; import builder.sandbox.native; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    heavy = {"ctypes", "selectors", "socket", "subprocess", "builder.sandbox.kernel"}
    assert not heavy & set(loaded.stdout.split())
