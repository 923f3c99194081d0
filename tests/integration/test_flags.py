"""What flags of ``docker buildx build`` do to a build: the effect of each, and whether it is in the key of a step."""

import json
from pathlib import Path

import pytest

from tests.support.builds import Bench, write_tree
from tests.support.validate import files_of

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return tmp_path / "context"


def outcome(bench: Bench, context: Path, command: str, *flags: str) -> tuple[str, bool]:
    """What a RUN of ``command`` prints into a file, and whether it ran."""
    write_tree(context, {"Dockerfile": f"FROM busybox\nRUN ({command}) > /seen\n"})
    out = context.parent / "out"
    built = bench.build("-o", f"type=local,dest={out}", *flags, context)
    return (out / "seen").read_text().strip(), bool(built.executed())


def test_add_host(bench: Bench, context: Path) -> None:
    command = "grep -E '^(10|::2)' /etc/hosts"
    flags = ("--add-host", "db:10.0.0.1", "--add-host", "six=[::2]")
    assert outcome(bench, context, command, *flags) == ("10.0.0.1\tdb\n::2\tsix", True)
    # Its names are in the key, and their addresses are not (as BuildKit has it).
    other = ("--add-host", "db:10.0.0.9", "--add-host", "six=[::2]")
    assert outcome(bench, context, command, *other) == ("10.0.0.1\tdb\n::2\tsix", False)
    assert outcome(bench, context, command, "--add-host", "db:10.0.0.1")[1]


def test_shm_size(bench: Bench, context: Path) -> None:
    command = "df -k /dev/shm | awk '$6 == \"/dev/shm\" {print $2}'"
    assert outcome(bench, context, command) == ("65536", True)
    assert outcome(bench, context, command, "--shm-size", "8m") == ("8192", True)
    assert outcome(bench, context, command, "--shm-size", "8192k") == ("8192", False)


def test_ulimit(bench: Bench, context: Path) -> None:
    command = "ulimit -Sn; ulimit -Hn; ulimit -c"
    flags = ("--ulimit", "nofile=123:456", "--ulimit", "core=0")
    assert outcome(bench, context, command, *flags) == ("123\n456\n0", True)
    assert outcome(bench, context, command, *reversed_pairs(flags)) == ("123\n456\n0", False)
    assert outcome(bench, context, command, "--ulimit", "nofile=124:456", "--ulimit", "core=0")[1]


def reversed_pairs(flags: tuple[str, ...]) -> tuple[str, ...]:
    return (*flags[2:], *flags[:2])


def test_seccomp_is_in_the_key(bench: Bench, context: Path) -> None:
    command = "grep Seccomp: /proc/self/status"
    assert outcome(bench, context, command) == ("Seccomp:\t2", True)
    assert outcome(bench, context, command, "--security-opt", "seccomp=unconfined") == ("Seccomp:\t0", True)
    assert outcome(bench, context, command) == ("Seccomp:\t2", False)


STAGES = """
FROM busybox AS first
RUN cat /proc/sys/kernel/random/uuid > /first
FROM first AS child
RUN cat /proc/sys/kernel/random/uuid > /child
FROM busybox AS Other
RUN cat /proc/sys/kernel/random/uuid > /other
FROM busybox
COPY --from=child /first /child /
COPY --from=other /other /
RUN cat /first > /last
"""


def test_no_cache_filter(bench: Bench, context: Path) -> None:
    """A stage is named: its steps run again, those that stand on them, and what takes other files from them."""
    write_tree(context, {"Dockerfile": STAGES})
    assert len(bench.build(context).executed()) == 6
    assert bench.build(context).executed() == set()
    again = bench.build("--no-cache-filter", "OTHER", context)
    assert again.executed() == {
        "RUN cat /proc/sys/kernel/random/uuid > /other",
        "COPY --from=other /other /",
        "RUN cat /first > /last",
    }
    again = bench.build("--no-cache-filter", "nowhere,first", context)
    assert len(again.executed()) == 5
    assert "RUN cat /proc/sys/kernel/random/uuid > /other" not in again.executed()
    assert any("nowhere: there is no such stage" in warned["message"] for warned in again.of("warned"))
    assert bench.build(context).executed() == set()
    assert len(bench.build("--no-cache-filter", "stage-3", context).executed()) == 3


