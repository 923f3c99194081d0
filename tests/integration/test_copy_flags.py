"""COPY in real images: what its flags make RUN see and export, and what its layer is without."""

import tarfile
from pathlib import Path

import pytest

from tests.support.builds import Bench, dockerfile, write_tree
from tests.support.flatten import unfold

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]

DOCKERFILE = """\
FROM busybox AS below
RUN mkdir -m 700 /real && ln -s real /link && touch /real/old
FROM below
COPY --link --chmod=600 src/a.c /link/
COPY --link --chown=5:6 <<E /link/h
text
E
COPY --link --chmod=600 src/a.c /link/
COPY --parents --exclude=**/*.h ./src/**/*.? /kept/
COPY --exclude=*.h --exclude=lib --chmod=u=rwX,go= src /some
RUN find /link /real /kept /some | sort > /seen
"""
SEEN = """\
/kept
/kept/src
/kept/src/a.c
/kept/src/lib
/kept/src/lib/b.c
/link
/link/a.c
/link/h
/real
/real/old
/some
/some/a.c
"""


def test_flags_of_copy(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "store")
    bench.load("busybox", "busybox")
    files = {"src/a.c": "a", "src/a.h": "a", "src/lib/b.c": "b", "src/lib/b.h": "b", "Dockerfile": DOCKERFILE}
    context = write_tree(tmp_path / "context", files)
    bench.build("-o", f"type=tar,dest={tmp_path}/out.tar", context)
    with tarfile.open(tmp_path / "out.tar") as archive:
        seen = archive.extractfile("seen")
        assert seen is not None
        assert seen.read().decode() == SEEN
        found = {
            name: f"{member.mode:o} {member.uid}:{member.gid}"
            for name in ("link", "link/a.c", "link/h", "real", "some", "some/a.c", "kept/src/a.c")
            for member in (archive.getmember(name),)
        }
        assert archive.getmember("link").isdir()
    assert found == {
        "link": "755 0:0",
        "link/a.c": "600 0:0",
        "link/h": "644 5:6",
        "real": "700 0:0",
        "some": "755 0:0",
        "some/a.c": "600 0:0",
        "kept/src/a.c": "644 0:0",
    }
    again = bench.build("-o", f"type=tar,dest={tmp_path}/again.tar", context)
    assert again.executed() == set()


ROUND_TRIP = """\
FROM busybox AS changed
RUN echo 1 > /new && chmod 600 /etc/group
FROM busybox
COPY --from=changed / /
"""


def test_what_the_base_has_already_is_not_copied_once_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "store")
    bench.load("busybox", "busybox")
    bench.build("-o", f"type=oci,dest={tmp_path}/out.tar", dockerfile(tmp_path / "context", ROUND_TRIP))
    flat, layers = unfold(tmp_path / "out.tar")
    assert sorted(layers[-1]) == ["etc/group", "new", "proc", "sys"]
    assert "bin/busybox" in flat.files
