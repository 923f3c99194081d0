"""COPY in real images: what its flags make RUN see and export, and what its layer is without."""

import tarfile
from pathlib import Path

import pytest

from tests.support.builds import Bench, dockerfile, output, write_tree
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


MANY = """\
FROM busybox
COPY {flags} tree /t
RUN find /t ! -type d -exec stat -c '%n %a %u %g %s %Y %F' {{}} + | sort | md5sum && \\
    find /t -exec stat -c '%n %a %u %g' {{}} + | sort | md5sum && find /t -type f | sort | xargs cat | md5sum && \\
    readlink /t/d7/link && test /t/d8/one -ef /t/d8/two && echo more >> /t/d9/f9 && rm -r /t/d3
COPY --from=busybox /bin/true /t/d3/
RUN ls /t/d3 && cat /t/d9/f9
"""


def test_thousands_of_files_before_a_run(bench: Bench, tmp_path: Path) -> None:
    """They are made in a directory while they are packed; one by one, as a mode asks for, they come to the same."""
    context = write_tree(tmp_path / "context", {f"tree/d{n % 60}/f{n}": f"{n}" * (n % 70) for n in range(4000)})
    (context / "tree/d7/link").symlink_to("../d8")
    (context / "tree/d8/one").write_text("1")
    (context / "tree/d8/two").hardlink_to(context / "tree/d8/one")
    (context / "tree/d5").chmod(0o1777)
    (context / "tree/d6/f6").chmod(0o4755)
    printed = [output(bench, context, MANY.format(flags=flags), "-t", "out") for flags in ("", "--chmod=u+r")]
    assert printed[0] == printed[1]
    assert printed[0].splitlines()[-3:] == ["../d8", "true", f"{'9' * 9}more"]
