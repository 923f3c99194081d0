"""Builds by ordinary users: with subordinate ids they give what root's builds give, digest by digest; without, they say
what that costs."""

import json
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.sandbox.capabilities import NUMBERS, mask
from builder.sandbox.spec import DEFAULT_CAPABILITIES
from tests.conftest import FIXTURES, REPOSITORY
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import Gate
from tests.integration.test_apps import parity_context
from tests.support.builds import EPOCH, Bench, Built, write_tree
from tests.support.peers import run
from tests.support.processes import descendants, settle, wait_until_gone
from tests.support.users import User, UserBench, ordinary_user

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox", "newuidmap", "useradd")]

ALL_RIGHTS = mask(DEFAULT_CAPABILITIES)
REPRODUCIBLE = {"SOURCE_DATE_EPOCH": EPOCH}


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with ordinary_user(subordinate=True) as found:
        yield found


@pytest.fixture(scope="module")
def images(user: User) -> Path:
    """The bases of fixtures/images, where everybody can read them."""
    to = user.home.parent / "images"
    run(sys.executable, FIXTURES / "images" / "make.py", "busybox")
    run("cp", "-r", FIXTURES / "images" / "out", to)
    run("chmod", "-R", "a+rX", to)
    return to


@pytest.fixture(scope="module")
def theirs(user: User, images: Path) -> UserBench:
    bench = UserBench(user, user.home / "store")
    bench.pybuild("load", "-t", "busybox", "-i", images / "busybox")
    return bench


@pytest.fixture
def context(user: User, request: pytest.FixtureRequest) -> Path:
    """An empty directory that everybody can read."""
    path = user.home.parent / f"context-{request.node.name}"
    path.mkdir()
    return path


OWNERS = """\
FROM busybox
RUN echo 'app:x:1000:1000::/srv:/bin/sh' >> /etc/passwd && mkdir /srv && chown 1000:1000 /srv && chmod 2750 /srv
USER app
RUN id -u && echo mine > /srv/file && mkfifo /srv/fifo && ln -s file /srv/link
USER 0
RUN chown 65533:12 /srv/file && rm /etc/group && chmod 4755 /bin/busybox
COPY --chown=33:44 file /var/www/
"""


def test_digests_are_those_of_root(theirs: UserBench, bench: Bench, context: Path, tmp_path: Path) -> None:
    write_tree(context, {"Dockerfile": OWNERS, "file": "x"})
    ours = bench.build("-o", f"type=oci,dest={tmp_path / 'image.tar'}", context, env=REPRODUCIBLE)
    archive = theirs.user.home / "image.tar"
    built = theirs.build("-o", f"type=oci,dest={archive}", context, env=REPRODUCIBLE)
    assert built.digest == ours.digest
    assert built.image_id == ours.image_id
    assert archive.stat().st_uid == theirs.user.uid
    assert not built.of("warned")


@pytest.mark.needs_tool("setfattr", "setcap", "zstd")
@pytest.mark.parametrize(
    "case",
    [
        *("add-archive-owner", "copy-from-stage", "copy-hardlinks", "copy-xattr", "dir-meta", "heredoc-run"),
        *("run-over-scratch", "user-lookup", "volume", "workdir"),
    ],
)
def test_parity_cases_are_equal(theirs: UserBench, bench: Bench, case: str) -> None:
    to = theirs.user.home.parent / f"parity-{case}"
    context, flags = parity_context(case, to)
    bench.pybuild("tag", "busybox", "base")
    theirs.pybuild("tag", "busybox", "base")
    ours = bench.build(*flags, context, env=REPRODUCIBLE)
    assert theirs.build(*flags, context, env=REPRODUCIBLE).image_id == ours.image_id


