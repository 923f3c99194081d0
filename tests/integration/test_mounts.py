"""``RUN --mount`` from inside of the step, and what stays of it."""

import os
from pathlib import Path

import pytest

from tests.support.builds import Bench, dockerfile, output, said, write_tree

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]


def test_bind_of_the_context(bench: Bench, tmp_path: Path) -> None:
    context = write_tree(
        tmp_path / "context",
        {".dockerignore": "hidden\ndir/hidden\n", "hidden": "h", "dir/file": "hello\n", "dir/hidden": "h"},
    )
    (context / "dir" / "file").chmod(0o640)
    os.chown(context / "dir" / "file", 1234, 1234)
    (context / "dir" / "link").symlink_to("file")
    text = """FROM busybox
RUN --mount=target=/ctx --mount=source=dir/link,target=/file \
    cat /file; stat -c '%a %u:%g' /file; ls /ctx /ctx/dir; touch /ctx/new; touch /ctx/dir/file; echo $?
RUN ls -d /ctx /file
"""
    built = bench.attempt(dockerfile(context, text))
    found = said(built)
    assert found.startswith("hello\n640 0:0\n")
    assert "file\nlink\n" in found and "hidden" not in found
    assert "touch: /ctx/new: Read-only file system" in found
    assert "ls: /ctx: No such file or directory" in found and "ls: /file: No such file" in found
    assert built.code == 1 and (context / "dir" / "file").read_text() == "hello\n"


def test_writes_to_a_bind_are_discarded(bench: Bench, tmp_path: Path) -> None:
    context = write_tree(tmp_path / "context", {"file": "old\n"})
    text = """FROM busybox
RUN --mount=target=/ctx,rw echo new > /ctx/file && rm /ctx/Dockerfile && cat /ctx/file
RUN --mount=target=/ctx,rw cat /ctx/file && ls /ctx
"""
    assert output(bench, context, text) == "new\nold\nDockerfile\nfile\n"
    assert (context / "file").read_text() == "old\n"


def test_bind_of_stages_and_contexts(bench: Bench, tmp_path: Path) -> None:
    other = write_tree(tmp_path / "other", {"o": "named\n"})
    text = """FROM busybox AS src
RUN mkdir -m 700 /d && echo made > /d/f && ln -s /d /link && chown -R 5:6 /d
FROM busybox
RUN --mount=from=src,target=/all --mount=from=src,source=/link,target=/d --mount=from=src,source=/link/f,target=/f \
    --mount=from=other,target=/o --mount=from=busybox,source=/bin,target=/b --mount=from=scratch,target=/s \
    cat /all/d/f /d/f /f /o/o; stat -c '%a %u:%g' /d /d/f; ls /b | grep -c busybox; ls /s; touch /all/x /s/x || true
RUN ls -d /all /d /f /o /b /s
"""
    built = bench.attempt(dockerfile(tmp_path / "context", text), f"--build-context=other={other}")
    found = said(built)
    assert found.startswith("made\nmade\nmade\nnamed\n700 5:6\n644 5:6\n1\n")
    assert found.count("Read-only file system") == 2
    assert found.count("No such file or directory") == 6


def test_mounts_in_mounts(bench: Bench, tmp_path: Path) -> None:
    context = write_tree(tmp_path / "context", {"file": "f\n"})
    text = """FROM busybox
RUN --mount=source=file,target=/t/a/file --mount=type=tmpfs,target=/t --mount=type=cache,target=/t/a \
    cat /t/a/file && ls /t
RUN --mount=type=cache,target=/t/a ls -l /t/a | wc -l; ls -d /t/a
RUN ls -d /t
"""
    built = bench.attempt(dockerfile(context, text))
    found = said(built)
    assert found.startswith("f\na\n") and "ls: /t: No such file" in found


