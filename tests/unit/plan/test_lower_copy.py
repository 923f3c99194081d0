"""COPY, ADD and WORKDIR: operations, destinations and history."""

import pytest

from builder.plan.graph import (
    AddOp,
    CopyOp,
    GitTree,
    ImageOp,
    InlineFile,
    LocalOp,
    MergeOp,
    ScratchOp,
    WebFile,
    WorkdirOp,
)
from builder.plan.lower_copy import destination
from builder.request import NamedContext
from tests.support.planning import created_by, image, last, only, plan, refused, titles


def copy_op(line: str, before: str = "") -> CopyOp:
    return only(plan(f"FROM scratch\n{before}{line}\n"), CopyOp)


def test_copy_from_the_context() -> None:
    found = plan("FROM scratch\nCOPY a b/ /c/\n")
    assert only(found, CopyOp) == CopyOp(("a", "b/"), "/c/", None, None, keep_owner=False)
    source = found.nodes[last(found).inputs[1]]
    assert (source.op, source.title, source.position) == (LocalOp("context"), "load build context", 0)
    assert created_by(found) == ["COPY a b/ /c/ # buildkit"]
    assert found.history[0][1] == found.target
    assert not found.history[0][0].empty_layer


@pytest.mark.parametrize(
    ("workdir", "dest", "absolute"),
    [
        ("/", "x", "/x"),
        ("/w", "x", "/w/x"),
        ("/w", "x/", "/w/x/"),
        ("/w", ".", "/w/"),
        ("/w", "", "/w/"),
        ("/w", "./", "/w/"),
        ("/w", "x/.", "/w/x/"),
        ("/w", "..", "/"),
        ("/w", "../../..", "/"),
        ("/w/v", "..", "/w"),
        ("/w", "/a//b/../c", "/a/c"),
        ("/w", "/", "/"),
        ("/w", "//", "/"),
        ("/", ".", "/"),
    ],
)
def test_destination(workdir: str, dest: str, absolute: str) -> None:
    assert destination(workdir, dest) == absolute


def test_destination_joins_the_workdir_but_history_shows_what_was_written() -> None:
    found = plan("FROM scratch\nWORKDIR /w\nENV d=sub\nCOPY a $d/\n")
    assert only(found, CopyOp).dest == "/w/sub/"
    assert created_by(found)[-1] == "COPY a sub/ # buildkit"


def test_history_shows_owner_and_mode_but_not_from() -> None:
    text = "FROM scratch AS s\nRUN x\nFROM scratch\nENV u=me\nCOPY --chmod=u=rwX,go= --chown=$u:us --from=s /a /b\n"
    found = plan(text)
    assert created_by(found)[-1] == "COPY --chown=me:us --chmod=u=rwX,go= /a /b # buildkit"
    op = only(found, CopyOp)
    assert (op.chown, op.chmod, op.keep_owner) == ("me:us", "u=rwX,go=", True)
    assert last(found).title == "COPY --chmod=u=rwX,go= --chown=me:us --from=s /a /b"


def test_an_empty_owner_is_none() -> None:
    op = copy_op("COPY --chown=$nobody --chmod=$none a /b")
    assert (op.chown, op.chmod) == (None, None)


def test_json_form() -> None:
    found = plan('FROM scratch\nCOPY ["a b", "/c d/"]\n')
    assert only(found, CopyOp).sources == ("a b",)
    assert created_by(found) == ["COPY a b /c d/ # buildkit"]


def test_heredocs_need_no_context_and_are_expanded() -> None:
    found = plan("FROM scratch\nENV v=1\nCOPY <<a <<'b' /c/\n$v \"q\" \\$x\na\n$v\nb\n")
    assert only(found, CopyOp).sources == (InlineFile("a", b'1 "q" $x\n'), InlineFile("b", b"$v\n"))
    assert created_by(found)[-1] == "COPY <<a <<b /c/ # buildkit"
    assert len(last(found).inputs) == 1
    assert LocalOp("context") not in [node.op for node in found.nodes.values()]


def test_heredocs_come_after_other_sources() -> None:
    found = plan("FROM scratch\nCOPY <<a x /c/\nbody\na\n")
    assert only(found, CopyOp).sources == ("x", InlineFile("a", b"body\n"))
    assert created_by(found) == ["COPY x <<a /c/ # buildkit"]


def test_a_heredoc_is_a_file_of_its_name() -> None:
    found = plan("FROM scratch\nCOPY <</a <<b/ /c/\n1\n/a\n2\nb/\n")
    assert only(found, CopyOp).sources == (InlineFile("a", b"1\n"), InlineFile("b", b"2\n"))
    assert created_by(found) == ["COPY <</a <<b/ /c/ # buildkit"]
    for name in ("a/b", ".", "..", "/"):
        assert "a heredoc is a file" in refused(f"FROM scratch\nCOPY <<{name} /c/\n1\n{name}\n").message


def test_add() -> None:
    found = plan("FROM scratch\nADD --chown=1:2 a.tar /x\n")
    assert only(found, AddOp) == AddOp(("a.tar",), "/x", "1:2", None, keep_owner=False)
    assert created_by(found) == ["ADD --chown=1:2 a.tar /x # buildkit"]


