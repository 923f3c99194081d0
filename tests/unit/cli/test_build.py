"""``pybuild build``: from a command line to a request, and from a result to what is printed and written."""

import json
import threading
from pathlib import Path

import pytest

from builder import events
from builder.events import Emit
from builder.request import OutputSpec
from layers.digest import BlobDigest, Digest
from layers.image import Descriptor
from layers.media import OCI_MANIFEST
from tests.unit.cli.conftest import IMAGE_ID, FakeApi, Run


def test_build_is_the_default_command(run: Run, context: Path, api: FakeApi) -> None:
    assert run("-t", "app:1.0", ".").code == 0
    assert run("build", "-t", "app:1.0", ".").code == 0
    assert run(".", "-t", "app:1.0").code == 0
    assert api.requests[0] == api.requests[1] == api.requests[2]
    assert api.requests[0].tags == ("docker.io/library/app:1.0",)


def test_request(run: Run, context: Path, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "7")
    monkeypatch.setenv("B", "2")
    (context / ".dockerignore").write_text("*.o\n")
    (context / "lib").mkdir()
    ran = run(
        *("build", "-tx", "--tag=y", "--target", "t", "--build-arg", "A=1", "--build-arg", "B", "--label", "l=1"),
        *("--no-cache", "-o", "type=oci,dest=x.tar", "--load", "--build-context", "lib=lib", "--root", "st"),
        *("--security-opt", "seccomp=unconfined", "."),
    )
    assert (ran.code, ran.out) == (0, "")
    (request,) = api.requests
    assert request.context == str(context)
    assert request.dockerfile_path == "Dockerfile"
    assert request.dockerfile_text.startswith(b"FROM debian")
    assert request.ignores == ((".dockerignore", b"*.o\n"),)
    assert request.root == str(context / "st")
    assert request.target == "t"
    assert request.build_args == (("A", "1"), ("B", "2"), ("SOURCE_DATE_EPOCH", "7"))
    assert request.labels == (("l", "1"),)
    assert request.no_cache
    assert request.epoch == 7
    assert not request.seccomp
    assert [output.type for output in request.outputs] == ["oci", "load"]
    assert [named.path for named in request.build_contexts] == [str(context / "lib")]


def test_quiet_prints_the_id_alone(run: Run, context: Path, api: FakeApi) -> None:
    api.during = lambda emit, cancelled: emit(events.Warned(1.0, None, "odd"))
    assert run("-q", ".") == (0, IMAGE_ID + "\n", "")
    assert run("--progress=quiet", ".") == (0, IMAGE_ID + "\n", "")
    assert run("--progress=none", ".") == (0, "", "")


def test_progress_goes_to_standard_error(run: Run, context: Path, api: FakeApi) -> None:
    api.during = lambda emit, cancelled: emit(events.Warned(1.0, None, "odd"))
    assert run("--progress", "plain", ".") == (0, "", "WARNING: odd\n")
    ran = run("--progress", "json", ".")
    assert json.loads(ran.err) == {"event": "warned", "at": 1.0, "step": None, "message": "odd", "first_line": 0}


def test_files_about_the_result(run: Run, context: Path, api: FakeApi) -> None:
    digest = BlobDigest(Digest.of(b"{}"))
    api.descriptor = Descriptor(OCI_MANIFEST, digest, 2)
    assert run("-t", "app", "--iidfile", "id", "--metadata-file", "meta.json", ".").code == 0
    assert (context / "id").read_text() == IMAGE_ID
    metadata = json.loads((context / "meta.json").read_text())
    assert metadata["containerimage.config.digest"] == IMAGE_ID
    assert metadata["containerimage.digest"] == str(digest)
    assert metadata["image.name"] == "docker.io/library/app:latest"


def test_files_of_an_earlier_build_do_not_outlive_a_failure(run: Run, context: Path, api: FakeApi) -> None:
    (context / "id").write_text("old")
    api.error = OSError(28, "No space left on device", "/store/blobs")
    ran = run("--iidfile", "id", ".")
    assert ran.code == 1
    assert ran.err.startswith("error: /store/blobs: No space left on device\nhint: free some space")
    assert not (context / "id").exists()


