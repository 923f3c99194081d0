"""What a second build runs again and what it finds, by real builds; and that ``pybuild plan`` says so beforehand.

A change between two builds hits where the result cannot depend on it. Modes of subdirectories and extended attributes
count (BuildKit overlooks them); the mode of a directory whose contents alone are copied does not reach the image.
"""

import io
import os
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.builds import Bench, Built, write_tree

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]

HIT, MISS = True, False
RUN = "RUN find /tree > /out\n"
BASE = "FROM busybox\nCOPY tree /tree\n" + RUN
OLD = 1_600_000_000


def between(text: str, *, copy: str = "COPY tree /tree") -> str:
    """The usual Dockerfile with ``text`` between FROM and COPY."""
    return f"FROM busybox\n{text}\n{copy}\n{RUN}"


def nothing(context: Path) -> None:
    """The change is not in the context."""


class Case(NamedTuple):
    """``copy`` and ``run``: whether the COPY or ADD and the RUN hit in the second build; None when there is none.

    ``after``, ``args_after`` and ``env_after`` are as in the first build unless given.
    """

    copy: bool | None
    run: bool | None
    change: Callable[[Path], object] = nothing
    before: str = BASE
    after: str | None = None
    args: tuple[str, ...] = ()
    args_after: tuple[str, ...] | None = None
    env: Mapping[str, str] = {}
    env_after: Mapping[str, str] | None = None


def make_context(root: Path) -> Path:
    write_tree(
        root,
        {
            "tree/file": "text",
            "tree/sub/inner": "inner",
            "tree/twin": "twin",
            "one.txt": "1",
            "two.txt": "2",
            "unused": "no COPY takes this",
        },
    )
    (root / "tree/link").symlink_to("file")
    (root / "tree/twin2").hardlink_to(root / "tree/twin")
    repack(root, OLD)
    for path in (root, *root.rglob("*")):
        os.utime(path, (OLD, OLD), follow_symlinks=False)
    return root


def repack(context: Path, mtime: int) -> None:
    with tarfile.open(context / "archive.tar", "w") as archive:
        info = tarfile.TarInfo("tree/packed")
        info.size, info.mtime = 4, mtime
        archive.addfile(info, io.BytesIO(b"pack"))


def touch(name: str) -> Callable[[Path], None]:
    return lambda context: os.utime(context / name, (OLD + 999, OLD + 999))


def relink(context: Path) -> None:
    (context / "tree/link").unlink()
    (context / "tree/link").symlink_to("twin")


def separate(context: Path) -> None:
    (context / "tree/twin2").unlink()
    (context / "tree/twin2").write_text("twin")


def set_xattr(name: str) -> Callable[[Path], None]:
    return lambda context: os.setxattr(context / name, "user.mark", b"1")