@pytest.mark.slow
@pytest.mark.needs_tool("mmdebstrap")
@pytest.mark.parametrize("app", ["c-static", "apt"])
def test_applications_are_equal(theirs: UserBench, user: User, app: str, tmp_path: Path) -> None:
    context = user.home.parent / f"app-{app}"
    run("cp", "-r", FIXTURES / "apps" / app, context)
    run("chmod", "-R", "a+rX", context)
    ours = Bench(tmp_path / "store")
    ours.load("debian", "debian:bookworm")
    images = user.home.parent / f"debian-{app}"
    run("cp", "-r", FIXTURES / "images" / "out" / "debian", images)
    run("chmod", "-R", "a+rX", images)
    theirs.pybuild("load", "-t", "debian:bookworm", "-i", images)
    archive = user.home / f"{app}.tar"
    expected = ours.build("-o", f"type=oci,dest={tmp_path / 'out.tar'}", context, env=REPRODUCIBLE)
    found = theirs.build("--no-cache", "-o", f"type=oci,dest={archive}", context, env=REPRODUCIBLE)
    assert found.digest == expected.digest
    settle(ours.store)


CAPABLE = """\
FROM busybox
COPY file /file
RUN chmod 700 /file && ln /file /second && echo > /other
"""


@pytest.mark.needs_tool("setcap")
def test_capabilities_of_files_are_those_of_root(theirs: UserBench, bench: Bench, context: Path) -> None:
    """The kernel writes them in another form inside of a namespace, and translates what is read there."""
    write_tree(context, {"Dockerfile": CAPABLE, "file": "x"})
    run("setcap", "cap_net_raw+ep", context / "file")
    ours, built = bench.build(context, env=REPRODUCIBLE), theirs.build(context, env=REPRODUCIBLE)
    assert built.image_id == ours.image_id
    copied = [
        path for path in (theirs.store / "snapshots").rglob("file") if "security.capability" in os.listxattr(path)
    ]
    assert len(copied) == 2  # the layer of the COPY, and the copy-up of the RUN


DEVICES = """\
FROM busybox
RUN mkdir -p /jail/dev && mknod -m 666 /jail/dev/null c 1 3 && mknod /jail/disk b 8 0 && chown 0:6 /jail/disk
"""


def test_device_nodes_of_a_base_are_not_lost(theirs: UserBench, bench: Bench, context: Path, tmp_path: Path) -> None:
    """Nobody can make them in a user namespace: they are kept as files, and are devices again in layers."""
    base = context / "base.tar"
    write_tree(tmp_path / "base", {"Dockerfile": DEVICES})
    bench.build("-t", "devices", "-o", f"type=oci,dest={base}", tmp_path / "base", env=REPRODUCIBLE)
    theirs.pybuild("load", "-t", "devices", "-i", base)
    use = "FROM devices AS use\nRUN touch /jail/new && rm /jail/dev/null\nFROM scratch\n"
    write_tree(context, {"Dockerfile": use + "COPY --from=devices /jail /jail\nCOPY --from=use /jail /used\n"})
    ours = bench.build("-o", f"type=tar,dest={tmp_path / 'ours.tar'}", context, env=REPRODUCIBLE)
    flags = ("-o", f"type=tar,dest={theirs.user.home / 'theirs.tar'}")
    assert theirs.build(*flags, context, env=REPRODUCIBLE).image_id == ours.image_id
    assert (theirs.user.home / "theirs.tar").read_bytes() == (tmp_path / "ours.tar").read_bytes()
    refused = theirs.attempt("-o", f"type=local,dest={theirs.user.home / 'devices'}", context)
    (error,) = refused.of("error")
    assert "is a device node, which an ordinary user cannot make" in error["message"]
    changed = write_tree(context / "changed", {"Dockerfile": "FROM devices\nRUN chmod 600 /jail/disk\n"})
    (error,) = theirs.attempt("-o", f"type=tar,dest={theirs.user.home / 'no.tar'}", changed).of("error")
    assert "/jail/disk is a device node of the image, which a command has changed" in error["message"]


def test_what_is_written_for_the_user_is_the_user_s(theirs: UserBench, context: Path) -> None:
    out = theirs.user.home / "out"
    out.mkdir(mode=0o755)
    os.chown(out, theirs.user.uid, -1)
    write_tree(context, {"Dockerfile": OWNERS, "file": "x"})
    flags: list[str | Path] = [
        "--iidfile",
        out / "iid",
        "--metadata-file",
        out / "metadata",
        "--digest-file",
        out / "digest",
    ]
    for kind in ("oci", "docker", "tar", "local"):
        flags += ["-o", f"type={kind},dest={out / kind}"]
    built = theirs.build(*flags, context)
    theirs.pybuild("save", "-o", out / "saved", built.image_id)
    group = pwd.getpwnam(theirs.user.name).pw_gid
    found = {str(path.relative_to(out)): path.lstat() for path in out.rglob("*")}
    assert {"iid", "metadata", "digest", "oci", "docker", "tar", "saved", "local/srv/file"} <= set(found)
    assert {(status.st_uid, status.st_gid) for status in found.values()} == {(theirs.user.uid, group)}