def test_a_link_to_a_file_of_the_result_stays(run: Run, context: Path, api: FakeApi) -> None:
    (context / "real").write_text("old")
    (context / "id").symlink_to("real")
    assert run("--iidfile", "id", ".").code == 0
    assert (context / "id").is_symlink()
    assert (context / "real").read_text() == IMAGE_ID


def test_the_id_can_go_to_what_is_no_file(run: Run, context: Path, api: FakeApi) -> None:
    assert run("--iidfile", "/dev/null", ".").code == 0
    assert Path("/dev/null").is_char_device()


def test_a_tar_is_not_written_to_a_terminal(
    run: Run, context: Path, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("-o", "-", ".").code == 0
    assert api.requests[0].outputs == (OutputSpec("tar", "-"),)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for output in ("-", "type=oci", "type=docker,dest=-"):
        ran = run("-o", output, ".")
        assert (ran.code, ran.err.split("\n")[0]) == (2, "error: an archive is not written to a terminal")
    assert len(api.requests) == 1


def test_quiet_and_a_tar_do_not_share_standard_output(run: Run, context: Path, api: FakeApi) -> None:
    for flag in ("-q", "--progress=quiet"):
        ran = run(flag, "-o", "-", ".")
        assert ran.code == 2
        assert "--quiet prints the image id where the output goes" in ran.err


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ((), "Missing argument 'PATH'"),
        ((".", "extra"), "unexpected extra argument"),
        (("nowhere",), "error: nowhere: no such directory"),
        (("Dockerfile",), "error: Dockerfile: is not a directory"),
        (("images",), "error: images is a command, not a directory\nhint: write it first: pybuild images ..."),
        (("--iidfile", ".", "."), "error: --iidfile . is a directory"),
        (("--iidfile", "no/id", "."), "error: --iidfile no/id: there is no directory"),
        (("--metadata-file", "no/m", "."), "error: --metadata-file no/m: there is no directory"),
        (("-o", "", "."), "error: --output is empty"),
        (("-f", "-", "-"), "error: context and Dockerfile cannot both come from standard input"),
        (("-f", "none", "."), "error: --file none: no such file"),
        (("-f", ".", "."), "error: --file . is a directory"),
        (("--build-context", "x=none", "."), "error: --build-context x: there is no directory"),
        (("--progress=loud", "."), "'loud' is not one of 'auto', 'tty', 'plain', 'json', 'rawjson', 'quiet', 'none'"),
        (("-q", "--progress=plain", "."), "error: --quiet and --progress=plain exclude each other"),
        (("--progress=tty", "."), "error: --progress=tty: standard error is no terminal"),
    ],
)
def test_asked_for_wrongly(args: tuple[str, ...], problem: str, run: Run, context: Path, api: FakeApi) -> None:
    ran = run("build", *args)
    assert ran.code == 2
    assert problem in ran.err
    assert not api.requests


def test_nothing_to_write_progress_to_stops_the_build(
    run: Run, context: Path, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(text: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    def during(emit: Emit, cancelled: threading.Event) -> None:
        emit(events.Warned(1.0, None, "odd"))
        assert cancelled.wait(10)

    monkeypatch.setattr("builder.cli.progress._write", broken)
    api.during = during
    assert run("--progress=plain", ".").code == 1


def test_a_working_directory_that_is_gone(run: Run, context: Path, api: FakeApi) -> None:
    context.rename(context.parent / "moved")
    (context.parent / "moved/Dockerfile").unlink()
    (context.parent / "moved").rmdir()
    for args in ((".",), ("build", str(context.parent)), ("images",)):
        ran = run(*args)
        assert (ran.code, ran.err) == (
            1,
            "error: the working directory has been removed\nhint: cd to one that exists\n",
        )