CASES: dict[str, Case] = {
    "nothing": Case(HIT, HIT),
    "touch-file": Case(HIT, HIT, touch("tree/file")),
    "touch-directory": Case(HIT, HIT, touch("tree/sub")),
    "rewrite-with-equal-bytes": Case(HIT, HIT, lambda context: (context / "tree/file").write_text("text")),
    "edit-file": Case(MISS, MISS, lambda context: (context / "tree/file").write_text("TEXT")),
    "edit-file-below": Case(MISS, MISS, lambda context: (context / "tree/sub/inner").write_text("INNER")),
    "chmod-file": Case(MISS, MISS, lambda context: (context / "tree/file").chmod(0o600)),
    "setuid-file": Case(MISS, MISS, lambda context: (context / "tree/file").chmod(0o4755)),
    "chmod-subdirectory": Case(MISS, MISS, lambda context: (context / "tree/sub").chmod(0o700)),
    "chmod-copied-root": Case(HIT, HIT, lambda context: (context / "tree").chmod(0o700)),
    "chown-on-host": Case(HIT, HIT, lambda context: os.chown(context / "tree/file", 1234, 1234)),
    "xattr-of-file": Case(MISS, MISS, set_xattr("tree/file")),
    "xattr-of-subdirectory": Case(MISS, MISS, set_xattr("tree/sub")),
    "add-empty-directory": Case(MISS, MISS, lambda context: (context / "tree/empty").mkdir()),
    "add-empty-file": Case(MISS, MISS, lambda context: (context / "tree/empty").touch()),
    "remove-file": Case(MISS, MISS, lambda context: (context / "tree/sub/inner").unlink()),
    "rename-file": Case(MISS, MISS, lambda context: (context / "tree/file").rename(context / "tree/moved")),
    "symlink-text": Case(MISS, MISS, relink),
    "hard-link-or-equal-file": Case(HIT, HIT, separate),
    "rename-under-wildcard": Case(
        MISS,
        MISS,
        lambda context: (context / "one.txt").rename(context / "six.txt"),
        before=between("", copy="COPY *.txt /tree/"),
    ),
    "edit-outside-of-wildcard": Case(
        HIT, HIT, lambda context: (context / "unused").write_text("!"), before=between("", copy="COPY *.txt /tree/")
    ),
    "file-that-no-copy-takes": Case(HIT, HIT, lambda context: (context / "unused").write_text("!")),
    "ignored-file": Case(
        HIT,
        HIT,
        lambda context: (context / "unused").write_text("!"),
        before=between("", copy="COPY . /tree"),
    ),
    "dockerfile-in-context": Case(
        MISS, MISS, before=between("", copy="COPY . /tree"), after=between("# note", copy="COPY . /tree")
    ),
    "add-of-tar-repacked": Case(
        MISS,
        MISS,
        lambda context: repack(context, OLD + 5),
        before=between("", copy="ADD archive.tar /"),
    ),
    "add-of-tar-touched": Case(HIT, HIT, touch("archive.tar"), before=between("", copy="ADD archive.tar /")),
    "excluded-file": Case(
        HIT,
        HIT,
        lambda context: (context / "tree/sub/inner").write_text("!"),
        before=between("", copy="COPY --exclude=sub/* tree /tree"),
    ),
    "not-excluded-file": Case(
        MISS,
        MISS,
        lambda context: (context / "tree/sub/inner").write_text("!"),
        before=between("", copy="COPY --exclude=inner tree /tree"),
    ),
    "not-among-parents": Case(
        HIT,
        HIT,
        lambda context: (context / "tree/new").write_text("!"),
        before=between("", copy="COPY --parents **/inner /tree"),
    ),
    "among-parents": Case(
        MISS,
        MISS,
        lambda context: (context / "inner").write_text("!"),
        before=between("", copy="COPY --parents **/inner /tree"),
    ),
    "link-over-other-layers": Case(
        HIT,
        MISS,
        before=between("RUN echo 1", copy="COPY --link tree /tree"),
        after=between("RUN echo 2", copy="COPY --link tree /tree"),
    ),
    "copy-over-other-layers": Case(MISS, MISS, before=between("RUN echo 1"), after=between("RUN echo 2")),
    "other-destination": Case(MISS, MISS, after=between("", copy="COPY tree /tree/")),
    "other-chmod": Case(MISS, MISS, after=between("", copy="COPY --chmod=700 tree /tree")),
    "other-chown": Case(MISS, MISS, after=between("", copy="COPY --chown=33 tree /tree")),
    "env": Case(HIT, MISS, after=between("ENV A=1")),
    "env-value": Case(HIT, MISS, before=between("ENV A=1"), after=between("ENV A=2")),
    "env-order": Case(HIT, MISS, before=between("ENV A=1\nENV B=2"), after=between("ENV B=2\nENV A=1")),
    "env-in-a-word-of-copy": Case(
        MISS,
        MISS,
        before=between("ENV TO=/tree", copy="COPY tree $TO"),
        after=between("ENV TO=/tree/other", copy="COPY tree $TO"),
    ),
    "label": Case(HIT, HIT, after=between("LABEL a=b")),
    "cmd": Case(HIT, HIT, after=between('CMD ["x"]')),
    "entrypoint": Case(HIT, HIT, after=between('ENTRYPOINT ["x"]')),
    "expose": Case(HIT, HIT, after=between("EXPOSE 80")),
    "volume": Case(HIT, HIT, after=between("VOLUME /v")),
    "healthcheck": Case(HIT, HIT, after=between("HEALTHCHECK CMD true")),
    "stopsignal": Case(HIT, HIT, after=between("STOPSIGNAL SIGUSR1")),
    "maintainer": Case(HIT, HIT, after=between("MAINTAINER me")),
    "onbuild": Case(HIT, HIT, after=between("ONBUILD RUN true")),
    "arg-with-value-unused": Case(HIT, MISS, after=between("ARG A=1")),
    "bare-arg": Case(HIT, HIT, after=between("ARG A")),
    "bare-arg-given": Case(HIT, MISS, before=between("ARG A"), args_after=("--build-arg", "A=1")),
    "undeclared-build-arg": Case(HIT, HIT, args_after=("--build-arg", "NOBODY=1")),
    "proxy-build-arg": Case(HIT, HIT, args_after=("--build-arg", "HTTP_PROXY=http://127.0.0.1:1")),
    "arg-after-run": Case(HIT, HIT, after=BASE + "ARG A=1\n"),
    "user": Case(
        HIT,
        MISS,
        before=between("RUN touch /out && chmod 666 /out"),
        after=between("RUN touch /out && chmod 666 /out\nUSER nobody"),
    ),
    "workdir-root": Case(HIT, HIT, after=between("WORKDIR /")),
    "workdir": Case(MISS, MISS, after=between("WORKDIR /elsewhere")),
    "shell-default": Case(HIT, HIT, after=between('SHELL ["/bin/sh", "-c"]')),
    "shell-other": Case(HIT, MISS, after=between('SHELL ["/bin/sh", "-ec"]')),
    "shell-or-exec-form": Case(
        HIT, HIT, after="FROM busybox\nCOPY tree /tree\n" + 'RUN ["/bin/sh", "-c", "find /tree > /out"]\n'
    ),
    "reflow": Case(
        HIT,
        HIT,
        after="# note\n\nfrom  busybox\n\ncopy   tree \\\n  # in between\n  /tree  \nRun find /tree > /out  \n",
    ),
    "continuation": Case(HIT, HIT, before=BASE, after="FROM busybox\nCOPY tree /tree\nRUN find /tree \\\n> /out\n"),
    "heredoc-delimiter": Case(
        HIT,
        HIT,
        before="FROM busybox\nCOPY tree /tree\nRUN <<A\nfind /tree > /out\nA\n",
        after="FROM busybox\nCOPY tree /tree\nRUN <<OTHER\nfind /tree > /out\nOTHER\n",
    ),
    "heredoc-text": Case(
        HIT,
        MISS,
        before="FROM busybox\nCOPY tree /tree\nRUN <<A\nfind /tree > /out\nA\n",
        after="FROM busybox\nCOPY tree /tree\nRUN <<A\nfind /tree > /out2\nA\n",
    ),
    "heredoc-copied": Case(
        MISS,
        MISS,
        before=between("", copy="COPY <<A /tree/\nold\nA"),
        after=between("", copy="COPY <<A /tree/\nnew\nA"),
    ),
    "stage-name": Case(HIT, HIT, after=BASE.replace("FROM busybox", "FROM busybox AS name")),
    "tag-of-base": Case(HIT, HIT, after=BASE.replace("busybox", "same:other")),
    "copy-above-changed": Case(
        None,
        MISS,
        lambda context: (context / "tree/file").write_text("TEXT"),
        before=BASE.replace("COPY tree", "COPY tree/file /first\nCOPY tree/sub"),
    ),
    "label-flag": Case(HIT, HIT, args_after=("--label", "a=b")),
    "no-cache": Case(MISS, MISS, args_after=("--no-cache",)),
    "epoch": Case(HIT, HIT, env={"SOURCE_DATE_EPOCH": "1"}, env_after={"SOURCE_DATE_EPOCH": "2"}),
    "epoch-given-first-time": Case(HIT, HIT, env_after={"SOURCE_DATE_EPOCH": "2"}),
    "epoch-declared": Case(
        HIT,
        MISS,
        before=between("ARG SOURCE_DATE_EPOCH"),
        env={"SOURCE_DATE_EPOCH": "1"},
        env_after={"SOURCE_DATE_EPOCH": "2"},
    ),
    "epoch-after-workdir": Case(
        MISS,
        MISS,
        before=between("WORKDIR /made"),
        env={"SOURCE_DATE_EPOCH": "1"},
        env_after={"SOURCE_DATE_EPOCH": "2"},
    ),
    "epoch-and-heredoc": Case(
        HIT,
        HIT,
        before=between("", copy="COPY <<A /tree/\ntext\nA"),
        env={"SOURCE_DATE_EPOCH": "1"},
        env_after={"SOURCE_DATE_EPOCH": "2"},
    ),
}