def test_of_two_mounts_with_one_target_the_last_is_mounted(bench: Bench, tmp_path: Path) -> None:
    context = write_tree(tmp_path / "context", {"file": "f\n", "d/in": "in\n"})
    text = """FROM busybox
RUN --mount=source=file,target=/t --mount=type=cache,target=/t ls -A /t; grep -c ' /t ' /proc/mounts
RUN --mount=type=cache,target=/t --mount=source=d,target=/t cat /t/in; grep -c ' /t ' /proc/mounts
RUN --mount=type=secret,id=s,target=/t --mount=source=d,target=/t cat /t; grep -c ' /t ' /proc/mounts
"""
    built = bench.attempt(dockerfile(context, text), f"--secret=id=s,src={context}/file")
    assert said(built) == "1\nin\n1\nf\n1\n"


def test_mount_points_leave_no_trace(bench: Bench, tmp_path: Path) -> None:
    text = """FROM busybox
RUN touch -d @1000000000 /usr /
RUN --mount=type=cache,target=/usr/a/b/c --mount=type=secret,id=s,target=/usr/s --mount=type=tmpfs,target=/new true
RUN stat -c %Y /usr; ls /usr; ls -d /new || true
"""
    found = output(bench, tmp_path / "context", text, "--secret=id=s,env=HOME")
    assert found.startswith("1000000000\n")
    assert "a\n" not in found and "ls: /new: No such" in found


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("target=/etc/passwd", "a directory cannot be mounted on /etc/passwd, which is a file"),
        ("source=file,target=/etc", "a file cannot be mounted on /etc, which is a directory"),
        ("source=nowhere,target=/x", "RUN --mount: source /nowhere: not found in the build context"),
        ("from=busybox,source=/no,target=/x", "RUN --mount: source /no: not found"),
        ("type=cache,source=/no,target=/x", "RUN --mount: source /no: not found in the cache"),
        ("type=secret,id=gone,required", "RUN --mount: the secret gone is required, and was not given"),
    ],
)
def test_what_cannot_be_mounted(target: str, error: str, bench: Bench, tmp_path: Path) -> None:
    context = write_tree(tmp_path / "context", {"file": "f"})
    built = bench.attempt(dockerfile(context, f"FROM busybox\nRUN --mount={target} true\n"))
    assert built.code != 0 and error in built.stderr


def test_tmpfs(bench: Bench, tmp_path: Path) -> None:
    text = """FROM busybox
RUN mkdir -m 750 /t && touch /t/below
RUN --mount=type=tmpfs,target=/t,size=1m ls /t; stat -c %a /t; dd if=/dev/zero of=/t/f bs=2M count=1 2>&1; \
    mount | grep ' /t ' | grep -o 'rw,nosuid,nodev.*'
RUN ls /t
"""
    found = output(bench, tmp_path / "context", text)
    assert found.startswith("750\n") and "No space left on device" in found
    assert "rw,nosuid,nodev,relatime,size=1024k)\nbelow\n" in found


def test_cache_stays_and_is_in_no_layer(bench: Bench, tmp_path: Path) -> None:
    text = """FROM busybox
ARG N
RUN --mount=type=cache,target=/c echo $N >> /c/log && cat /c/log && stat -c '%a %u:%g' /c
RUN ls /c 2>&1 || true
"""
    context = tmp_path / "context"
    assert output(bench, context, text, "--build-arg=N=1").startswith("1\n755 0:0\n")
    assert output(bench, context, text, "--build-arg=N=2").startswith("1\n2\n755 0:0\nls: /c: No such file")
    assert output(bench, context, text, "--build-arg=N=3", "--no-cache").startswith("1\n2\n3\n")
    bench.pybuild("prune", "--all")
    bench.load("busybox", "busybox")


