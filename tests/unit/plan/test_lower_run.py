"""RUN: argument vectors, environments, heredocs, history."""

from builder.plan.graph import RunOp, ScriptFile
from builder.plan.mounts import Device
from layers.image import Platform
from tests.support.planning import ENV_PATH, created_by, image, last, only, plan


def run_op(text: str, **fields: object) -> RunOp:
    return only(plan(f"FROM scratch\n{text}", **fields), RunOp)


def test_shell_form() -> None:
    found = plan("FROM scratch\nRUN echo  $HOME && \\\n  true\n")
    op = only(found, RunOp)
    assert op.args == ("/bin/sh", "-c", "echo  $HOME &&   true")
    assert created_by(found) == ["RUN /bin/sh -c echo  $HOME &&   true # buildkit"]
    assert last(found).op == op
    assert not found.history[0][0].empty_layer
    assert found.history[0][1] == found.target
    assert found.layers == (found.target,)


def test_exec_form() -> None:
    found = plan('FROM scratch\nRUN ["a", "$b c"]\n')
    assert only(found, RunOp).args == ("a", "$b c")
    assert created_by(found) == ["RUN a $b c # buildkit"]


def test_defaults() -> None:
    op = run_op("RUN x\n")
    assert op == RunOp(
        args=("/bin/sh", "-c", "x"),
        env=(ENV_PATH,),
        cwd="/",
        user="",
        network="host",
        hostname="buildkitsandbox",
        scripts=(),
        proxy_env=(),
        platform=Platform("linux", "amd64"),
    )


def test_surroundings_come_from_the_config() -> None:
    op = run_op('ENV a=1\nUSER u:g\nWORKDIR /a/../b/\nWORKDIR c\nSHELL ["/s"]\nRUN x\n')
    assert (op.args, op.cwd, op.user) == (("/s", "x"), "/b/c", "u:g")
    assert op.env == (ENV_PATH, ("a", "1"))


def test_env_is_in_the_order_last_set() -> None:
    op = run_op("ENV a=1 b=2\nARG c=3\nENV a=4\nRUN x\n")
    assert op.env == (ENV_PATH, ("b", "2"), ("c", "3"), ("a", "4"))


def test_arguments_are_counted_in_the_history() -> None:
    text = "FROM scratch\nARG a=1\nARG b\nRUN x\nENV a=2\nARG a\nRUN y\n"
    runs = [entry for entry in created_by(plan(text)) if entry.startswith("RUN")]
    assert runs == ["RUN |2 a=1 b= /bin/sh -c x # buildkit", "RUN |2 a=2 b= /bin/sh -c y # buildkit"]


def test_proxies_are_in_no_history_and_no_env() -> None:
    found = plan("FROM scratch\nRUN x\nLABEL p=$HTTP_PROXY\n", build_args=(("http_proxy", "P"), ("NO_PROXY", "N")))
    op = only(found, RunOp)
    assert dict(op.proxy_env) == {"HTTP_PROXY": "P", "http_proxy": "P", "NO_PROXY": "N", "no_proxy": "N"}
    assert op.env == (ENV_PATH,)
    assert created_by(found) == ["RUN /bin/sh -c x # buildkit", "LABEL p="]
    assert found.warnings == ()


def test_a_declared_proxy_is_an_argument_like_any_other() -> None:
    found = plan("FROM scratch\nARG HTTP_PROXY\nRUN x\n", build_args=(("HTTP_PROXY", "P"),))
    assert only(found, RunOp).env == (ENV_PATH, ("HTTP_PROXY", "P"))
    assert created_by(found)[-1] == "RUN |1 HTTP_PROXY=P /bin/sh -c x # buildkit"


def test_hostname_argument() -> None:
    assert run_op("RUN x\n", build_args=(("BUILDKIT_SANDBOX_HOSTNAME", "h"),)).hostname == "h"


def test_a_heredoc_alone_is_the_command() -> None:
    found = plan("FROM scratch\nRUN <<E\necho $a\n  b\nE\n")
    assert only(found, RunOp).args == ("/bin/sh", "-c", "echo $a\n  b\n")
    assert created_by(found) == ["RUN /bin/sh -c echo $a\n  b\n # buildkit"]
    assert last(found).title == "RUN <<E (echo $a...)"


def test_a_quoted_or_numbered_heredoc_alone_is_the_command_too() -> None:
    assert run_op('RUN <<"E"\nx\nE\n').args[-1] == "x\n"
    assert run_op("RUN 3<<E\nx\nE\n").args[-1] == "x\n"


def test_tabs_are_stripped_when_asked_for() -> None:
    assert run_op("RUN <<-E\n\t\tx\n\t y\n\tE\n").args[-1] == "x\n y\n"


def test_a_heredoc_with_an_interpreter_is_a_script() -> None:
    found = plan("FROM scratch\nRUN <<PY\n#!/usr/bin/python3\nprint(1)\nPY\n")
    op = only(found, RunOp)
    assert op.args == ("/bin/sh", "-c", "/dev/pipes/PY")
    assert op.scripts == (ScriptFile("/dev/pipes/PY", b"#!/usr/bin/python3\nprint(1)\n", 0o755),)
    assert created_by(found) == ["RUN /bin/sh -c /dev/pipes/PY # buildkit"]
    assert last(found).title == "RUN <<PY (#!/usr/bin/python3...)"


def test_heredocs_with_other_words_are_left_to_the_shell() -> None:
    assert run_op("RUN <<E cat\nx\nE\n").args[-1] == "<<E cat\nx\nE"
    assert run_op("RUN cat <<A - <<'B'\n1\nA\n2\nB\n").args[-1] == "cat <<A - <<'B'\n1\nA\n2\nB"
    assert run_op("RUN <<A <<B\n1\nA\n2\nB\n").args[-1] == "<<A <<B\n1\nA\n2\nB"


def test_an_empty_command_still_makes_a_layer() -> None:
    found = plan("FROM scratch\nRUN\n")
    assert created_by(found) == ["RUN /bin/sh -c  # buildkit"]
    assert len(found.layers) == 1


def test_devices() -> None:
    op = run_op("RUN --device=vendor.com/gpu=0,required --device=vendor.com/gpu x\n")
    assert op.devices == (Device("vendor.com/gpu=0", True), Device("vendor.com/gpu", False))


def test_flags_that_ask_for_the_default_change_nothing() -> None:
    assert run_op("RUN --network=default --security=sandbox x\n") == run_op("RUN x\n")


def test_what_is_not_reached_may_ask_for_anything() -> None:
    assert plan("FROM scratch AS a\nRUN --mount=target=/x y\nFROM scratch\n").layers == ()


def test_no_cache_marks_steps_not_sources() -> None:
    found = plan("FROM base\nRUN x\n", image(), no_cache=True)
    assert [node.use_cache for node in found.nodes.values()] == [True, False]
