"""History text and config of every instruction that makes no layer (BuildKit's, field by field)."""

from typing import Any

import pytest

from layers.image import Healthcheck
from tests.support.planning import ENV_PATH, PATH, created_by, image, plan, refused

SECOND = 1_000_000_000


def only_entry(text: str, **fields: Any) -> str:
    found = plan(f"FROM scratch\n{text}\n", **fields)
    ((entry, node),) = found.history
    assert node is None
    assert entry.empty_layer
    assert entry.comment == "buildkit.dockerfile.v0"
    assert entry.created is None
    assert found.layers == ()
    return entry.created_by


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('CMD ["a", "b c"]', 'CMD ["a" "b c"]'),
        ("CMD echo $HOME", 'CMD ["/bin/sh" "-c" "echo $HOME"]'),
        ("CMD []", "CMD []"),
        ("CMD", 'CMD ["/bin/sh" "-c" ""]'),
        ('ENTRYPOINT ["/x"]', 'ENTRYPOINT ["/x"]'),
        ('ENTRYPOINT say "hi"', r'ENTRYPOINT ["/bin/sh" "-c" "say \"hi\""]'),
        ("ENTRYPOINT []", "ENTRYPOINT []"),
        ("ENV k=v k2='two words'", "ENV k=v k2=two words"),
        ("ENV k two   words  ", "ENV k=two   words"),
        ('LABEL a=1 "b c"="d e"', "LABEL a=1 b c=d e"),
        ("ARG A=one B", "ARG A=one B"),
        ("EXPOSE 80 443/udp", "EXPOSE [443/udp 80/tcp]"),
        ("EXPOSE 80/TCP 80", "EXPOSE [80/tcp 80/tcp]"),
        ("EXPOSE 9 8000-8002/udp", "EXPOSE [8000/udp 8001/udp 8002/udp 9/tcp]"),
        ('VOLUME ["/a b", "c/"]', "VOLUME [/a b c/]"),
        ("VOLUME /a /b", "VOLUME [/a /b]"),
        ('SHELL ["/bin/sh", "-ec"]', "SHELL [/bin/sh -ec]"),
        (
            "HEALTHCHECK --interval=5s --start-interval=2s CMD true",
            "HEALTHCHECK {Test:[CMD-SHELL true] Interval:5s Timeout:0s StartPeriod:0s StartInterval:2s Retries:0}",
        ),
        (
            'HEALTHCHECK --timeout=90s --retries=3 --start-period=1h CMD ["a", "b"]',
            "HEALTHCHECK {Test:[CMD a b] Interval:0s Timeout:1m30s StartPeriod:1h0m0s StartInterval:0s Retries:3}",
        ),
        (
            "HEALTHCHECK --interval=5s NONE",
            "HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
        ),
        ("STOPSIGNAL sigkill", "STOPSIGNAL sigkill"),
        ("USER me:us", "USER me:us"),
        ("WORKDIR /", "WORKDIR /"),
        ("MAINTAINER A B <a@b>", "MAINTAINER A B <a@b>"),
    ],
)
def test_history_text(line: str, text: str) -> None:
    assert only_entry(line) == text


def test_onbuild_leaves_no_history() -> None:
    found = plan("FROM scratch\nONBUILD RUN a\nONBUILD COPY . /x\n")
    assert found.history == ()
    assert found.config.onbuild == ("RUN a", "COPY . /x")


def test_scratch_config() -> None:
    config = plan("FROM scratch\n").config
    assert config.env == (ENV_PATH,)
    assert config.workdir == "/"
    assert (config.cmd, config.history, config.diff_ids, config.created) == (None, (), (), None)


def test_env_keeps_the_place_of_first_appearance() -> None:
    found = plan("FROM scratch\nENV a=1 b=2\nENV a=3\nENV PATH=/x:$PATH\n")
    assert found.config.env == (("PATH", f"/x:{PATH}"), ("a", "3"), ("b", "2"))


def test_env_sees_what_was_before_the_instruction() -> None:
    assert created_by(plan("FROM scratch\nENV a=0\nENV a=1 b=$a\nENV c=$a\n"))[1:] == ["ENV a=1 b=0", "ENV c=1"]


def test_arg_sees_what_is_before_it_on_the_line() -> None:
    assert created_by(plan("FROM scratch\nARG a=1 b=$a$a\n")) == ["ARG a=1 b=11"]


def test_keys_are_expanded() -> None:
    found = plan("FROM scratch\nENV n=x\nLABEL $n.y=$n\nENV ${n}2=z\n")
    assert found.config.labels == (("x.y", "x"),)
    assert found.config.env[-1] == ("x2", "z")


def test_labels_replace_and_request_labels_win_without_history() -> None:
    found = plan("FROM scratch\nLABEL a=1 b=2\nLABEL a=3\n", labels=(("b", "cli"), ("c", "new")))
    assert found.config.labels == (("a", "3"), ("b", "cli"), ("c", "new"))
    assert created_by(found) == ["LABEL a=1 b=2", "LABEL a=3"]


