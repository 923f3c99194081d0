"""FROM lines, names, targets, pruning, shared nodes."""

import pytest

from builder.errors import Unsupported
from builder.plan.graph import CopyOp, ImageOp, LocalOp, RunOp
from builder.request import NamedContext, OutputSpec
from layers.image import Platform
from tests.support.planning import ARM64, ENV_PATH, created_by, image, last, plan, refused, titles


def test_a_bare_from_is_the_image_itself() -> None:
    base = image(layers=3, cmd=("x",))
    found = plan("FROM base\n", base)
    assert found.target == found.base
    assert last(found).op == ImageOp(base.name, base.config.diff_ids, base.rootfs, base.clamps)
    assert (found.layers, found.history) == ((), ())
    assert found.config.history == base.config.history
    assert found.config.cmd == ("x",)
    assert last(found).title == "FROM docker.io/library/base:latest"
    assert (last(found).position, last(found).total) == (1, 1)


def test_only_what_the_target_needs_is_planned() -> None:
    text = """
        FROM missing AS unused
        RUN no
        FROM base AS a
        RUN a
        FROM base AS b
        RUN b
        FROM scratch
        COPY --from=b /x /x
        """
    found = plan(text)
    assert titles(found) == [
        "FROM docker.io/library/base:latest",
        "RUN b",
        "FROM scratch",
        "COPY --from=b /x /x",
    ]
    assert [node.id for node in found.nodes.values()] == [1, 2, 3, 4]
    assert all(node.inputs == () or max(node.inputs) < node.id for node in found.nodes.values())


def test_a_stage_used_twice_is_one_chain() -> None:
    text = """
        FROM base AS a
        RUN a
        FROM a AS b
        RUN b
        FROM a
        COPY --from=b /x /x
        COPY --from=a /y /y
        """
    found = plan(text)
    assert [node.title for node in found.nodes.values() if isinstance(node.op, RunOp)] == ["RUN a", "RUN b"]
    assert len(found.layers) == 3
    assert [found.nodes[node].title for node in found.layers] == ["RUN a", "COPY --from=b /x /x", "COPY --from=a /y /y"]


def test_equal_steps_of_two_stages_are_one_node() -> None:
    found = plan("FROM base AS a\nRUN x\nFROM base AS b\nRUN x\nRUN y\nFROM b\nCOPY --from=a / /\n")
    assert titles(found).count("RUN x") == 1


def test_history_of_parents_comes_first_and_bases_stays_in_the_config() -> None:
    found = plan("FROM base AS a\nENV a=1\nRUN x\nFROM a\nCMD []\n")
    assert created_by(found) == ["ENV a=1", "RUN /bin/sh -c x # buildkit", "CMD []"]
    assert [entry.created_by for entry in found.config.history] == ["layer 0"]
    assert found.base == found.nodes[found.layers[0]].inputs[0]


def test_labels_and_positions() -> None:
    text = "FROM base AS a\nRUN x\nENV q=1\nWORKDIR /w\nFROM a\nRUN y\nFROM scratch\nCOPY --from=1 / /\nCOPY z /\n"
    shown = [(n.stage, n.position, n.total, n.title) for n in plan(text).nodes.values() if n.position]
    assert shown == [
        ("a", 1, 3, "FROM docker.io/library/base:latest"),
        ("a", 2, 3, "RUN x"),
        ("a", 3, 3, "WORKDIR /w"),
        ("stage-1", 1, 1, "RUN y"),
        ("stage-2", 1, 2, "COPY --from=1 / /"),
        ("stage-2", 2, 2, "COPY z /"),
    ]


def test_the_only_stage_has_no_label() -> None:
    assert {node.stage for node in plan("FROM base AS named\nRUN x\n").nodes.values()} == {""}


def test_names_are_in_small_letters_and_only_copy_ignores_case() -> None:
    found = plan("FROM scratch AS Build\nRUN x\nFROM build\nCOPY --from=bUiLd / /y\n")
    assert titles(found) == ["FROM scratch", "RUN x", "COPY --from=bUiLd / /y"]
    assert refused("FROM scratch AS Build\nFROM Build\n").message.startswith('failed to parse stage name "Build"')