def test_the_store_is_in_the_data_home(user: User, images: Path) -> None:
    def pybuild(*words: str | Path, env: dict[str, str] | None = None) -> str:
        command = [*user.prefix(), sys.executable, "-m", "builder", *map(str, words)]
        return run(*command, env=user.environment(env), cwd=REPOSITORY)

    pybuild("load", "-t", "busybox", "-i", images / "busybox", env={"XDG_DATA_HOME": ""})
    assert (user.home / ".local/share/pybuild/store.db").stat().st_uid == user.uid
    pybuild("load", "-t", "busybox", "-i", images / "busybox", env={"XDG_DATA_HOME": str(user.home / "data")})
    assert stat.S_IMODE((user.home / "data/pybuild").stat().st_mode) == 0o700


def test_the_store_of_another_user_is_refused(theirs: UserBench, bench: Bench) -> None:
    done = subprocess.run(
        UserBench(theirs.user, bench.store).command("images"),
        check=False,
        capture_output=True,
        text=True,
        env=theirs.environment(),
        cwd=REPOSITORY,
    )
    assert done.returncode == 1
    assert "another user" in done.stderr
    for command in (["images"], ["prune"]):
        done = subprocess.run(
            Bench(theirs.store).command(*command), check=False, capture_output=True, text=True, cwd=REPOSITORY
        )
        assert (done.returncode, "belongs to another user" in done.stderr) == (1, True)


HELPER = """\
#!/bin/sh
cat > /dev/null
echo "$1 $(id -u) $HOME $(cat /proc/self/uid_map | tr -s ' ')" >> {log}
echo '{{"Username": "builder", "Secret": "correct horse"}}'
"""


def test_credential_helpers_run_as_the_user(theirs: UserBench, context: Path) -> None:
    user = theirs.user
    log, programs = user.home / "log", user.home / "bin"
    helper = write_tree(programs, {"docker-credential-who": HELPER.format(log=log)}) / "docker-credential-who"
    helper.chmod(0o755)
    with FakeRegistry(Gate("basic", users={"builder": "correct horse"})).running() as registry:
        config = {"credHelpers": {registry.host: "who"}}
        write_tree(user.home, {".docker/config.json": json.dumps(config)})
        write_tree(context, {"Dockerfile": "FROM busybox\nRUN echo > /made\n"})
        path = {"PATH": f"{programs}:{os.environ['PATH']}"}
        theirs.build("--push", "-t", f"{registry.host}/team/app:1", context, env=path)
        helper.write_text("#!/bin/sh\nexit 1\n")
        refused = theirs.attempt("--push", "-t", f"{registry.host}/team/app:2", context, env=path)
        helper.unlink()
        gone = theirs.attempt("--push", "-t", f"{registry.host}/team/app:2", context, env=path)
    lines = set(log.read_text().splitlines())
    assert lines == {f"get {user.uid} {user.home}  0 0 4294967295"}
    assert log.stat().st_uid == user.uid
    assert "docker-credential-who get failed" in refused.of("error")[0]["message"]
    assert "docker-credential-who is not installed" in gone.of("error")[0]["message"]


