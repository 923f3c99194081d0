import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.plan.graph import NodeId
from builder.plan.stage_state import StageState, absolute, from_image, from_stage, scratch
from tests.support.planning import AMD64, ENV_PATH, image


def test_state_stays_small() -> None:
    """Fields are added to a type of their own, not here (style: a bag grows because a field is easier than a type)."""
    assert len(StageState._fields) <= 8


def test_scratch() -> None:
    state = scratch(NodeId(1), AMD64)
    assert state.finished().env == state.env.pairs == (ENV_PATH,)
    assert state.workdir == "/"


def test_an_image_without_path_gets_the_default_at_the_end() -> None:
    state = from_image(NodeId(1), image(env=(("a", "1"),)).config)
    assert state.finished().env == state.env.pairs == (("a", "1"), ENV_PATH)


def test_an_image_keeps_its_config_but_for_date_triggers_and_layers() -> None:
    base = image(cmd=("x",), user="u", workdir="/w/", onbuild=("RUN y",), labels=(("a", "b"),)).config
    config = from_image(NodeId(1), base).finished()
    assert (config.cmd, config.user, config.workdir, config.labels) == (("x",), "u", "/w/", (("a", "b"),))
    assert (config.onbuild, config.created, config.diff_ids) == ((), None, ())
    assert config.history == base.history


@pytest.mark.parametrize(("written", "kept"), [("", ""), ("rel", "/rel"), ("/", "/")])
def test_workdir_of_an_image(written: str, kept: str) -> None:
    state = from_image(NodeId(1), image(workdir=written).config)
    assert state.config.workdir == kept
    assert state.workdir == (kept or "/")


def test_a_child_sees_variables_of_the_parent_and_env_is_back() -> None:
    parent = scratch(NodeId(1), AMD64).with_env("arg", "1").with_env("PATH", "/hidden")
    child = from_stage(parent._replace(cmd_set=True, position=4))
    assert child.env.pairs == (("arg", "1"), ENV_PATH)
    assert (child.cmd_set, child.position) == (False, 0)


@given(
    st.text(alphabet="ab./", max_size=12).map(lambda text: "/" + text),
    st.text(alphabet="ab./", max_size=12),
)
def test_absolute_is_what_the_standard_library_says(directory: str, path: str) -> None:
    joined = posixpath.normpath(posixpath.join(directory, path))
    assert absolute(directory, path) == "/" + joined.lstrip("/")