def test_add_that_shall_not_unpack_is_a_copy() -> None:
    found = plan("FROM scratch\nADD --unpack=false a.tar /x\n")
    assert type(last(found).op) is CopyOp
    assert created_by(found) == ["ADD a.tar /x # buildkit"]
    assert type(last(plan("FROM scratch\nADD --unpack=true a.tar /x\n")).op) is AddOp


def test_copy_and_add_of_the_same_words_are_two_nodes() -> None:
    found = plan("FROM scratch AS a\nCOPY x /x\nFROM scratch AS b\nADD x /x\nFROM a\nCOPY --from=b / /\n")
    assert [type(node.op) for node in found.nodes.values()].count(AddOp) == 1


def test_copy_from_an_image_shares_its_node_with_from() -> None:
    base = image("docker.io/library/debian:12")
    found = plan("FROM scratch AS s\nCOPY --from=debian:12 /a /a\nFROM debian:12\nCOPY --from=s /a /a\n", base)
    images = [node for node in found.nodes.values() if isinstance(node.op, ImageOp)]
    assert [node.title for node in images] == ["FROM docker.io/library/debian:12"]
    assert (images[0].stage, images[0].position, images[0].total) == ("stage-1", 1, 2)


def test_copy_from_scratch_is_an_empty_tree() -> None:
    found = plan("FROM base\nCOPY --from=scratch / /x\n", image())
    assert isinstance(found.nodes[last(found).inputs[1]].op, ScratchOp)


def test_copy_from_a_named_directory() -> None:
    found = plan(
        "FROM scratch\nCOPY --from=files a /b\n", build_contexts=(NamedContext("files", "local", "/somewhere"),)
    )
    op = only(found, CopyOp)
    assert not op.keep_owner
    assert found.nodes[last(found).inputs[1]].op == LocalOp("files")
    assert "load build context files" in titles(found)


@pytest.mark.parametrize("mode", ["0", "755", "07777", "u=rwX,go=rX", "+x", "a-w,u+s", "g=u"])
def test_modes(mode: str) -> None:
    assert copy_op(f"COPY --chmod={mode} a /b").chmod == mode


@pytest.mark.parametrize("mode", ["10000", "9", "778", "rwx", "u=q", "-1", "u", "755,"])
def test_bad_modes(mode: str) -> None:
    error = refused(f"FROM scratch\nCOPY --chmod={mode} a /b\n")
    assert "invalid chmod parameter" in error.message
    assert error.span is not None and error.span.first_line == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("COPY https://host/x /x", "source can't be a URL for COPY"),
        ("COPY http://host/x.git /x", "source can't be a git ref for COPY"),
        ("COPY git@host:x /x", "source can't be a git ref for COPY"),
    ],
)
def test_copy_takes_no_remote_sources(line: str, message: str) -> None:
    assert refused(f"FROM scratch\n{line}\n").message == message


SUM = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("line", "source", "dest"),
    [
        ("ADD https://host/d/x /x", WebFile("https://host/d/x", "x", unpack=False), "/x"),
        ("ADD --unpack https://host/x /x", WebFile("https://host/x", "x", unpack=True), "/x"),
        (f"ADD --checksum={SUM} http://host /x", WebFile("http://host", "__unnamed__", False, SUM, 0, True), "/x"),
        (
            "ADD https://host/x.git#main:dir /x",
            GitTree("https://host/x.git#main:dir", "https://host/x.git", "dir", True, False, ""),
            "/x/",
        ),
        ("ADD --keep-git-dir git://host/x /x/", GitTree("git://host/x", "git://host/x", "", True, True, ""), "/x/"),
        ("ADD --checksum=abc git://host/x .", GitTree("git://host/x", "git://host/x", "", True, False, "abc"), "/"),
    ],
)
def test_add_of_remote_sources(line: str, source: WebFile | GitTree, dest: str) -> None:
    found = plan(f"FROM scratch\n{line}\n")
    op = last(found).op
    assert isinstance(op, AddOp)
    assert (op.sources, op.dest) == ((source,), dest)
    assert len(last(found).inputs) == 1


def test_history_shows_addresses_as_they_are() -> None:
    found = plan("FROM scratch\nARG V=1\nADD --keep-git-dir https://h/$V.git#$V https://h/f l <<E /x/\ne\nE\n")
    assert created_by(found)[-1] == "ADD https://h/1.git#1 https://h/f l <<E /x/ # buildkit"


def test_what_looks_like_a_host_is_a_path_without_a_scheme() -> None:
    found = plan("FROM scratch\nADD github.com/x/y /z\nADD --keep-git-dir=true a@b /c\nCOPY --link=false q /r\n")
    assert len(found.layers) == 3