def agrees(planned: Mapping[str, tuple[str, str | None]], built: Built) -> None:
    """A step planned as a hit was not run, a miss was; one that depends did either."""
    outcomes = built.outcomes()
    for title, (state, on) in planned.items():
        if state == "hit":
            assert outcomes[title] in {"recipe", "content"}, (title, planned, outcomes)
        elif state == "miss":
            assert outcomes[title] == "run", (title, planned, outcomes)
        else:
            assert state == "depends"
            assert on in outcomes, (title, planned, outcomes)


@pytest.mark.parametrize("name", CASES)
def test_change_between_two_builds(name: str, bench: Bench, tmp_path: Path) -> None:
    case = CASES[name]
    context = make_context(tmp_path / "context")
    bench.pybuild("tag", "busybox", "same:other")
    (context / "Dockerfile").write_text(case.before)
    (context / ".dockerignore").write_text("unused\n" if name == "ignored-file" else "")
    first = bench.build(*case.args, context, env=case.env)
    assert set(first.outcomes().values()) == {"run"}
    case.change(context)
    if case.after is not None:
        (context / "Dockerfile").write_text(case.after)
    args = case.args if case.args_after is None else case.args_after
    env = case.env if case.env_after is None else case.env_after
    planned = bench.plan(*args, context, env=env)
    second = bench.build(*args, context, env=env)
    outcomes = second.outcomes()
    for keywords, expected in (("COPY", "ADD"), case.copy), (("RUN find", "RUN <<", "RUN [", "RUN /bin"), case.run):
        steps = {title: how != "run" for title, how in outcomes.items() if title.startswith(keywords)}
        assert expected is None or (steps and set(steps.values()) == {expected}), outcomes
    agrees(planned, second)
    third = bench.build(*(arg for arg in args if arg != "--no-cache"), context, env=env)
    assert not third.executed()