def test_expose_adds_each_port_once() -> None:
    found = plan("FROM scratch\nENV P='90 70/udp'\nEXPOSE 80 80/tcp\nEXPOSE $P 80\n")
    assert found.config.ports == ("80/tcp", "90/tcp", "70/udp")
    # A variable is sorted by its name, and what it holds keeps its order.
    assert created_by(found)[-1] == "EXPOSE [90/tcp 70/udp 80/tcp]"


def test_expose_of_a_mapping_is_warned_of() -> None:
    found = plan("FROM scratch\nEXPOSE 8080:80\n")
    assert found.config.ports == ("80/tcp",)
    ((message, span),) = found.warnings
    assert "8080:80" in message
    assert span is not None and span.first_line == 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("EXPOSE 80/http", 'invalid port: "80/http"'),
        ("STOPSIGNAL NOPE", "invalid signal: NOPE"),
        ("STOPSIGNAL 0", "invalid signal: 0"),
        ('VOLUME ["/a", "$none"]', "VOLUME specified can not be an empty string"),
        ("ENV a=${b:?none}", "none"),
        ('EXPOSE "80', 'failed to process ""80"'),
        ("COPY <<E /x\n\n  ${v!}\nE", 'failed to process "${v!}"'),
        ("LABEL a='x", 'failed to process "\'x"'),
    ],
)
def test_refused(line: str, problem: str) -> None:
    error = refused(f"FROM scratch\n\n{line}\n")
    assert problem in error.message
    assert error.span is not None and error.span.first_line == 3


def test_values_are_expanded_where_they_should_be() -> None:
    text = """
        FROM scratch
        ENV v=/x s=TERM
        USER $v
        VOLUME $v/y
        STOPSIGNAL $s
        CMD ["$v"]
        ENTRYPOINT ["$v"]
        SHELL ["$v"]
        HEALTHCHECK CMD $v
        MAINTAINER $v
        ONBUILD RUN $v
        """
    config = plan(text).config
    assert (config.user, config.volumes, config.stop_signal) == ("/x", ("/x/y",), "TERM")
    assert (config.cmd, config.entrypoint, config.shell) == (("$v",), ("$v",), ("$v",))
    assert config.healthcheck == Healthcheck(("CMD-SHELL", "$v"))
    assert (config.author, config.onbuild) == ("$v", ("RUN $v",))


def test_shell_is_used_by_what_follows_but_not_by_healthcheck() -> None:
    found = plan('FROM scratch\nCMD a\nSHELL ["/s", "-x"]\nENTRYPOINT b\nHEALTHCHECK CMD c\n')
    assert found.config.cmd == ("/bin/sh", "-c", "a")
    assert found.config.entrypoint == ("/s", "-x", "b")
    assert found.config.healthcheck == Healthcheck(("CMD-SHELL", "c"))


def test_entrypoint_clears_a_cmd_of_the_base_only() -> None:
    base = image(cmd=("old",), entrypoint=("e",))
    assert plan('FROM base\nENTRYPOINT ["x"]\n', base).config.cmd is None
    assert plan('FROM base\nCMD ["c"]\nENTRYPOINT ["x"]\n', base).config.cmd == ("c",)
    assert plan('FROM base\nENTRYPOINT ["x"]\nCMD ["c"]\n', base).config.cmd == ("c",)
    parent = 'FROM base AS a\nCMD ["c"]\nFROM a\nENTRYPOINT ["x"]\n'
    assert plan(parent, base).config.cmd is None


def test_empty_lists_remove_what_the_base_had() -> None:
    base = image(cmd=("old",), entrypoint=("e",))
    config = plan("FROM base\nCMD []\nENTRYPOINT []\n", base).config
    assert (config.cmd, config.entrypoint) == (None, None)


def test_args_escaped_is_set_by_cmd_and_kept_by_entrypoint() -> None:
    assert plan('FROM scratch\nCMD ["a"]\n').config.args_escaped
    assert not plan('FROM scratch\nENTRYPOINT ["a"]\n').config.args_escaped
    assert plan('FROM base\nENTRYPOINT ["a"]\n', image(args_escaped=True)).config.args_escaped


def test_healthcheck_none_drops_everything_else() -> None:
    base = image(healthcheck=Healthcheck(("CMD", "x"), interval=SECOND))
    assert plan("FROM base\nHEALTHCHECK --retries=4 NONE\n", base).config.healthcheck == Healthcheck(("NONE",))


def test_epoch_dates_every_entry() -> None:
    found = plan("FROM scratch\nENV a=1\nCOPY x /\n", epoch=1_700_000_000)
    assert [entry.created for entry, _ in found.history] == ["2023-11-14T22:13:20Z"] * 2
    assert found.epoch == 1_700_000_000
