import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.names import full_name
from registry.reference import InvalidReference, Reference

HEX = "0123456789abcdef" * 4
SHA256 = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("debian", "docker.io/library/debian", "debian"),
        ("debian:12", "docker.io/library/debian:12", "debian:12"),
        ("me/app", "docker.io/me/app", "me/app"),
        ("docker.io/debian", "docker.io/library/debian", "debian"),
        ("docker.io/library/debian", "docker.io/library/debian", "debian"),
        ("index.docker.io/debian", "docker.io/library/debian", "debian"),
        ("library/debian", "docker.io/library/debian", "debian"),
        ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
        ("host.example/app", "host.example/app", "host.example/app"),
        ("HOST/app", "HOST/app", "HOST/app"),
        ("[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app"),
        (f"debian@{SHA256}", f"docker.io/library/debian@{SHA256}", f"debian@{SHA256}"),
        (f"debian:12@{SHA256}", f"docker.io/library/debian:12@{SHA256}", f"debian:12@{SHA256}"),
        ("a__b/c--d.e_f", "docker.io/a__b/c--d.e_f", "a__b/c--d.e_f"),
        ("host.example:443/a/b/c:T_-.1", "host.example:443/a/b/c:T_-.1", "host.example:443/a/b/c:T_-.1"),
    ],
)
def test_full_and_familiar(text: str, full: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == full
    assert reference.familiar == familiar
    assert Reference.parse(full) == reference == Reference.parse(familiar)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "invalid reference format"),
        (":tag", "invalid reference format"),
        ("App", r"repository name \(library/App\) must be lowercase"),
        ("host.example/App", r"repository name \(App\) must be lowercase"),
        ("a b", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("/a", "invalid reference format"),
        ("a/", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a..b", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("a:-x", "invalid reference format"),
        ("a:" + "x" * 129, "invalid reference format"),
        ("a\n", "invalid reference format"),
        ("a@sha256:12", "invalid reference format"),
        ("a@md5:" + HEX, "unsupported digest algorithm"),
        ("a@sha256:" + HEX[:40], "invalid checksum digest length"),
        (HEX, "cannot specify 64-byte hexadecimal strings"),
        ("https://host.example/app", "invalid reference format"),
        ("x" * 256, "must not be more than 255 characters"),
    ],
)
def test_what_is_no_reference(text: str, problem: str) -> None:
    with pytest.raises(InvalidReference, match=problem):
        Reference.parse(text)


def test_latest_only_where_nothing_is_said() -> None:
    assert str(Reference.parse("a").tagged()) == "docker.io/library/a:latest"
    assert str(Reference.parse("a:1").tagged()) == "docker.io/library/a:1"
    assert str(Reference.parse(f"a@{SHA256}").tagged()) == f"docker.io/library/a@{SHA256}"


def test_parts() -> None:
    reference = Reference.parse(f"host:5000/a/b:1@{SHA256}")
    assert (reference.host, reference.repository, reference.tag) == ("host:5000", "a/b", "1")
    assert str(reference.digest) == SHA256
    assert reference.name == "host:5000/a/b"


@given(st.text(alphabet="aB1./:@-_ [", max_size=30))
def test_never_anything_but_a_reference_or_its_error(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference
    if not reference.digest:
        assert full_name(text) == str(reference.tagged())


@pytest.mark.parametrize("name", ["", "a b", "<none>:<none>", "../x"])
def test_full_names_of_what_names_nothing(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of an image"):
        full_name(name)