def test_which_mounts_share_a_cache(bench: Bench, tmp_path: Path) -> None:
    text = """FROM busybox AS src
RUN mkdir /d && echo begun > /d/f
FROM busybox
RUN --mount=type=cache,target=/a touch /a/seen
RUN --mount=type=cache,id=/a,target=/1 --mount=type=cache,id=a,target=/2 --mount=type=cache,id=/a,uid=1,target=/3 \
    --mount=type=cache,id=/a,mode=0700,target=/4 --mount=type=cache,target=/5,id=/a,ro ls /1 /2 /3 /4; \
    stat -c '%a %u' /1 /3 /4; touch /5/x
RUN --mount=type=cache,id=s,from=src,source=/d,target=/6 cat /6/f && echo changed > /6/f
RUN --mount=type=cache,id=s,from=src,source=/d,target=/7 cat /7/f
RUN --mount=type=cache,id=t,target=/8 mkdir /8/sub && touch /8/sub/deep
RUN --mount=type=cache,id=t,source=sub,target=/9 ls /9
"""
    built = bench.attempt(dockerfile(tmp_path / "context", text.replace("touch /5/x", "touch /5/x; true")))
    found = said(built)
    assert found.startswith("/1:\nseen\n\n/2:\n\n/3:\n\n/4:\n755 0\n755 1\n700 0\n")
    assert "touch: /5/x: Read-only file system" in found
    assert found.endswith("begun\nchanged\ndeep\n")


def test_secrets(bench: Bench, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret file\n")
    text = """FROM busybox
WORKDIR /w
RUN --mount=type=secret,id=f --mount=type=secret,id=f,target=rel,mode=0555,uid=7,gid=8 \
    --mount=type=secret,id=v,env=VALUE --mount=type=secret,id=none,env=UNSET --mount=type=secret,id=none \
    cat /run/secrets/f; stat -c '%n %a %u:%g' /run/secrets/f /w/rel; echo "$VALUE" "${UNSET-unset}"; ls /run/secrets; \
    grep -o ' /run/secrets/f tmpfs ro,nosuid,nodev,noexec' /proc/mounts; \
    grep -o ' /w/rel tmpfs [a-z,]*,size' /proc/mounts
USER 7
RUN --mount=type=secret,id=f cat /run/secrets/f 2>&1 || true
RUN ls -A /w /run 2>&1 || true
"""
    found = output(bench, tmp_path / "context", text, f"--secret=id=f,src={secret}", "--secret=id=v,env=HOME")
    home = os.environ["HOME"]
    assert found.startswith(
        f"a secret file\n/run/secrets/f 400 0:0\n/w/rel 555 7:8\n{home} \nf\n"
        " /run/secrets/f tmpfs ro,nosuid,nodev,noexec\n /w/rel tmpfs ro,nosuid,nodev,relatime,size\n"
        "cat: can't open '/run/secrets/f': Permission denied\n"
    )
    assert "rel" not in found[found.rindex("Permission denied") :]


def test_what_runs_again(bench: Bench, tmp_path: Path) -> None:
    context = write_tree(tmp_path / "context", {"a/f": "1", "b": "1"})
    text = """FROM busybox AS src
ARG N
RUN mkdir /out && echo $N > /out/n && echo same > /out/same
FROM busybox
RUN --mount=source=a,target=/a echo a
RUN --mount=from=src,source=/out/same,target=/s echo same
RUN --mount=type=secret,id=s echo secret
RUN --mount=type=cache,id=one,target=/c echo cache
"""
    dockerfile(context, text)
    bench.build(context)
    (context / "b").write_text("2")
    os.utime(context / "a" / "f", (1, 1))
    again = bench.build(context, "--secret=id=s,env=HOME", "--build-arg=N=2")
    assert again.executed() == {"RUN mkdir /out && echo 2 > /out/n && echo same > /out/same"}
    dockerfile(context, text.replace("id=one", "id=two,sharing=locked"))
    assert bench.build(context, "--build-arg=N=2").executed() == set()
    (context / "a" / "f").write_text("2")
    ran = bench.build(context, "--build-arg=N=2").executed()
    assert "RUN --mount=source=a,target=/a echo a" in ran
