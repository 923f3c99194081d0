"""Pull, build, run and push with Debian's docker-registry: TLS by an authority of our own, and a password."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builds import Bench, write_tree
from tests.support.certificates import Authority
from tests.support.peers import run
from tests.support.registries import PASSWORD, USER
from tests.support.sites import Site, private_site

pytestmark = [pytest.mark.needs_tool("docker-registry")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("authority")))


@pytest.fixture
def site(tmp_path: Path, authority: Authority) -> Iterator[Site]:
    with private_site(tmp_path, authority) as found:
        yield found


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "context", {"file": "of the context"})


def dockerfile(context: Path, *lines: str) -> Path:
    (context / "Dockerfile").write_text("".join(f"{line}\n" for line in lines))
    return context


@pytest.mark.needs_root
def test_from_one_store_to_another(bench: Bench, empty: Bench, site: Site, context: Path) -> None:
    """A base is pushed; elsewhere an image is built on it, run and pushed, and built again without the registry."""
    env = site.trust().env
    assert site.login().returncode == 0
    base, app = f"{site.host}/team/base:1", f"{site.host}/team/app"
    bench.pybuild("tag", "busybox", base)
    told = bench.pybuild("push", base, env=env)
    digest = told.strip().rpartition(": ")[2]

    dockerfile(context, f"FROM {base}", "COPY file /", "RUN cat /file > /made")
    built = empty.build("--push", "-t", f"{app}:1", "-t", f"{app}:latest", context, env=env)
    assert f"FROM {base}@{digest}" in built.titles().values()
    assert built.executed() == {"COPY file /", "RUN cat /file > /made"}

    # Nobody to ask, and nobody to be.
    again = empty.build(context, env={"HOME": "/nonexistent", "DOCKER_CONFIG": "/nonexistent"})
    assert again.executed() == set()
    pinned = dockerfile(context, f"FROM {site.host}/team/base@{digest}", "COPY file /", "RUN cat /file > /made")
    assert empty.build(pinned, env={"HOME": "/nonexistent", "DOCKER_CONFIG": "/nonexistent"}).executed() == set()
    assert empty.pybuild("pull", f"{app}:latest", env=env) == f"{app}:latest: {built.digest}\n"


@pytest.mark.needs_root
@pytest.mark.needs_tool("skopeo")
def test_skopeo_takes_what_was_pushed(bench: Bench, site: Site, context: Path, tmp_path: Path) -> None:
    assert site.trust().login().returncode == 0
    dockerfile(context, "FROM busybox", "COPY file /")
    app = f"{site.host}/team/app:1"
    digest_file = tmp_path / "digest"
    for output in ("type=registry", "type=image,push=true,compression=zstd"):
        bench.build("-o", output, "-t", app, "--digest-file", digest_file, context, env=site.env)
        flags = ("--src-cert-dir", site.certificates, "--src-creds", f"{USER}:{PASSWORD}")
        copy = tmp_path / output.partition(",")[0]
        run("skopeo", "copy", *flags, f"docker://{app}", f"dir:{copy}")
        found = run("skopeo", "manifest-digest", copy / "manifest.json")
        assert found.strip() == digest_file.read_text()


def test_each_obstacle_is_told_with_what_to_do(empty: Bench, site: Site, context: Path) -> None:
    """In the order in which somebody meets them; no step has run by then."""
    app = f"{site.host}/team/app:1"
    dockerfile(context, "FROM scratch", "COPY file /")

    def attempt(*words: str | Path) -> str:
        built = empty.attempt(*words, context, env=site.env)
        assert built.code == 1
        assert not built.of("step-started")
        (error,) = built.of("error")
        return f"{error['message']}\n{error['hint']}"

    push = ("--push", "-t", app)
    assert "certificate" in attempt(*push)
    assert f"certs.d/{site.host}" in attempt(*push)
    site.trust()
    assert f"run 'pybuild login {site.host}'" in attempt(*push)
    wrong = site.login("not it")
    assert wrong.returncode == 1
    assert f"{site.host} does not accept the password of user '{USER}'" in wrong.stderr
    assert site.login().returncode == 0
    assert empty.build(*push, context, env=site.env).digest
    dockerfile(context, f"FROM {site.host}/team/app:2")
    assert "team/app has no tag 2\ncheck the spelling" in attempt()
