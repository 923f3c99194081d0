import json
from typing import Any

import pytest

from layers.errors import InvalidImage
from layers.image import Healthcheck, History, ImageConfig, Platform, encode, host_platform

FROM_BUILDKIT = (
    b'{"architecture":"amd64","author":"Me \\u003cme@x\\u003e","config":{"User":"1:2","ExposedPorts":{"443/tcp":{},'
    b'"80/udp":{}},"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","X=a \\u003cb\\u003e '
    b'\\u0026 c","Y=\xc3\xa9"],"Entrypoint":["/bin/sh"],"Cmd":["/bin/sh","-ec","echo \\"hi\\" \'x\' \\\\t"],"Volumes":'
    b'{"/v":{},"/w":{}},"WorkingDir":"/home/x","Labels":{"a":"1 \\u003c","b":"2","zz":"1"},"StopSignal":"SIGINT",'
    b'"ArgsEscaped":true,"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000,"Retries":3},"OnBuild":'
    b'["RUN echo \\u003chi\\u003e"],"Shell":["/bin/sh","-ec"]},"created":"2026-11-22T20:16:24.685684573Z","history":'
    b'[{"created":"2026-11-22T20:15:58.883153631Z","created_by":"ARG A=1 B","comment":"buildkit.dockerfile.v0",'
    b'"empty_layer":true},{"created":"2026-11-22T20:16:24.670445428Z","created_by":"RUN |2 A=1 B= /bin/sh -c echo '
    b'\\"a\\u003cb\\u003e\\u0026\\u0026 c\\" # buildkit","comment":"buildkit.dockerfile.v0"}],"os":"linux","rootfs":'
    b'{"type":"layers","diff_ids":["sha256:7e6a33ab455111a449761156dcbdffdb2709e19b9484afc3fb2e85344826ed43"]}}'
)
"""As a BuildKit wrote it, with ArgsEscaped where newer ones have it."""

EMPTY = (
    b'{"architecture":"amd64","config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],'
    b'"WorkingDir":"/"},"created":null,"history":null,"os":"linux","rootfs":{"type":"layers","diff_ids":null}}'
)


@pytest.mark.parametrize("raw", [FROM_BUILDKIT, EMPTY])
def test_a_config_of_buildkit_round_trips_to_the_byte(raw: bytes) -> None:
    assert encode(ImageConfig.parse(raw)) == raw


def test_every_field_is_read() -> None:
    config = ImageConfig.parse(FROM_BUILDKIT)
    assert config.platform == Platform("linux", "amd64")
    assert config.env[1:] == (("X", "a <b> & c"), ("Y", "é"))
    assert config.entrypoint == ("/bin/sh",)
    assert config.cmd == ("/bin/sh", "-ec", "echo \"hi\" 'x' \\t")
    assert (config.workdir, config.user, config.stop_signal) == ("/home/x", "1:2", "SIGINT")
    assert config.shell == ("/bin/sh", "-ec")
    assert config.ports == ("443/tcp", "80/udp")
    assert config.volumes == ("/v", "/w")
    assert config.labels == (("a", "1 <"), ("b", "2"), ("zz", "1"))
    assert config.healthcheck == Healthcheck(("CMD-SHELL", "true"), interval=5_000_000_000, retries=3)
    assert config.onbuild == ("RUN echo <hi>",)
    assert config.args_escaped
    assert config.author == "Me <me@x>"
    assert [str(diff_id)[:15] for diff_id in config.diff_ids] == ["sha256:7e6a33ab"]
    assert config.history[0] == History(
        "2026-11-22T20:15:58.883153631Z", "ARG A=1 B", "buildkit.dockerfile.v0", empty_layer=True
    )
    assert config.created == "2026-11-22T20:16:24.685684573Z"


def test_maps_are_sorted_whatever_their_order() -> None:
    config = ImageConfig(
        Platform("linux", "amd64"), labels=(("b", "2"), ("a", "1")), ports=("80/tcp", "443/tcp"), volumes=("/z", "/a")
    )
    run = json.loads(encode(config))["config"]
    assert list(run["Labels"]) == ["a", "b"]
    assert list(run["ExposedPorts"]) == ["443/tcp", "80/tcp"]
    assert list(run["Volumes"]) == ["/a", "/z"]


