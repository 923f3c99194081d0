"""Headers of tar archives: the short way for ordinary files gives what the long one does."""

from hypothesis import example, given
from hypothesis import strategies as st

from layers.tarheader import build, checksum, plain_directory, plain_file

_IDS = st.integers(0, 1 << 32)
_NAMES = st.binary(min_size=1, max_size=120).map(lambda name: name.replace(b"\0", b"x"))


@given(_NAMES, st.integers(0, 0o7777), _IDS, _IDS, st.integers(0, 1 << 40), st.integers(-5, 1 << 40))
@example(b"a" * 100, 0o7777, 0o7777777, 0o7777777, 0o77777777777, 0o77777777777)
@example(b"\x7f" * 100, 0o7777, 0, 0, 0, 0)
@example(b"a" * 101, 0o644, 0, 0, 1, 1)
@example(b"a", 0o644, 0o10000000, 0, 1, 1)
def test_plain_files(  # noqa: PLR0917 - the fields of a header
    name: bytes, mode: int, uid: int, gid: int, size: int, mtime: int
) -> None:
    short = plain_file(name, mode, uid, gid, size, mtime)
    long = build(name, b"0", mode=mode, uid=uid, gid=gid, size=size, mtime=mtime)
    if short is None:
        assert len(long) > 512 or len(name) > 100, "it needs a PAX header, or the prefix"
    else:
        assert short == long
        assert int(short[148:154], 8) == checksum(short)


@given(_NAMES, st.integers(0, 0o7777), _IDS, _IDS, st.integers(-5, 1 << 40))
@example(b"a" * 99, 0o7777, 0o7777777, 0o7777777, 0o77777777777)
@example(b"a" * 100, 0o755, 0, 0, 1)
def test_plain_directories(name: bytes, mode: int, uid: int, gid: int, mtime: int) -> None:
    short = plain_directory(name + b"/", mode, uid, gid, mtime)
    long = build(name + b"/", b"5", mode=mode, uid=uid, gid=gid, mtime=mtime)
    if short is None:
        assert len(long) > 512 or len(name) > 99, "it needs a PAX header, or the prefix"
    else:
        assert short == long
        assert int(short[148:154], 8) == checksum(short)