@pytest.mark.parametrize(
    "line", ["FROM UPPER", "FROM a:b:c", "COPY --from=UPPER x y", "RUN --mount=from=a@b,target=/x y"]
)
def test_a_name_that_cannot_be_an_images_is_an_error_where_nothing_needs_it(line: str) -> None:
    error = refused(f"FROM scratch AS unused\n{line}\nFROM scratch\nRUN x\n")
    assert error.message.startswith("failed to parse stage name")
    assert error.span is not None
    assert error.span.first_line == 2


def test_from_takes_the_last_definition_above_and_copy_the_last_of_all() -> None:
    text = "FROM scratch AS a\nRUN 1\nFROM scratch AS a\nRUN 2\nFROM a AS b\nRUN 3\nFROM scratch AS a\nRUN 4\n"
    assert titles(plan(text, target="b")) == ["FROM scratch", "RUN 2", "RUN 3"]
    error = refused("FROM scratch AS a\nFROM scratch AS b\nCOPY --from=a / /\nFROM b AS a\nCOPY --from=b / /\n")
    assert error.message.startswith("circular dependency")
    error = refused("FROM scratch AS a\nFROM scratch AS b\nCOPY --from=a / /\nFROM scratch AS a\n", target="b")
    assert error.message == 'cannot copy from stage "a", it needs to be defined before current stage "b"'


def test_a_stage_may_be_called_scratch_or_like_an_image() -> None:
    assert titles(plan("FROM base AS scratch\nRUN a\nFROM scratch\nRUN b\n"))[-2:] == ["RUN a", "RUN b"]
    assert titles(plan("FROM base AS debian\nRUN a\nFROM debian\nRUN b\n"))[-2:] == ["RUN a", "RUN b"]


def test_target() -> None:
    text = "FROM scratch AS one\nRUN 1\nFROM scratch AS two\nRUN 2\nFROM scratch\nRUN 3\n"
    assert titles(plan(text, target="TWO")) == ["FROM scratch", "RUN 2"]
    assert titles(plan(text)) == ["FROM scratch", "RUN 3"]
    error = refused(text, target="twoo")
    assert (error.message, error.hint) == ('target stage "twoo" could not be found', "did you mean two?")
    assert refused(text, target="1").hint == "the stages are one, two"
    assert "no stage has a name" in (refused("FROM scratch\n", target="x").hint or "")


def test_copy_by_number() -> None:
    text = "FROM scratch AS a\nRUN a\nFROM scratch\nCOPY --from=0 / /x\n"
    assert titles(plan(text)) == ["FROM scratch", "RUN a", "COPY --from=0 / /x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM scratch\nCOPY --from=1 / /\n", "invalid stage index 1"),
        ("FROM scratch\nCOPY --from=-1 / /\n", "invalid stage index -1"),
        ("FROM scratch\nCOPY --from=0 / /\n", "circular dependency detected on stage: 0"),
        ("FROM scratch AS a\nCOPY --from=A / /\n", "circular dependency detected on stage: a"),
        ("FROM scratch AS a\nCOPY --from=a / /\nFROM scratch\n", "circular dependency detected on stage: a"),
        (
            "FROM scratch\nCOPY --from=1 / /\nFROM scratch\nCOPY --from=0 / /\n",
            "circular dependency detected on stage: 0",
        ),
        ("FROM $none\nFROM scratch\n", "base name ($none) should not be blank"),
        ("FROM --platform=$none scratch\n", "empty platform value from expression $none"),
        ("FROM --platform=a/b/c/d scratch\n", "failed to parse platform a/b/c/d: a/b/c/d is none"),
        ("FROM Upper\n", None),
        ("FROM scratch\nCOPY --from=in:va:lid / /\n", None),
    ],
)
def test_refused(text: str, message: str | None) -> None:
    error = refused(text)
    assert error.span is not None
    if message is not None:
        assert error.message == message
    else:
        assert error.message.startswith("failed to parse stage name")