def test_top_level_keys_are_alphabetical_with_unknown_ones_among_them() -> None:
    raw: dict[str, Any] = json.loads(EMPTY) | {
        "variant": "v7",
        "os.version": "10",
        "os.features": ["win32k"],
        "moby.buildkit.cache.v0": "e30=",
        "docker_version": "20",
    }
    raw["config"]["StopTimeout"] = 5
    written = encode(ImageConfig.parse(json.dumps(raw).encode()))
    document = json.loads(written)
    assert list(document) == sorted(document)
    assert document == raw


def test_history_with_an_author_and_without_a_date() -> None:
    entry = History(created_by="x", comment="c", author="me")
    document = json.loads(encode(ImageConfig(Platform("linux", "amd64"), history=(entry,))))
    assert list(document["history"][0].items()) == [("created_by", "x"), ("author", "me"), ("comment", "c")]


def test_a_config_without_a_list_of_layers_has_none() -> None:
    assert ImageConfig.parse(b'{"os":"linux","architecture":"arm"}') == ImageConfig(Platform("linux", "arm"))


def test_a_value_may_hold_equal_signs() -> None:
    raw = EMPTY.replace(b'"Env":["PATH=', b'"Env":["A=b=c","PATH=')
    assert ImageConfig.parse(raw).env[0] == ("A", "b=c")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"os": ""}, "names no os"),
        ({"architecture": None}, "names no os or no architecture"),
        ({"config": []}, "'config' is not an object"),
        ({"rootfs": {"diff_ids": ["sha256:12"]}}, "not a digest"),
        ({"rootfs": {"diff_ids": [1]}}, "'diff_ids' is not a list of strings"),
        ({"history": [1]}, "'history' is not a list of objects"),
        ({"config": {"Env": "PATH=/"}}, "image config: config: 'Env' is not a list"),
        ({"config": {"Healthcheck": {"Interval": "5s"}}}, "'Interval' is not a whole number"),
        ({"config": {"Env": ["A=a\0b"]}}, "'Env' holds a NUL character"),
        ({"config": {"Shell": ["\0"]}}, "'Shell' holds a NUL character"),
        ({"config": {"WorkingDir": "/a\0b"}}, "'WorkingDir' holds a NUL character"),
        ({"config": {"User": "root\0"}}, "'User' holds a NUL character"),
    ],
)
def test_what_is_no_config(change: dict[str, Any], problem: str) -> None:
    raw = json.dumps(json.loads(EMPTY) | change).encode()
    with pytest.raises(InvalidImage, match=problem):
        ImageConfig.parse(raw)


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("amd64", Platform("linux", "amd64")),
        ("x86_64", Platform("linux", "amd64")),
        ("linux/amd64/v1", Platform("linux", "amd64")),
        ("linux/amd64/v3", Platform("linux", "amd64", "v3")),
        ("Linux/ARM64", Platform("linux", "arm64")),
        ("linux/aarch64/v8", Platform("linux", "arm64")),
        ("linux/arm64/8", Platform("linux", "arm64")),
        ("arm", Platform("linux", "arm", "v7")),
        ("linux/arm/v6", Platform("linux", "arm", "v6")),
        ("linux/arm/6", Platform("linux", "arm", "v6")),
        ("linux/armhf", Platform("linux", "arm", "v7")),
        ("linux/armel", Platform("linux", "arm", "v6")),
        ("386", Platform("linux", "386")),
        ("freebsd/riscv64", Platform("freebsd", "riscv64")),
        ("windows(10.0.17763)/amd64", Platform("windows(10.0.17763)", "amd64")),
    ],
)
def test_platforms(text: str, platform: Platform) -> None:
    assert Platform.parse(text) == platform
    assert Platform.parse(str(platform)) == platform


def test_a_system_alone_has_our_architecture() -> None:
    own = Platform("linux", "arm", "v6")
    assert Platform.parse("Linux", own) == own
    assert Platform.parse("386", own) == Platform("linux", "386")


@pytest.mark.parametrize(
    "text", ["", "linux", "/", "linux/", "linux/arm/v7/x", "quantum", "linux/ü", "l~/amd64", "linux/amd64/v~"]
)
def test_what_names_no_platform(text: str) -> None:
    with pytest.raises(ValueError, match="not a platform"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("machine", "shown"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("armv7l", "linux/arm/v7"),
        ("armv6l", "linux/arm/v6"),
        ("i686", "linux/386"),
        ("ppc64le", "linux/ppc64le"),
        ("s390x", "linux/s390x"),
        ("riscv64", "linux/riscv64"),
        ("loongarch64", "linux/loong64"),
    ],
)
def test_the_platform_of_a_host(machine: str, shown: str) -> None:
    assert str(host_platform(machine)) == shown