def start(bench: UserBench, context: Path) -> subprocess.Popen[bytes]:
    """A build in which a step of another user goes on for ever, in sessions of its own."""
    script = "setsid sleep 1000 & setsid sleep 1001 & echo ready; sleep 1002"
    write_tree(context, {"Dockerfile": f"FROM busybox\nUSER 1000\nRUN {script}\n"})
    process = subprocess.Popen(
        bench.command("build", "--progress", "plain", "--no-cache", context),
        env=bench.environment(),
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.rstrip().endswith(b" ready"):
            return process
    raise AssertionError("the build ended by itself")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_build_that_is_ended_leaves_nothing(
    theirs: UserBench, context: Path, number: signal.Signals, code: int
) -> None:
    process = start(theirs, context)
    assert process.stderr is not None
    assert len(descendants(process.pid)) >= 5
    process.send_signal(number)
    process.stderr.read()
    process.stderr.close()
    assert process.wait() == code
    wait_until_gone(theirs.store)
    theirs.pybuild("images")  # does not mind what is not its business
    theirs.pybuild("prune")
    assert list((theirs.store / "tmp").iterdir()) == []


def test_prune_removes_files_of_all_ids(theirs: UserBench, context: Path) -> None:
    write_tree(context, {"Dockerfile": OWNERS, "file": "prune"})
    bench = UserBench(theirs.user, theirs.user.home / "pruned")
    bench.pybuild("load", "-i", theirs.user.home.parent / "images" / "busybox", "-t", "busybox")
    bench.build(context)
    owners = {path.lstat().st_uid for path in (bench.store / "snapshots").rglob("*")}
    assert len(owners) > 2
    settle(bench.store)
    bench.pybuild("rmi", "busybox")
    bench.pybuild("prune", "--all")
    assert list((bench.store / "snapshots").iterdir()) == []


def test_the_runner_s_suite_in_a_namespace(user: User) -> None:
    suite = REPOSITORY / "tests" / "suites" / "rootless_runner.py"
    inside = [sys.executable, "-m", "tests.support.in_namespace", sys.executable, "-m", "pytest", "-q"]
    flags: list[str | Path] = ["-p", "no:cacheprovider", "--basetemp", user.home / "suite"]
    assert " passed" in run(*user.prefix(), *inside, *flags, suite, env=user.environment(), cwd=REPOSITORY)


def test_a_host_without_user_namespaces_says_so(theirs: UserBench, context: Path) -> None:
    """Inside of another namespace, where that setting is one of its own."""
    write_tree(context, {"Dockerfile": "FROM busybox\nRUN true\n"})
    switch = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
    command = [*theirs.user.prefix(), "unshare", "--map-root-user", "sh", "-c", switch, "sh"]
    command += [sys.executable, "-m", "builder", "--root", str(theirs.store), str(context)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=theirs.environment(), cwd=REPOSITORY
    )
    assert done.returncode == 1
    assert "user.max_user_namespaces is 0" in done.stderr
    assert "sudo sysctl -w user.max_user_namespaces=" in done.stderr


def test_a_container_that_hides_parts_of_proc_says_so(theirs: UserBench, context: Path) -> None:
    """The kernel gives nobody a /proc of his own that shows more than the one he has."""
    write_tree(context, {"Dockerfile": "FROM busybox\nRUN true\n"})
    hide = 'mount -t tmpfs hidden /proc/fs && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", hide, "sh"]
    command += theirs.command("build", "--no-cache", "--progress", "plain", context)
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=theirs.environment(), cwd=REPOSITORY
    )
    assert done.returncode == 1
    assert "could not be started: mount proc on /proc: Operation not permitted" in done.stderr
    assert "--security-opt systempaths=unconfined" in done.stderr


def test_root_that_may_not_mount_gets_a_namespace_with_all_ids(bench: Bench, context: Path) -> None:
    """As in a container without CAP_SYS_ADMIN. The store stays one of root's."""
    write_tree(context, {"Dockerfile": OWNERS.replace("1000:1000", "1000000:1000000"), "file": "x"})
    expected = bench.build(context, env=REPRODUCIBLE)
    command = ["setpriv", "--bounding-set=-sys_admin,-mknod", *bench.command("build", "--no-cache", "-q", context)]
    assert run(*command, env=bench.environment(REPRODUCIBLE), cwd=REPOSITORY).strip() == expected.image_id