STAGES = """\
FROM busybox AS tools
COPY tools.txt /
RUN cp /tools.txt /tool

FROM busybox AS libs
COPY libs.txt /
RUN cp /libs.txt /lib.out

FROM busybox
RUN echo first > /first
COPY --from=tools /tool /
COPY --from=libs /lib.out /
COPY main.txt /
RUN cat /tool /lib.out /main.txt > /all
"""
SOURCES = {"tools.txt": "t", "libs.txt": "l", "main.txt": "m", "Dockerfile": STAGES}
TOOLS = {"COPY tools.txt /", "RUN cp /tools.txt /tool"}
LIBS = {"COPY libs.txt /", "RUN cp /libs.txt /lib.out"}
FROM_TOOLS, FROM_LIBS = "COPY --from=tools /tool /", "COPY --from=libs /lib.out /"
MAIN = {"COPY main.txt /", "RUN cat /tool /lib.out /main.txt > /all"}


def test_everything_is_cached_at_once(bench: Bench, tmp_path: Path) -> None:
    context = write_tree(tmp_path / "context", SOURCES)
    first = bench.build(context)
    assert len(first.executed()) == 9
    again = bench.build(context)
    assert set(again.outcomes().values()) == {"recipe"}
    assert len(again.outcomes()) == 9
    assert again.image_id == first.image_id
    (finished,) = again.of("build-finished")
    assert finished["cached"] == finished["total"] == 9


@pytest.mark.parametrize(
    ("edited", "run_again"),
    [
        ("main.txt", MAIN),
        ("libs.txt", {*LIBS, FROM_LIBS, *MAIN}),
        ("tools.txt", {*TOOLS, FROM_TOOLS, FROM_LIBS, *MAIN}),
    ],
)
def test_an_edit_runs_exactly_what_follows_its_copy(
    edited: str, run_again: set[str], bench: Bench, tmp_path: Path
) -> None:
    context = write_tree(tmp_path / "context", SOURCES)
    bench.build(context)
    (context / edited).write_text("edited")
    planned = bench.plan(context)
    built = bench.build(context)
    assert built.executed() == run_again
    agrees(planned, built)
    (context / edited).write_text(SOURCES[edited])
    assert not bench.build(context).executed(), "what was there before the edit is still known"


