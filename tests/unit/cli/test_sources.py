"""Which files a build is made from."""

import gzip
import io
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.cli.sources import STDIN, Inputs, Staging, read_files
from builder.request import IgnoreFile
from builder.settings import BuildFiles, FlagError, UnsupportedFlag
from layers.errors import PybuildError, UnsafeArchive

Read = Callable[..., BuildFiles]


def make(root: Path, **files: str) -> str:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


@pytest.fixture
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    with Staging(str(tmp_path_factory.mktemp("staging") / "store")) as staging:

        def call(context: str, file: str | None, cwd: str, *ignorefiles: str) -> BuildFiles:
            return read_files(Inputs(context, file, ignorefiles, cwd), staging)

        yield call


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


def test_the_usual_place(read: Read, tmp_path: Path) -> None:
    make(tmp_path, ctx__Dockerfile="FROM a", ctx__dockerfile="FROM b")
    assert read("ctx", None, str(tmp_path)) == BuildFiles(str(tmp_path / "ctx"), "ctx/Dockerfile", b"FROM a")
    assert read(".", None, str(tmp_path / "ctx")).dockerfile_path == "Dockerfile"


def test_lower_case(read: Read, tmp_path: Path) -> None:
    cwd = make(tmp_path, dockerfile="FROM b")
    assert read(".", None, cwd).dockerfile_text == b"FROM b"


@pytest.mark.parametrize(("file", "shown"), [("Dockerfile", "dockerfile"), ("sub/Dockerfile", "sub/dockerfile")])
def test_lower_case_of_a_named_file(
    read: Read, tmp_path: Path, stdin: Callable[[bytes], None], file: str, shown: str
) -> None:
    cwd = make(tmp_path, dockerfile="FROM a", sub__dockerfile="FROM b")
    (tmp_path / f"{shown}.dockerignore").write_text("x")
    files = read(".", file, cwd)
    assert (files.dockerfile_path, files.dockerfile_text) == (shown, (tmp_path / shown).read_bytes())
    assert files.ignores == ((f"{shown}.dockerignore", b"x"),)
    stdin(archive({shown: "FROM c"}))
    assert read("-", file, cwd)[1:3] == (shown, b"FROM c")
    with pytest.raises(FlagError, match="--file Other: no such file"):
        read(".", "Other", cwd)


def test_a_policy_is_not_passed_over(tmp_path: Path, stdin: Callable[[bytes], None]) -> None:
    """One that nobody asked for, but that buildx would take up."""
    cwd = make(tmp_path, Dockerfile="FROM a", sub__D="FROM d", sub__D_dot_rego="package docker")
    with Staging(str(tmp_path / "store")) as staging:
        assert read_files(Inputs(".", None, (), cwd, policed=True), staging).dockerfile_text == b"FROM a"
        asked = Inputs(".", "sub/D", (), cwd, policed=True)
        with pytest.raises(UnsupportedFlag, match=r"the policy sub/D\.rego is not supported yet"):
            read_files(asked, staging)
        assert read_files(asked._replace(policed=False), staging).dockerfile_text == b"FROM d"
        stdin(archive({"Dockerfile": "FROM a", "Dockerfile.rego": ""}))
        with pytest.raises(UnsupportedFlag, match=r"the policy Dockerfile\.rego is not supported yet"):
            read_files(Inputs("-", None, (), cwd, policed=True), staging)


def test_a_named_file_is_relative_to_the_working_directory(read: Read, tmp_path: Path) -> None:
    cwd = make(tmp_path, My="FROM mine", ctx__My="FROM other")
    assert read("ctx", "My", cwd)[1:3] == ("My", b"FROM mine")


def test_no_dockerfile(read: Read, tmp_path: Path) -> None:
    with pytest.raises(FlagError, match=r"there is no Dockerfile in \."):
        read(".", None, str(tmp_path))


@pytest.mark.parametrize(
    ("own", "common", "expected"),
    [(None, None, None), (None, "a", b"a"), ("b", "a", b"b"), ("", "a", b"")],
)
def test_ignore_files(read: Read, tmp_path: Path, own: str | None, common: str | None, expected: bytes | None) -> None:
    cwd = make(tmp_path, ctx__Dockerfile="", sub__D="")
    if own is not None:
        (tmp_path / "sub/D.dockerignore").write_text(own)
    if common is not None:
        (tmp_path / "ctx/.dockerignore").write_text(common)
    assert [text for _, text in read("ctx", "sub/D", cwd).ignores] == ([] if expected is None else [expected])
    assert [text for _, text in read("ctx", None, cwd).ignores] == ([] if common is None else [common.encode()])


def test_a_directory_is_no_ignore_file(read: Read, tmp_path: Path) -> None:
    cwd = make(tmp_path, Dockerfile="", _dot_dockerignore="a")
    (tmp_path / "Dockerfile.dockerignore").mkdir()
    assert read(".", None, cwd).ignores == ((".dockerignore", b"a"),)
    (tmp_path / ".dockerignore").unlink()
    (tmp_path / ".dockerignore").mkdir()
    assert read(".", None, cwd).ignores == ()


