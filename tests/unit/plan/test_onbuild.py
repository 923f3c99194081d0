"""Triggers of images and of stages of the same file."""

import pytest

from builder.dockerfile.parse import parse
from builder.errors import BuildError
from builder.plan.reach import reach
from builder.plan.stages import survey
from tests.support.planning import bases, created_by, image, plan, refused, request, titles


def test_triggers_run_first_and_are_gone() -> None:
    base = image(onbuild=("RUN a", "ENV k=v"))
    found = plan("FROM base\nRUN b\n", base)
    assert titles(found) == ["FROM docker.io/library/base:latest", "ONBUILD RUN a", "RUN b"]
    assert created_by(found) == ["RUN /bin/sh -c a # buildkit", "ENV k=v", "RUN /bin/sh -c b # buildkit"]
    assert found.config.onbuild == ()
    assert [node.total for node in found.nodes.values()] == [3, 3, 3]
    assert all(node.span is not None and node.span.first_line in {1, 2} for node in found.nodes.values())


def test_a_stage_keeps_its_own_and_gives_them_to_children_only() -> None:
    text = "FROM scratch AS a\nONBUILD RUN t\nRUN a\nFROM a AS b\nRUN b\nFROM b\nRUN c\n"
    assert titles(plan(text)) == ["FROM scratch", "RUN a", "ONBUILD RUN t", "RUN b", "RUN c"]
    assert plan(text).config.onbuild == ()
    assert plan(text, target="a").config.onbuild == ("RUN t",)
    assert titles(plan(text, target="a")) == ["FROM scratch", "RUN a"]


def test_triggers_are_expanded_when_they_run() -> None:
    base = image(onbuild=("LABEL l=$a",), env=(("a", "base"),))
    assert plan("FROM base\nENV a=child\n", base).config.labels == (("l", "base"),)


def test_triggers_with_heredocs() -> None:
    base = image(onbuild=("COPY <<E /x\nbody\nE\n",))
    assert created_by(plan("FROM base\n", base)) == ["COPY <<E /x # buildkit"]


def test_triggers_may_name_stages_and_images() -> None:
    tools = image("docker.io/library/tools:latest")
    base = image(onbuild=("COPY --from=assets /a /a", "COPY --from=tools /t /t"))
    text = "FROM scratch AS assets\nRUN make\nFROM base\n"
    found = plan(text, base, tools)
    assert "RUN make" in titles(found)
    assert "FROM docker.io/library/tools:latest" in titles(found)


def test_images_of_triggers_are_found_in_rounds() -> None:
    asked = request("FROM base\n")
    found = survey(parse(asked.dockerfile_text, "Dockerfile"), asked)
    base = image(onbuild=("COPY --from=tools /t /t",))
    assert [ref.name for ref in reach(found, {}).unknown] == ["base"]
    assert [ref.name for ref in reach(found, bases(base)).unknown] == ["tools"]
    assert reach(found, bases(base, image("docker.io/library/tools:latest"))).unknown == ()


def test_a_trigger_cannot_name_a_later_stage() -> None:
    base = image(onbuild=("COPY --from=late / /",))
    error = refused("FROM base AS early\nFROM early AS late\n", base)
    assert "needs to be defined before" in error.message


@pytest.mark.parametrize("trigger", ["FROM x", "NOPE", "RUN a\nRUN b", "ENV"])
def test_bad_triggers_fail_at_the_from(trigger: str) -> None:
    with pytest.raises(BuildError) as caught:
        plan("FROM scratch AS a\n\nFROM base\n", image(onbuild=(trigger,)))
    assert caught.value.span is not None and caught.value.span.first_line == 3


def test_arguments_of_triggers_count_as_declared() -> None:
    found = plan("FROM base\n", image(onbuild=("ARG a",)), build_args=(("a", "1"),))
    assert found.warnings == ()
    assert created_by(found) == ["ARG a=1"]