def test_a_forward_reference_passes_where_nothing_needs_it() -> None:
    text = "FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nRUN b\n"
    assert titles(plan(text)) == ["FROM scratch", "RUN b"]
    assert "needs to be defined before" in refused(text, target="a").message


def test_an_unresolved_image_is_not_guessed() -> None:
    assert refused("FROM nowhere\n").message == "nowhere: not resolved"


# platforms


def test_an_image_for_another_platform_is_warned_of() -> None:
    ((message, span),) = plan("FROM --platform=linux/arm64 base\nRUN x\n").warnings
    assert message == "base image base is for linux/amd64, expected linux/arm64"
    assert span is not None and span.first_line == 1


def test_platform_of_the_image_is_the_bases() -> None:
    arm = image("docker.io/library/arm:latest", platform=Platform("linux", "arm64", "v8"))
    found = plan("FROM --platform=arm64 arm\nRUN x\n", arm)
    assert found.config.platform == ARM64
    op = last(found).op
    assert isinstance(op, RunOp) and op.platform == ARM64
    assert found.warnings == ()


def test_scratch_has_the_target_platform() -> None:
    assert plan("FROM --platform=linux/arm64 scratch\n").config.platform == Platform("linux", "amd64")


# named contexts


def test_a_layout_replaces_a_stage() -> None:
    base = image("context:build")
    text = "FROM base AS build\nRUN never\nFROM scratch\nCOPY --from=build /a /b\n"
    found = plan(text, base, build_contexts=(NamedContext("build", "oci-layout", "/layout"),))
    assert titles(found) == ["FROM context:build", "FROM scratch", "COPY --from=build /a /b"]


def test_a_layout_replaces_an_image_by_any_of_its_names() -> None:
    base = image("context:docker.io/library/debian:latest")
    context = NamedContext("docker.io/library/debian:latest", "oci-layout", "/layout")
    for name in ("debian", "debian:latest", "docker.io/library/debian"):
        assert isinstance(last(plan(f"FROM {name}\n", base, build_contexts=(context,))).op, ImageOp)
    assert refused("FROM debian:12\n", base, build_contexts=(context,)).message == "debian:12: not resolved"


def test_a_context_for_one_platform() -> None:
    context = NamedContext("debian::linux/arm64", "oci-layout", "/layout")
    base = image("context:debian::linux/arm64", platform=ARM64)
    found = plan("FROM --platform=linux/arm64 debian\n", base, build_contexts=(context,))
    assert found.config.platform == ARM64
    assert refused("FROM debian\n", base, build_contexts=(context,)).message == "debian: not resolved"


def test_a_directory_replaces_a_stage_that_is_only_copied_from() -> None:
    contexts = (NamedContext("build", "local", "/dir"),)
    text = "FROM missing AS build\nRUN never\nFROM scratch AS last\nCOPY --from=build /a /b\nCOPY --from=0 /c /d\n"
    found = plan(text, build_contexts=contexts)
    source = found.nodes[last(found).inputs[1]].op
    assert source == LocalOp("build")
    assert [type(node.op).__name__ for node in found.nodes.values()] == ["ScratchOp", "LocalOp", "CopyOp", "CopyOp"]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("FROM dir\n", {}),
        ("FROM scratch AS dir\n", {}),
        ("FROM scratch AS dir\nRUN never\nFROM dir\n", {}),
        ("FROM scratch AS dir\nFROM scratch\n", {"target": "dir"}),
    ],
)
def test_a_directory_as_a_base(text: str, fields: dict[str, str]) -> None:
    contexts = (NamedContext("dir", "local", "/dir"),)
    found = plan(text, build_contexts=contexts, outputs=(OutputSpec("tar", "/x.tar"),), **fields)
    assert last(found).op == CopyOp((".",), "/", None, None, keep_owner=False)
    assert last(found).title == "FROM dir"
    assert found.layers == (found.target,)
    ((entry, node),) = found.history
    assert (entry.created_by, entry.comment, entry.empty_layer) == (
        "local source for dir",
        "buildkit.exporter.image.v0",
        False,
    )
    assert node == found.target
    assert found.config.env == (ENV_PATH,)


