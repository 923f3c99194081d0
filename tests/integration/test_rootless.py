"""Builds by ordinary users: with subordinate ids they give what root's builds give, digest by digest."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FIXTURES
from tests.support.builds import EPOCH, Bench, write_tree
from tests.support.peers import run
from tests.support.users import User, UserBench, ordinary_user

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox", "newuidmap", "useradd")]

REPRODUCIBLE = {"SOURCE_DATE_EPOCH": EPOCH}


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with ordinary_user(subordinate=True) as found:
        yield found


@pytest.fixture(scope="module")
def images(user: User) -> Path:
    """The bases of fixtures/images, where everybody can read them."""
    to = user.home.parent / "images"
    run(sys.executable, FIXTURES / "images" / "make.py", "busybox")
    run("cp", "-r", FIXTURES / "images" / "out", to)
    run("chmod", "-R", "a+rX", to)
    return to


@pytest.fixture(scope="module")
def theirs(user: User, images: Path) -> UserBench:
    bench = UserBench(user, user.home / "store")
    bench.pybuild("load", "-t", "busybox", "-i", images / "busybox")
    return bench


@pytest.fixture
def context(user: User, request: pytest.FixtureRequest) -> Path:
    """An empty directory that everybody can read."""
    path = user.home.parent / f"context-{request.node.name}"
    path.mkdir()
    return path


OWNERS = """\
FROM busybox
RUN echo 'app:x:1000:1000::/srv:/bin/sh' >> /etc/passwd && mkdir /srv && chown 1000:1000 /srv && chmod 2750 /srv
USER app
RUN id -u && echo mine > /srv/file && mkfifo /srv/fifo && ln -s file /srv/link
USER 0
RUN chown 65533:12 /srv/file && rm /etc/group && chmod 4755 /bin/busybox
COPY --chown=33:44 file /var/www/
"""


def test_digests_are_those_of_root(theirs: UserBench, bench: Bench, context: Path, tmp_path: Path) -> None:
    write_tree(context, {"Dockerfile": OWNERS, "file": "x"})
    ours = bench.build("-o", f"type=oci,dest={tmp_path / 'image.tar'}", context, env=REPRODUCIBLE)
    archive = theirs.user.home / "image.tar"
    built = theirs.build("-o", f"type=oci,dest={archive}", context, env=REPRODUCIBLE)
    assert built.digest == ours.digest
    assert built.image_id == ours.image_id
    assert archive.stat().st_uid == theirs.user.uid
    assert not built.of("warned")