def test_several_sources_without_a_slash_are_warned_of() -> None:
    ((message, span),) = plan("FROM scratch\nCOPY a b c\nCOPY a b ./\nCOPY a* /d\nCOPY --parents a b /d\n").warnings
    assert message.startswith("COPY of several sources to /c")
    assert span is not None and span.first_line == 2


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("COPY a # /b/", "# starts no comment here, it is a path"),
        ("COPY a\\b /c", "the backslashes in a\\b are taken away"),
        ("COPY a\\* /c", None),
        ('COPY ["a\\\\b", "/c"]', None),
        ("COPY a#b /c", None),
    ],
)
def test_words_of_other_languages_are_warned_of(line: str, warning: str | None) -> None:
    messages = [message for message, _ in plan(f"FROM scratch\n{line}\n").warnings]
    assert [message.partition(":")[0] for message in messages] == ([warning] if warning else [])


# WORKDIR


def test_workdir_makes_a_layer_for_all_but_the_root() -> None:
    found = plan("FROM scratch\nUSER me\nWORKDIR /a\nWORKDIR b\nWORKDIR /\nWORKDIR /a\n", epoch=7)
    assert created_by(found)[1:] == ["WORKDIR /a", "WORKDIR /a/b", "WORKDIR /", "WORKDIR /a"]
    assert [node is not None for _, node in found.history] == [False, True, True, False, True]
    assert [entry.empty_layer for entry, _ in found.history] == [True, False, False, True, False]
    made = [found.nodes[node].op for node in found.layers]
    assert made == [WorkdirOp("/a", "me", 7), WorkdirOp("/a/b", "me", 7), WorkdirOp("/a", "me", 7)]


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ("WORKDIR /a/", "/a/"),
        ("WORKDIR /a/../b", "/a/../b"),
        ("WORKDIR a/./b/..", "/a"),
        ("WORKDIR /a\nWORKDIR ../b/", "/b"),
        ('WORKDIR ""', "/"),
        ("ENV d=x\nWORKDIR /$d", "/x"),
        ("WORKDIR ..", "/"),
    ],
)
def test_workdir_path(lines: str, path: str) -> None:
    found = plan(f"FROM scratch\n{lines}\n")
    assert found.config.workdir == path
    assert created_by(found)[-1] == f"WORKDIR {path}"


def test_a_written_workdir_is_made_cleaned() -> None:
    assert only(plan("FROM scratch\nWORKDIR /a/../b/\n"), WorkdirOp).path == "/b"


def test_exclude_and_parents_reach_the_operation_and_only_parents_the_history() -> None:
    found = plan("FROM scratch\nCOPY --exclude=*.md --parents --chmod=755 --exclude=!R.md --link=false a/./b /c\n")
    op = only(found, CopyOp)
    assert (op.sources, op.dest, op.exclude, op.parents, op.link) == (("a/./b",), "/c", ("*.md", "!R.md"), True, False)
    assert created_by(found) == ["COPY --parents --chmod=755 a/./b /c # buildkit"]
    assert only(plan("FROM scratch\nADD --exclude=x$y a /b\n"), AddOp).exclude == ("x$y",)


@pytest.mark.parametrize("pattern", ["[", "a[b", "!", "x\\\\"])
def test_a_pattern_of_exclude_is_checked(pattern: str) -> None:
    error = refused(f"FROM scratch\nCOPY --exclude={pattern} a /b\n")
    assert error.message.startswith("--exclude: ")
    assert error.span is not None


LINKED = """
    FROM base
    WORKDIR /w
    COPY --link {flags} a b/
    RUN x
    """


@pytest.mark.parametrize("flags", ["", "--chown=1", "--chown=1:2", "--chown=:3", "--chmod=755", "--chmod=u+x"])
def test_a_linked_copy_stands_on_nothing(flags: str) -> None:
    found = plan(LINKED.format(flags=flags), image())
    copied = next(node for node in found.nodes.values() if isinstance(node.op, CopyOp))
    merged = next(node for node in found.nodes.values() if isinstance(node.op, MergeOp))
    below, source = (found.nodes[each].op for each in copied.inputs)
    assert (below, source) == (ScratchOp(), LocalOp("context"))
    assert isinstance(copied.op, CopyOp)
    assert (copied.op.dest, copied.op.link, copied.position, copied.total) == ("/w/b/", True, 3, 4)
    assert [type(found.nodes[each].op).__name__ for each in merged.inputs] == ["WorkdirOp", "CopyOp"]
    assert last(found).inputs == (merged.id,)
    assert found.layers[1] == merged.id
    assert isinstance(found.nodes[found.base].op, ImageOp)
    assert found.warnings == ()
    assert "--link" not in created_by(found)[1]


def test_named_owners_are_not_linked() -> None:
    found = plan(LINKED.format(flags="--chown=me"), image())
    assert not [node for node in found.nodes.values() if isinstance(node.op, MergeOp)]
    ((message, _),) = found.warnings
    assert "not linked" in message


def test_heredocs_can_be_linked_and_so_can_add() -> None:
    found = plan("FROM base\nCOPY --link <<x /y\nz\nx\nADD --link a.tar /b\n", image())
    assert [type(found.nodes[node].op) for node in found.layers] == [MergeOp, MergeOp]
    assert only(found, AddOp).link