@pytest.mark.parametrize("text", ["FROM scratch AS dir\n", "FROM scratch AS dir\nFROM dir\nENV a=b\n"])
def test_a_directory_in_the_place_of_the_target_is_told_to_the_outputs(text: str) -> None:
    found = plan(text, build_contexts=(NamedContext("dir", "local", "/dir"),))
    assert found.bare is not None
    assert found.bare.name == "dir"
    assert found.bare.span is not None
    assert found.bare.span.first_line == 1
    assert plan("FROM dir\n", build_contexts=(NamedContext("dir", "local", "/dir"),)).bare is None


def test_steps_on_a_directory() -> None:
    found = plan("FROM dir\nRUN x\n", build_contexts=(NamedContext("dir", "remote", "https://h/x.tar"),))
    assert titles(found) == ["FROM scratch", "load build context dir", "FROM dir", "RUN x"]
    assert [node.position for node in found.nodes.values()] == [0, 0, 1, 2]
    copied = [node.op for node in found.nodes.values() if isinstance(node.op, CopyOp)]
    assert [op.keep_owner for op in copied] == [True]


def test_scratch_as_a_named_context() -> None:
    contexts = (NamedContext("base", "scratch", ""), NamedContext("one", "scratch", ""))
    found = plan("FROM image AS one\nRUN never\nFROM base\nCOPY --from=one / /x\n", build_contexts=contexts)
    assert titles(found) == ["FROM scratch", "COPY --from=one / /x"]


def test_scratch_cannot_be_replaced() -> None:
    contexts = (NamedContext("scratch", "oci-layout", "/layout"),)
    assert titles(plan("FROM scratch\nCOPY x /\n", build_contexts=contexts))[0] == "FROM scratch"


def test_the_main_contexts_name_is_taken() -> None:
    with pytest.raises(Unsupported, match="cannot be called context"):
        plan("FROM scratch\n", build_contexts=(NamedContext("context", "local", "/x"),))


def test_a_context_that_is_another_stage() -> None:
    text = """
        FROM base AS a
        RUN a
        FROM x
        COPY --from=y /f /f
        """
    contexts = (NamedContext("x", "target", "A"), NamedContext("y", "target", "a"))
    found = plan(text, build_contexts=contexts)
    assert titles(found) == ["FROM docker.io/library/base:latest", "RUN a", "COPY --from=y /f /f"]
    assert last(found).inputs == (2, 2)


def test_a_stage_that_another_stage_stands_for() -> None:
    text = """
        FROM base AS a
        RUN a
        FROM missing AS b
        RUN b
        FROM b
        RUN c
        """
    found = plan(text, build_contexts=(NamedContext("b", "target", "a"),))
    assert titles(found) == ["FROM docker.io/library/base:latest", "RUN a", "RUN c"]


@pytest.mark.parametrize("stage", ["later", "none"])
def test_a_context_that_is_no_stage_above(stage: str) -> None:
    contexts = (NamedContext("x", "target", stage),)
    error = refused("FROM x\nFROM base AS later\nFROM x\n", build_contexts=contexts)
    assert error.message == f"--build-context x=target:{stage}: there is no such stage above this line"


def test_files_of_what_was_fetched_keep_their_owners() -> None:
    contexts = (NamedContext("far", "remote", "https://h/x.tar"), NamedContext("near", "local", "/dir"))
    found = plan("FROM scratch\nCOPY --from=far a /\nCOPY --from=near a /\nCOPY a /\n", build_contexts=contexts)
    assert [node.op.keep_owner for node in found.nodes.values() if isinstance(node.op, CopyOp)] == [True, False, False]
    found = plan("FROM scratch\nCOPY a /\n", unpacked=True)
    assert [node.op.keep_owner for node in found.nodes.values() if isinstance(node.op, CopyOp)] == [True]