@pytest.mark.parametrize("gone", ["-mknod,-audit_write,-net_raw", "-net_raw"])
def test_root_with_fewer_capabilities(bench: Bench, context: Path, gone: str) -> None:
    """As in Podman's containers with CAP_SYS_ADMIN: a RUN has those of its own that are left."""
    write_tree(context, {"Dockerfile": OWNERS + "RUN grep CapEff /proc/self/status\n", "file": "x"})
    expected = bench.build(context, env=REPRODUCIBLE)
    command = ["setpriv", f"--bounding-set={gone}", *bench.command("build", "--no-cache", context)]
    done = subprocess.run(command, check=True, capture_output=True, env=bench.environment(REPRODUCIBLE), text=True)
    assert expected.image_id in done.stderr
    left = ALL_RIGHTS & ~sum(1 << NUMBERS[name.upper()] for name in gone[1:].split(",-"))
    assert f"CapEff:\t{left:016x}" in done.stderr


def test_a_filter_that_refuses_host_names(bench: Bench, context: Path) -> None:
    """As Podman's, which lets a namespace be made and filled."""
    write_tree(context, {"Dockerfile": "FROM busybox\nRUN hostname && id\n"})
    filtered = [sys.executable, "-m", "tests.support.filtered", "sethostname"]
    without = ["setpriv", "--bounding-set=-sys_admin"]
    for command in (filtered, [*filtered, *without]):
        words = [*command, *bench.command("build", "--no-cache", "--progress", "plain", context)]
        done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=REPOSITORY)
        assert done.returncode == 0, done.stderr
        assert os.uname().nodename in done.stderr
        assert "uid=0(root)" in done.stderr


def test_a_filter_that_refuses_more_says_who_it_is(bench: Bench, context: Path) -> None:
    write_tree(context, {"Dockerfile": "FROM busybox\nRUN true\n"})
    words = [sys.executable, "-m", "tests.support.filtered", "keyctl"]
    words += bench.command("build", "--no-cache", "--progress", "plain", context)
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 1
    assert "could not be started: join a new session keyring: Operation not permitted" in done.stderr
    assert "pybuild doctor" in done.stderr


def test_a_namespace_that_is_there_is_enough(theirs: UserBench, context: Path) -> None:
    """With the same ids, in the same store."""
    write_tree(context, {"Dockerfile": OWNERS, "file": "there"})
    expected = theirs.build(context, env=REPRODUCIBLE)
    build = Bench(theirs.store).command("build", "-q", context)
    inside = [*theirs.user.prefix(), "unshare", "--map-root-user", "--map-auto", *build]
    assert run(*inside, env=theirs.environment(REPRODUCIBLE), cwd=REPOSITORY).strip() == expected.image_id


MOUNTS = """\
FROM busybox
RUN --mount=type=cache,target=/c,uid=7,gid=8 --mount=type=tmpfs,target=/t --mount=type=bind,source=f,target=/f \\
    --mount=type=bind,from=busybox,source=/etc,target=/e,rw --mount=type=secret,id=s,uid=5,mode=0440 --network=none \\
    stat -c '%n %u:%g %a' /c /run/secrets/s && cat /f /run/secrets/s && touch /c/x /t/x /e/x && ls /sys/class/net
"""


def test_mounts_of_a_step(theirs: UserBench, context: Path) -> None:
    write_tree(context, {"Dockerfile": MOUNTS, "f": "text\n"})
    built = theirs.build("--secret", "id=s,env=WORD", context, env={"WORD": "secret"})
    output = "".join(event["data"] for event in built.of("step-output"))
    assert "/c 7:8 755" in output, built.stderr
    assert "/run/secrets/s 5:0 440" in output
    assert "text\nsecretlo" in output


# -- a single id


@pytest.fixture(scope="module")
def alone(images: Path) -> Iterator[UserBench]:
    """Of a user without subordinate ids."""
    with ordinary_user(subordinate=False) as found:
        bench = UserBench(found, found.home / "store")
        bench.pybuild("load", "-t", "busybox", "-i", images / "busybox")
        yield bench
        settle(bench.store)


def refusal(built: Built) -> tuple[str, str]:
    assert built.code == 1
    (error,) = built.of("error")
    return error["message"], error["hint"]