def test_a_step_that_runs_again_with_equal_output_disturbs_nobody(bench: Bench, context: Path) -> None:
    text = "FROM busybox AS one\nRUN echo 1 > /one\nFROM busybox\nCOPY --from=one /one /\nRUN cat /one\n"
    write_tree(context, {"Dockerfile": text})
    bench.build(context)
    assert bench.build("--no-cache-filter=one", context).executed() == {"RUN echo 1 > /one"}


def test_annotations(bench: Bench, context: Path, tmp_path: Path) -> None:
    write_tree(context, {"Dockerfile": "FROM busybox\nCMD x\n"})
    out = tmp_path / "image.tar"
    given = ("--annotation", "org.example.a=one", "--annotation", "manifest,manifest-descriptor:b=two")
    built = bench.build("-o", f"type=oci,dest={out}", "-t", "app", *given, context)
    files = files_of(out)
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["annotations"]["b"] == "two"
    assert "org.example.a" not in entry["annotations"]
    assert entry["digest"] == built.digest
    manifest = json.loads(files["blobs/sha256/" + built.digest.partition(":")[2]])
    assert manifest["annotations"] == {"b": "two", "org.example.a": "one"}


def test_build_arguments_from_a_file(bench: Bench, context: Path, tmp_path: Path) -> None:
    write_tree(tmp_path, {"args": "# of the team\nA=1\nB=2\n"})
    write_tree(context, {"Dockerfile": "FROM busybox\nARG A B\nLABEL ab=$A$B\n"})
    bench.build("-t", "app", "--build-arg-file", tmp_path / "args", "--build-arg", "B=3", context)
    assert json.loads(bench.pybuild("inspect", "app"))[0]["Config"]["Labels"]["ab"] == "13"


def test_files_of_results(bench: Bench, context: Path, tmp_path: Path) -> None:
    write_tree(context, {"Dockerfile": "FROM busybox\nCMD y\n"})
    flags = ("--iidfile", tmp_path / "iid", "--metadata-file", tmp_path / "meta", "-t", "app:1")
    printed = bench.pybuild("build", "-q", *flags, "-o", f"type=oci,dest={tmp_path / 'o.tar'}", context)
    metadata = json.loads((tmp_path / "meta").read_text())
    assert (tmp_path / "iid").read_text() == printed.strip() == metadata["containerimage.config.digest"]
    assert metadata["image.name"] == "docker.io/library/app:1"
    assert metadata["containerimage.digest"] == metadata["containerimage.descriptor"]["digest"]


def test_output_is_clipped(bench: Bench, context: Path) -> None:
    """The end of what a failing step said is shown all the same."""
    write_tree(context, {"Dockerfile": "FROM busybox\nRUN yes 12345678 | head -c 3000000; echo the-end; exit 3\n"})

    def said(**env: str) -> tuple[int, str]:
        built = bench.attempt(context, env=env)
        assert built.code == 1
        assert "the-end" in built.stderr.splitlines()[-1]
        text = "".join(event.get("data", "") for event in built.of("step-output"))
        return len(text), text[-200:]

    clipped = "[output clipped, log limit 2MiB reached]"
    size, end = said()
    assert (2 << 20) < size < (2 << 20) + 100
    assert end.endswith(f"{clipped}\n")
    size, end = said(BUILDKIT_STEP_LOG_MAX_SIZE="-1")
    assert size > 3_000_000
    assert "the-end" in end
    assert said(BUILDKIT_STEP_LOG_MAX_SIZE="1000")[0] < 1200


def test_unknown_owners_are_warned_of(bench: Bench, context: Path) -> None:
    text = "FROM busybox\nCOPY --chown=nobody-here:nogroup-here Dockerfile /\nUSER ghost\nWORKDIR /x\n"
    write_tree(context, {"Dockerfile": text})
    built = bench.build(context)
    warned = {(event["message"], event["first_line"]) for event in built.of("warned")}
    assert warned == {
        ("there is no user nobody-here in the image so far: the files get root", 2),
        ("there is no group nogroup-here in the image so far: the files get the user's own group", 2),
        ("there is no user ghost in the image so far: the files get root", 4),
    }