def test_named_ignore_files_replace_the_others(read: Read, tmp_path: Path) -> None:
    cwd = make(tmp_path, Dockerfile="", _dot_dockerignore="a", one="b", sub__two="c")
    assert read(".", None, cwd, "one", "sub/two").ignores == (("one", b"b"), ("sub/two", b"c"))
    with pytest.raises(FlagError, match="--ignorefile three: no such file"):
        read(".", None, cwd, "three")


def test_a_dockerfile_on_standard_input(read: Read, tmp_path: Path, stdin: Callable[[bytes], None]) -> None:
    cwd = make(tmp_path, Dockerfile="FROM a", _dot_dockerignore="x")
    stdin(b"FROM b")
    assert read(".", "-", cwd) == BuildFiles(cwd, STDIN, b"FROM b", (IgnoreFile(".dockerignore", b"x"),))
    stdin(b"")
    with pytest.raises(FlagError, match="no Dockerfile on standard input"):
        read(".", "-", cwd)


def test_a_dockerfile_without_a_context(read: Read, tmp_path: Path, stdin: Callable[[bytes], None]) -> None:
    text = b"FROM b\nRUN " + b"x" * 5000
    stdin(text)
    files = read("-", None, str(tmp_path))
    assert files[1:] == (STDIN, text, (), True)
    assert not list(Path(files.context).iterdir())


def test_what_standard_input_cannot_be(read: Read, tmp_path: Path, stdin: Callable[[bytes], None]) -> None:
    stdin(b"FROM b")
    with pytest.raises(FlagError, match="standard input and --file D both give a Dockerfile"):
        read("-", "D", str(tmp_path))
    with pytest.raises(FlagError, match="cannot both come from standard input"):
        read("-", "-", str(tmp_path))
    stdin(b"")
    with pytest.raises(FlagError, match="nothing on standard input"):
        read("-", None, str(tmp_path))


def archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            if text.startswith("->"):
                member.type, member.linkname = tarfile.SYMTYPE, text[2:]
            member.size = 0 if text.startswith("->") else len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_an_archive(read: Read, tmp_path: Path, stdin: Callable[[bytes], None]) -> None:
    stdin(gzip.compress(archive({"Dockerfile": "FROM a", ".dockerignore": "x", "sub/D": "FROM d", "sub/link": "->D"})))
    files = read("-", None, str(tmp_path))
    assert files[1:] == ("Dockerfile", b"FROM a", (), True)
    assert sorted(path.name for path in Path(files.context).iterdir()) == [".dockerignore", "Dockerfile", "sub"]


@pytest.mark.parametrize(("file", "text"), [("sub/D", b"FROM d"), ("/sub/link", b"FROM d"), ("../sub/D", b"FROM d")])
def test_a_file_of_an_archive(
    read: Read, tmp_path: Path, stdin: Callable[[bytes], None], file: str, text: bytes
) -> None:
    stdin(archive({"sub/D": "FROM d", "sub/link": "->D"}))
    assert read("-", file, str(tmp_path)).dockerfile_text == text


def test_links_of_an_archive_lead_nowhere_else(read: Read, tmp_path: Path, stdin: Callable[[bytes], None]) -> None:
    (tmp_path / "secret").write_text("FROM secret")
    stdin(archive({"Dockerfile": f"->{tmp_path}/secret"}))
    with pytest.raises(FlagError, match="there is no Dockerfile in the context from standard input"):
        read("-", None, str(tmp_path))


def test_a_dockerfile_that_is_no_file(read: Read, tmp_path: Path, stdin: Callable[[bytes], None]) -> None:
    stdin(archive({"Dockerfile/x": "FROM a"}))
    with pytest.raises(PybuildError, match="Dockerfile is not a regular file"):
        read("-", None, str(tmp_path))


def test_a_hostile_archive(read: Read, tmp_path: Path, stdin: Callable[[bytes], None]) -> None:
    stdin(archive({"Dockerfile": "FROM a", "../x": "y"}))
    with pytest.raises(UnsafeArchive, match=r"standard input: \.\./x leads out"):
        read("-", None, str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_an_archive_is_named_in_a_hint(read: Read, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(archive({"Dockerfile": "FROM a"}))
    with pytest.raises(FlagError) as caught:
        read("x.tar", None, str(tmp_path))
    assert caught.value.hint is not None
    assert "pybuild - < x.tar" in caught.value.hint


def test_what_was_unpacked_is_removed(tmp_path: Path, stdin: Callable[[bytes], None]) -> None:
    stdin(archive({"Dockerfile": "FROM a"}))
    with Staging(str(tmp_path / "store")) as staging:
        context = read_files(Inputs("-", None, (), "/"), staging).context
        assert Path(context).exists()
    assert not Path(context).exists()