def test_a_single_id_keeps_owners(alone: UserBench, bench: Bench, context: Path) -> None:
    """Those of the base and of COPY, through steps that copy the files up; a root's build gives the same image."""
    lines = [
        "FROM busybox",
        "COPY --chown=33:44 file /var/www/",
        "WORKDIR /srv",
        "RUN echo more >> /var/www/file && chmod 2770 /var/www",
    ]
    lines += [
        "RUN ln /var/www/file /srv && echo > /new",
        "COPY --from=busybox /etc /copied",
        "RUN chmod 600 /copied/shadow",
    ]
    write_tree(context, {"Dockerfile": "\n".join(lines), "file": "x"})
    built = alone.build(context, env=REPRODUCIBLE)
    assert built.image_id == bench.build(context, env=REPRODUCIBLE).image_id
    (warning,) = built.of("warned")
    assert f"user {alone.user.name} has no subordinate ids" in warning["message"]
    assert "sudo usermod --add-subuids" in warning["message"]


def test_a_single_id_fails_clearly_where_more_are_needed(alone: UserBench, context: Path) -> None:
    def attempt(*lines: str) -> tuple[str, str]:
        write_tree(context, {"Dockerfile": "\n".join(("FROM busybox", *lines))})
        return refusal(alone.attempt(context))

    message, hint = attempt("USER 1000", "RUN true")
    assert message.startswith("USER of this step: 1000:0 cannot run a command: this build has a single user id")
    assert "pybuild doctor" in hint
    message, hint = attempt("RUN chown 33 /etc/passwd")
    assert "exit code: 1" in message
    assert "single user id" in hint


@pytest.mark.slow
@pytest.mark.needs_tool("mmdebstrap")
def test_a_single_id_can_unpack_debian(alone: UserBench, context: Path) -> None:
    run(sys.executable, FIXTURES / "images" / "make.py", "debian")
    images = alone.user.home.parent / "debian"
    run("cp", "-r", FIXTURES / "images" / "out" / "debian", images)
    run("chmod", "-R", "a+rX", images)
    alone.pybuild("load", "-t", "debian", "-i", images)
    root = alone.user.home / "root.tar"
    write_tree(context, {"Dockerfile": "FROM debian\nRUN touch /etc/shadow && echo > /made\n"})
    alone.build("-o", f"type=tar,dest={root}", context, env=REPRODUCIBLE)
    lines = run("tar", "--numeric-owner", "-tvf", root).splitlines()
    owners = {line.split()[-1]: line.split()[1] for line in lines if " -> " not in line}
    assert owners["etc/shadow"] == "0/42"
    assert owners["var/mail/"] == "0/8"
    assert owners["made"] == "0/0"
    assert owners["dev/null"] == "0/0"


def test_more_ids_replace_what_was_made_with_one(alone: UserBench, context: Path) -> None:
    """The very command of the warning mends it."""
    write_tree(context, {"Dockerfile": "FROM busybox\nRUN stat -c %u:%g /home > /owner\n"})
    first = alone.build(context)
    (warning,) = first.of("warned")
    command = warning["message"].rpartition("sudo ")[2].split()
    settle(alone.store)
    run(*command)
    second = alone.build(context)
    assert not second.of("warned")
    assert second.executed() == {"RUN stat -c %u:%g /home > /owner"}
    assert second.image_id != first.image_id


def test_base_layers_are_fetched_inside_of_the_namespace(theirs: UserBench, context: Path) -> None:
    """A build leaves them at the registry, the next one fetches them; ``pull``, outside, finds them there."""
    with FakeRegistry().running() as fake:
        base = f"{fake.host}/team/base:1"
        theirs.pybuild("tag", "busybox", base)
        theirs.pybuild("push", base)
        elsewhere = UserBench(theirs.user, theirs.user.home / "elsewhere")
        write_tree(context, {"Dockerfile": f"FROM {base}\nENV A=b\n"})
        elsewhere.build(context)
        layer = json.loads(fake.manifests["team/base", "1"].raw)["layers"][0]["digest"]
        assert fake.requests(f"GET .*/blobs/{layer}") == []
        write_tree(context, {"Dockerfile": f"FROM {base}\nRUN id > /me\n"})
        assert elsewhere.build(context).executed() == {"RUN id > /me"}
        elsewhere.pybuild("pull", base)
        assert len(fake.requests(f"GET .*/blobs/{layer}")) == 1
