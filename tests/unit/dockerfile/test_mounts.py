"""``--mount``: its keys, their defaults, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.mounts import TYPES, Mount, MountError, mount_from, parse_mount

VALUES = {"T": "cache", "D": "/x", "N": "7"}


def expand(text: str) -> str:
    for name, value in VALUES.items():
        text = text.replace(f"${name}", value)
    return text


def parsed(value: str) -> Mount:
    return parse_mount(value, expand)


@pytest.mark.parametrize(
    ("value", "mount"),
    [
        ("target=/x", Mount(target="/x")),
        ("dst=/x", Mount(target="/x")),
        ("destination=/x,src=a", Mount(source="a", target="/x")),
        ("TYPE=BIND,Target=/x,rw", Mount(target="/x", read_only=False)),
        ("target=/x,readwrite", Mount(target="/x", read_only=False)),
        ("target=/x,rw=false", Mount(target="/x")),
        ("target=/x,ro=0", Mount(target="/x", read_only=False)),
        ("target=/x,readonly=T", Mount(target="/x")),
        ("target=/x,rw,ro", Mount(target="/x")),
        ("from=a,target=/x", Mount(stage="a", target="/x")),
        ('"target=/a,b"', Mount(target="/a,b")),
        ("type=$T,target=$D", Mount("cache", target="/x", read_only=False)),
        ("type=cache,target=/x,ro", Mount("cache", target="/x")),
        ("type=cache,target=/x,sharing=LOCKED", Mount("cache", target="/x", read_only=False, sharing="locked")),
        (
            "type=cache,target=/x,id=i,mode=0700,uid=$N,gid=8",
            Mount("cache", target="/x", read_only=False, id="i", mode=0o700, uid=7, gid=8),
        ),
        ("type=tmpfs,target=/x", Mount("tmpfs", target="/x", read_only=False)),
        ("type=tmpfs,target=/x,size=1.5k", Mount("tmpfs", target="/x", read_only=False, size=1536)),
        ("type=secret,id=s", Mount("secret", id="s")),
        ("type=secret,src=s,required", Mount("secret", source="s", required=True)),
        ("type=secret,target=/x,required=false", Mount("secret", target="/x")),
        ("type=secret,id=s,env=E,mode=444", Mount("secret", id="s", env="E", mode=0o444)),
        ("type=ssh", Mount("ssh")),
        ("type=ssh,id=a,required=1", Mount("ssh", id="a", required=True)),
        ("type=tmpfs,target=/x,source=/y,id=1", Mount("tmpfs", "", "/y", "/x", False, "1", idle=("source", "id"))),
    ],
)
def test_keys(value: str, mount: Mount) -> None:
    assert parsed(value) == mount


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ("type=cash,target=/x", "there is no mount type cash", "did you mean cache?"),
        ("type=,target=/x", "there is no mount type without a name", "there are bind, cache, tmpfs, secret, ssh"),
        ("tagret=/x", "a mount has no key tagret (tagret=/x)", "did you mean target?"),
        ("target", "the mount field target needs a value", "write target=VALUE"),
        ("requird", "the mount field requird needs a value", "did you mean required?"),
        ("", "a mount field is empty", None),
        ("target=/x,ro=yes", "the mount field ro=yes is neither true nor false", "write true or false"),
        ("target=/x,mode=0755", "a bind mount has no key mode", None),
        ("type=tmpfs,target=/x,uid=1", "a tmpfs mount has no key uid", None),
        ("type=cache,target=/x,mode=0999", "the mount field mode=0999 is no number", None),
        ("type=cache,target=/x,uid=-1", "the mount field uid=-1 is no number", None),
        ("type=cache,target=/x,uid=4294967296", "the mount field uid=4294967296 is no number", None),
        ("type=cache,target=/x,sharing=excl", "there is no sharing excl", None),
        ("target=/x,sharing=locked", "a bind mount has no key sharing", None),
        ("required,type=secret,id=x", "a bind mount has no key required", None),
        ("target=/x,size=1", "a bind mount has no key size", None),
        ("type=tmpfs,target=/x,size=many", "the mount field size=many is no size", None),
        ("type=secret", "a secret mount needs an id or a target", None),
        ("type=secret,id=a,src=b", "a secret mount has both id and source, which mean the same", "keep id"),
        ("type=secret,id=a,from=b", "a secret mount has no key from", None),
        ("type=secret,id=a,env=", "the mount key env is empty", None),
        ("type=secret,id=a,env", "the mount field env needs a value", "write env=VALUE"),
        ("type=ssh,source=a", "an ssh mount has no source", None),
    ],
)
def test_refused(value: str, message: str, hint: str | None) -> None:
    with pytest.raises(MountError) as caught:
        parsed(value)
    assert caught.value.message == message
    assert caught.value.hint
    assert hint is None or caught.value.hint == hint


def test_from_is_not_expanded() -> None:
    assert parsed("from=x$,target=/x").stage == "x$"
    assert mount_from("target=/x,FROM=a,from=b") == "b"
    assert mount_from("type=tmpfs,target=/x") == ""


@given(st.text("=,\"'abcdeimnoprstuy$/01", max_size=40), st.sampled_from(TYPES))
def test_anything_is_read_or_refused(text: str, kind: str) -> None:
    try:
        found = parsed(f"type={kind},{text}")
    except MountError as error:
        assert error.message
    else:
        assert found.type in TYPES
