"""Hostile archives that lie about sizes, counts and their own frame. See ``hostile``, which lists them all."""

from layers.tarread import Limits
from tests.support.attack import EVIL, WRITTEN, Attack, archive_of, tree_of
from tests.support.rawtar import file, gnu_long, gnu_sparse, hardlink, header, pad, pax, record

_HUGE = b"9" * 15
SIZES = (
    Attack("pax-size-of-a-petabyte", archive_of(pax((b"size", _HUGE)) + file(b"f", EVIL)), "would take more than"),
    Attack("pax-size-beyond-the-end", archive_of(pax((b"size", b"99999")) + file(b"f", EVIL)), "truncated"),
    Attack("pax-size-negative", archive_of(pax((b"size", b"-1")) + file(b"f", EVIL)), "as size"),
    Attack("pax-size-in-words", archive_of(pax((b"size", b"0x10")) + file(b"f", EVIL)), "as size"),
    Attack(
        "pax-size-hides-a-member",
        archive_of(pax((b"size", b"512")) + header(b"f") + pad(header(b"hidden"))),
        tree=tree_of({b"f": "file 644 0:0 " + header(b"hidden").decode()}),
    ),
    Attack(
        "size-on-a-directory-hides-nothing",
        archive_of(header(b"d/", b"5", size=512) + file(b"f", EVIL)),
        tree=tree_of({b"d": "dir 644 0:0", b"f": WRITTEN}),
    ),
    Attack(
        "size-on-a-hard-link-hides-nothing",
        archive_of(file(b"f", EVIL) + pax((b"size", b"512")) + hardlink(b"h", b"f") + file(b"g", EVIL)),
        tree=tree_of({b"f": "file 644 0:0 x2 evil", b"h": "file 644 0:0 x2 evil", b"g": WRITTEN}),
    ),
    Attack("size-negative", archive_of(header(b"f", size=b"\xff" * 12)), "negative size"),
    Attack("size-in-words", archive_of(header(b"f", size=b"0o7_7_7_7_7\0")), "where a number should be"),
    Attack("size-of-8-exbibytes", archive_of(header(b"f", size=b"\x80" + b"\0" * 3 + b"\x7f" * 8)), "more than"),
    Attack(
        "sizes-beyond-the-limit-together",
        archive_of(file(b"a", EVIL) + file(b"b", EVIL)),
        "more than 6",
        limits=Limits(9, 6),
    ),
    Attack("pax-record-longer-than-its-header", archive_of(pax(body=b"99 path=x\n") + file(b"f")), "length is wrong"),
    Attack("pax-record-shorter-than-itself", archive_of(pax(body=b"3 path=x\n") + file(b"f")), "length is wrong"),
    Attack(
        "pax-record-of-length-zero",
        archive_of(pax(body=record(b"a", b"b") + b"0 path=x\n") + file(b"f")),
        "length is wrong",
    ),
    Attack("pax-record-of-endless-length", archive_of(pax(body=b"9" * 5000) + file(b"f")), "not made of records"),
    Attack("pax-record-without-newline", archive_of(pax(body=b"9 path=xx") + file(b"f")), "length is wrong"),
    Attack("pax-header-of-8-gib", archive_of(header(b"x", b"x", size=0o77777777777)), "header of 8589934591 bytes"),
    Attack("long-name-of-8-gib", archive_of(header(b"x", b"L", size=0o77777777777)), "header of 8589934591 bytes"),
    Attack("headers-that-only-describe", archive_of(gnu_long(b"x") * 30), "more than 20 headers", limits=Limits(20)),
    Attack(
        "more-entries-than-allowed",
        archive_of(b"".join(file(b"%d" % n) for n in range(30))),
        "more than 20",
        limits=Limits(20),
    ),
    Attack(
        "global-path",
        archive_of(pax((b"path", b"everything"), typeflag=b"g") + file(b"f", EVIL)),
        tree=tree_of({b"f": WRITTEN}),
    ),
)

SPARSE = (
    Attack("sparse-size-of-8-exbibytes", archive_of(gnu_sparse(b"f", 1 << 62, [], b"")), "more than"),
    Attack("sparse-pieces-overlap", archive_of(gnu_sparse(b"f", 100, [(0, 4), (2, 4)], bytes(8))), "overlap"),
    Attack("sparse-piece-outside", archive_of(gnu_sparse(b"f", 3, [(0, 4)], EVIL)), "overlap or lie outside"),
    Attack(
        "sparse-pieces-without-data", archive_of(gnu_sparse(b"f", 100, [(0, 90)], EVIL)), "4 bytes for pieces of 90"
    ),
    Attack("sparse-data-without-pieces", archive_of(gnu_sparse(b"f", 100, [(0, 1)], EVIL)), "4 bytes for pieces of 1"),
    Attack(
        "sparse-map-without-end",
        archive_of(
            pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"9"))
            + file(b"f", b"1" * 2000)
        ),
        "map does not end",
    ),
    Attack(
        "sparse-map-longer-than-content",
        archive_of(
            pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"9"))
            + file(b"f", b"300\n")
            + file(b"g", b"1\n" * 600)
        ),
        "sparse file",
    ),
    Attack(
        "sparse-half-a-piece",
        archive_of(pax((b"GNU.sparse.size", b"9"), (b"GNU.sparse.map", b"1,2,3")) + file(b"f", EVIL)),
        "half a piece",
    ),
    Attack(
        "sparse-number-in-words",
        archive_of(pax((b"GNU.sparse.size", b"9"), (b"GNU.sparse.map", b"1,-2")) + file(b"f", EVIL)),
        "where a number should be",
    ),
    Attack("sparse-without-size", archive_of(pax((b"GNU.sparse.map", b"1,2")) + file(b"f", EVIL)), "without a size"),
)

FRAMES = (
    Attack("wrong-checksum", archive_of(header(b"f", checksum=b"000000\0 ")), "wrong checksum"),
    Attack("not-a-tar", archive_of(b"PK\x03\x04" + bytes(range(256)) * 4), "wrong checksum"),
    Attack("ends-inside-a-header", archive_of(file(b"f", EVIL) + header(b"g")[:100]), "truncated", end=b""),
    Attack("ends-inside-a-file", archive_of(file(b"f", EVIL * 9000)[:9000]), "truncated", end=b""),
    Attack("empty-block-in-the-middle", archive_of(bytes(512) + file(b"f", EVIL)), "empty block"),
    Attack(
        "second-archive-behind-the-first",
        archive_of(file(b"f", EVIL) + bytes(1024) + file(b"hidden", EVIL)),
        tree=tree_of({b"f": WRITTEN}),
    ),
    Attack("goes-on-behind-its-end", archive_of(bytes(2048)), "goes on after its end", limits=Limits(9, 1000)),
    Attack("nothing-at-all", archive_of(b""), tree=tree_of({}), end=b""),
    Attack(
        "pax-header-with-a-lie-about-itself", archive_of(pax(body=record(b"", b"x")) + file(b"f")), "length is wrong"
    ),
)