UPSTREAM = """\
FROM busybox AS made
COPY source /source
RUN head -c 3 /source > /made

FROM busybox
COPY --from=made /made /made
RUN cat /made > /after
"""
MADE = {"COPY source /source", "RUN head -c 3 /source > /made"}
BELOW = {"COPY --from=made /made /made", "RUN cat /made > /after"}


@pytest.mark.parametrize("no_cache_between", [False, True])
def test_equal_output_upstream_keeps_hits_below(no_cache_between: bool, bench: Bench, tmp_path: Path) -> None:
    context = write_tree(tmp_path / "context", {"source": "abc one", "Dockerfile": UPSTREAM})
    first = bench.build(context)
    if no_cache_between:
        assert bench.build("--no-cache", context).executed() == MADE | BELOW
        assert not bench.build(context).executed()
    (context / "source").write_text("abc two")
    planned = bench.plan(context)
    assert planned["COPY source /source"] == ("miss", None)
    assert planned["RUN cat /made > /after"] == ("depends", "RUN head -c 3 /source > /made")
    built = bench.build(context)
    assert built.executed() == MADE
    assert {title: how for title, how in built.outcomes().items() if title in BELOW} == dict.fromkeys(BELOW, "content")
    agrees(planned, built)
    if not no_cache_between:
        assert built.image_id == first.image_id
    (context / "source").write_text("xyz")
    assert bench.build(context).executed() == MADE | BELOW
    assert not bench.build(context).executed()


def test_equal_output_after_a_build_without_cache(bench: Bench, tmp_path: Path) -> None:
    """--no-cache in the build that re-runs the upstream step: it runs all, and spoils nothing for the next."""
    context = write_tree(tmp_path / "context", {"source": "abc one", "Dockerfile": UPSTREAM})
    bench.build(context)
    (context / "source").write_text("abc two")
    assert bench.build("--no-cache", context).executed() == MADE | BELOW
    (context / "source").write_text("abc three")
    assert bench.build(context).executed() == MADE


def test_changed_metadata_upstream_misses_below(bench: Bench, tmp_path: Path) -> None:
    text = UPSTREAM.replace("head -c 3 /source > /made", "head -c 3 /source > /made; chmod $(cat /source) /made")
    context = write_tree(tmp_path / "context", {"source": "644", "Dockerfile": text})
    bench.build(context)
    (context / "source").write_text("600")
    assert len(bench.build(context).executed()) == 4


def test_a_stage_built_on_is_no_content_hit(bench: Bench, tmp_path: Path) -> None:
    text = "FROM busybox AS one\nCOPY source /source\nRUN rm /source\nFROM one\nRUN echo x > /x\n"
    context = write_tree(tmp_path / "context", {"source": "1", "Dockerfile": text})
    bench.build(context)
    (context / "source").write_text("2")
    assert len(bench.build(context).executed()) == 3


def test_only_stages_that_the_target_needs(bench: Bench, tmp_path: Path) -> None:
    context = write_tree(tmp_path / "context", SOURCES)
    built = bench.build("--target", "libs", context)
    assert set(built.outcomes()) == LIBS
    assert bench.build(context).executed() == {"RUN echo first > /first", *TOOLS, FROM_TOOLS, FROM_LIBS, *MAIN}


def test_failed_step_is_not_remembered(bench: Bench, tmp_path: Path) -> None:
    text = "FROM busybox\nRUN echo kept > /kept\nRUN test -e /nothing\n"
    context = write_tree(tmp_path / "context", {"Dockerfile": text})
    assert bench.attempt(context).code == 1
    again = bench.attempt(context)
    assert again.code == 1
    assert again.outcomes() == {"RUN echo kept > /kept": "recipe", "RUN test -e /nothing": "run"}
    assert bench.plan(context) == {"RUN echo kept > /kept": ("hit", None), "RUN test -e /nothing": ("miss", None)}


def test_path_of_the_context_does_not_matter(bench: Bench, tmp_path: Path) -> None:
    context = write_tree(tmp_path / "context", SOURCES)
    bench.build(context)
    shutil.copytree(context, tmp_path / "elsewhere")
    assert not bench.build(tmp_path / "elsewhere").executed()
