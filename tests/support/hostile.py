"""Hostile archives, named for their attack. Each must be refused with a clear error or unpacked to the right result."""

from collections.abc import Callable, Mapping

from layers.tarread import Limits
from tests.support.attack import Attack
from tests.support.rawtar import (
    directory,
    file,
    gnu_long,
    gnu_sparse,
    hardlink,
    header,
    pad,
    pax,
    record,
    symlink,
)
from tests.support.trees import directory as below_directory
from tests.support.trees import file as below_file
from tests.support.trees import link as below_link

EVIL = b"evil"
WRITTEN = "file 644 0:0 evil"
ROOT_OWNED = "dir 755 0:0"


def _bytes(archive: bytes) -> Callable[[bytes], bytes]:
    return lambda _: archive


def _tree(tree: Mapping[bytes, str]) -> Callable[[bytes], Mapping[bytes, str]]:
    return lambda _: tree


def _inside(outside: bytes, name: bytes = b"secret") -> bytes:
    """Where a path that means to leave ends: at the same place below the root."""
    return outside.lstrip(b"/") + b"/" + name


_NAMES = (
    Attack("dotdot", _bytes(file(b"../../outside/secret", EVIL)), "leads out of"),
    Attack("dotdot-in-the-middle", _bytes(file(b"a/../../../outside/secret", EVIL)), "leads out of"),
    Attack("dotdot-that-stays-inside", _bytes(directory(b"a") + file(b"a/../b", EVIL)), "leads out of"),
    Attack("dotdot-directory", _bytes(directory(b"..", 0o777)), "leads out of"),
    Attack("dotdot-in-gnu-long-name", _bytes(gnu_long(b"../../outside/secret") + file(b"x", EVIL)), "leads out of"),
    Attack("dotdot-in-pax-path", _bytes(pax((b"path", b"../../outside/secret")) + file(b"x", EVIL)), "leads out of"),
    Attack("dotdot-in-ustar-prefix", _bytes(header(b"secret", prefix=b"../../outside")), "leads out of"),
    Attack(
        "absolute",
        lambda outside: gnu_long(outside + b"/secret") + file(b"x", EVIL),
        tree=lambda outside: {_inside(outside): WRITTEN},
    ),
    Attack(
        "absolute-with-many-slashes",
        lambda outside: gnu_long(b"//./" + outside + b"//secret") + file(b"x", EVIL),
        tree=lambda outside: {_inside(outside): WRITTEN},
    ),
    Attack("root-replaced-by-file", _bytes(file(b"./", EVIL)), "in place of the root"),
    Attack("root-replaced-by-link", lambda outside: symlink(b".", outside), "in place of the root"),
    Attack("root-made-writable", _bytes(header(b"./", b"5", mode=0o777)), tree=_tree({})),
    Attack("path-of-4999-bytes", _bytes(gnu_long(b"/".join([b"n" * 49] * 100)) + file(b"x")), "4999 bytes long"),
    Attack("name-of-300-bytes", _bytes(gnu_long(b"n" * 300) + file(b"x")), "too long"),
    Attack("300-directories-deep", _bytes(gnu_long(b"/".join([b"d"] * 300)) + file(b"x")), "more than 256 directories"),
    Attack("zero-byte-in-pax-path", _bytes(pax((b"path", b"a\0b")) + file(b"x")), "zero byte in a name"),
    Attack(
        "zero-byte-in-sparse-name",
        _bytes(pax((b"GNU.sparse.name", b"a\0b"), (b"GNU.sparse.realsize", b"1")) + file(b"x")),
        "zero byte in a name",
    ),
    Attack("name-is-empty", _bytes(file(b"", EVIL)), "in place of the root"),
    Attack(
        "newline-escape-and-no-utf8-in-names",
        _bytes(file(b"a\nb", EVIL) + file(b"\x1b[2J", EVIL) + file(b"\xff\xfe", EVIL)),
        tree=_tree({b"a\nb": WRITTEN, b"\x1b[2J": WRITTEN, b"\xff\xfe": WRITTEN}),
    ),
)

_LINKS = (
    Attack(
        "file-below-absolute-link",
        lambda outside: symlink(b"l", outside) + file(b"l/secret", EVIL),
        tree=lambda outside: {b"l": f"link {outside.decode()}", _inside(outside): WRITTEN},
    ),
    Attack(
        "file-below-dotdot-link",
        _bytes(symlink(b"l", b"../../../../outside") + file(b"l/secret", EVIL)),
        tree=_tree({b"l": "link ../../../../outside", b"outside/secret": WRITTEN}),
    ),
    Attack(
        "file-below-link-to-a-link",
        _bytes(symlink(b"a", b"..") + symlink(b"b", b"a/../outside/./") + file(b"b/secret", EVIL)),
        tree=_tree({b"a": "link ..", b"b": "link a/../outside", b"outside/secret": WRITTEN}),
    ),
    Attack(
        "file-over-link",
        lambda outside: symlink(b"l", outside + b"/secret") + file(b"l", EVIL),
        tree=_tree({b"l": WRITTEN}),
    ),
    Attack(
        "directory-over-link",
        lambda outside: symlink(b"l", outside) + directory(b"l", 0o777) + file(b"l/secret", EVIL),
        tree=_tree({b"l": "dir 777 0:0 user.overlay.opaque=b'y'", b"l/secret": WRITTEN}),
    ),
    Attack(
        "parent-replaced-by-link",
        lambda outside: directory(b"d") + file(b"d/a", EVIL) + symlink(b"d", outside) + file(b"d/secret", EVIL),
        tree=lambda outside: {b"d": f"link {outside.decode()}", _inside(outside): WRITTEN},
    ),
    Attack(
        "open-parent-replaced-by-link",
        lambda outside: (
            file(b"d/e/a", EVIL) + file(b"d/e/b", EVIL) + symlink(b"d/e", outside) + file(b"d/e/secret", EVIL)
        ),
        tree=lambda outside: {b"d/e": f"link {outside.decode()}", _inside(outside): WRITTEN},
    ),
    Attack(
        "links-in-a-circle", _bytes(symlink(b"a", b"b") + symlink(b"b", b"a") + file(b"a/x", EVIL)), "loop of links"
    ),
    Attack("link-to-itself-as-parent", _bytes(symlink(b"a", b"a") + file(b"a/x", EVIL)), "loop of links"),
    Attack(
        "link-with-the-outside's-mode-owner-and-time",
        lambda outside: symlink(b"l", outside + b"/secret", mode=0o4777, uid=1234, gid=1234, mtime=1),
        tree=lambda outside: {b"l": f"link {outside.decode()}/secret"},
    ),
    Attack(
        "link-with-attributes-for-the-outside",
        lambda outside: pax((b"SCHILY.xattr.trusted.evil", b"1")) + symlink(b"l", outside + b"/secret"),
        tree=lambda outside: {b"l": f"link {outside.decode()}/secret trusted.evil=b'1'"},
    ),
    Attack("link-without-text", _bytes(symlink(b"l", b"")), "No such file"),
    Attack("link-of-5000-bytes", _bytes(gnu_long(b"t" * 5000, b"K") + symlink(b"l", b"x")), "too long"),
)

_HARD_LINKS = (
    Attack("hard-link-dotdot", _bytes(hardlink(b"h", b"../../outside/secret")), "leads out of"),
    Attack(
        "hard-link-dotdot-in-pax-linkpath",
        _bytes(pax((b"linkpath", b"../../outside/secret")) + hardlink(b"h", b"x")),
        "leads out of",
    ),
    Attack(
        "hard-link-absolute",
        lambda outside: gnu_long(outside + b"/secret", b"K") + hardlink(b"h", b"x"),
        "not in the archive",
    ),
    Attack(
        "hard-link-through-link",
        lambda outside: symlink(b"d", outside) + hardlink(b"h", b"d/secret"),
        "not in the archive",
    ),
    Attack(
        "hard-link-to-link",
        lambda outside: symlink(b"l", outside + b"/secret") + hardlink(b"h", b"l", mode=0o777, uid=1234),
        tree=lambda outside: {b"l": f"link {outside.decode()}/secret", b"h": f"link {outside.decode()}/secret"},
    ),
    Attack(
        "hard-link-to-link-then-file",
        lambda outside: symlink(b"l", outside + b"/secret") + hardlink(b"h", b"l") + file(b"h", EVIL),
        tree=lambda outside: {b"l": f"link {outside.decode()}/secret", b"h": WRITTEN},
    ),
    Attack("hard-link-to-itself", _bytes(hardlink(b"h", b"h")), "not in the archive"),
    Attack("hard-link-over-itself", _bytes(file(b"h", EVIL) + hardlink(b"h", b"h")), tree=_tree({b"h": WRITTEN})),
    Attack("hard-link-to-directory", _bytes(directory(b"d") + hardlink(b"h", b"d")), "which is no file"),
    Attack("hard-link-to-the-root", _bytes(hardlink(b"h", b"/")), "not a name inside"),
    Attack(
        "hard-link-to-deletion-mark",
        _bytes(file(b".wh.a") + hardlink(b"h", b"a")),
        "which is no file",
        below={"a": b"old"},
    ),
    Attack(
        "hard-link-to-deleted-file",
        _bytes(file(b"d/.wh..wh..opq") + hardlink(b"h", b"d/a")),
        "not in the archive",
        below={"d/a": b"old"},
    ),
    Attack(
        "hard-link-into-what-it-replaces",
        _bytes(file(b"d/a", EVIL) + hardlink(b"d", b"d/a")),
        "No such file",
    ),
    Attack(
        "hard-link-to-lower-layer",
        _bytes(hardlink(b"h", b"d/a", mode=0o640)),
        tree=_tree(
            {b"h": "file 640 0:0 x2 old", b"d/a": "file 640 0:0 x2 old", b"d": "dir 1777 0:0"},
        ),
        below={"d": below_directory(mode=0o1777), "d/a": b"old"},
    ),
)

_KINDS = (
    Attack("device-0-0", _bytes(header(b"etc", b"3")), "device 0:0", below={"etc/passwd": b"root"}),
    Attack("block-device-0-0", _bytes(header(b"etc", b"4")), "device 0:0"),
    Attack("device-beyond-linux", _bytes(header(b"d", b"3", device=(0o7777777, 1))), "which Linux cannot have"),
    Attack("device-as-parent", _bytes(header(b"d", b"3", device=(1, 3)) + file(b"d/x")), "is no directory"),
    Attack("file-as-parent", _bytes(file(b"a", EVIL) + file(b"a/b", EVIL)), "is no directory"),
    Attack("fifo-as-parent", _bytes(header(b"p", b"6") + file(b"p/b", EVIL)), "is no directory"),
    Attack("unknown-type", _bytes(header(b"a", b"Z")), "type b'Z'"),
    Attack("continued-from-another-volume", _bytes(header(b"a", b"M")), "type b'M'"),
    Attack(
        "overlay-attributes",
        _bytes(
            pax((b"SCHILY.xattr.trusted.overlay.redirect", b"/etc"), (b"SCHILY.xattr.user.overlay.opaque", b"y"))
            + directory(b"d", 0o700)
            + pax((b"SCHILY.xattr.user.overlay.metacopy", b""), (b"SCHILY.xattr.user.kept", b"1"))
            + file(b"f", EVIL)
        ),
        tree=_tree({b"d": "dir 700 0:0", b"f": WRITTEN + " user.kept=b'1'"}),
    ),
    Attack(
        "overlay-attributes-on-link",
        _bytes(pax((b"SCHILY.xattr.trusted.overlay.whiteout", b"y")) + symlink(b"l", b"x")),
        tree=_tree({b"l": "link x"}),
    ),
    Attack("capability-malformed", _bytes(pax((b"SCHILY.xattr.security.capability", b"?")) + file(b"f")), "attribute"),
    Attack("attribute-of-100-KiB", _bytes(pax((b"SCHILY.xattr.user.a", bytes(100 << 10))) + file(b"f")), "attribute"),
    Attack("attribute-name-with-zero-byte", _bytes(pax((b"SCHILY.xattr.user.a\0b", b"")) + file(b"f")), "attribute"),
    Attack("owner-minus-one", _bytes(pax((b"uid", b"4294967295")) + file(b"f")), "no user or group"),
    Attack("owner-negative", _bytes(header(b"f", uid=b"\xff" * 8)), "no user or group"),
    Attack("group-beyond-32-bits", _bytes(pax((b"gid", b"99999999999")) + file(b"f")), "no user or group"),
    Attack("time-beyond-time", _bytes(pax((b"mtime", b"9" * 20)) + file(b"f")), "no file system can hold"),
    Attack("time-before-time", _bytes(header(b"f", mtime=b"\x80" + b"\xff" * 11)), "no file system can hold"),
    Attack("time-that-is-none", _bytes(pax((b"mtime", b"nan")) + file(b"f")), "as mtime"),
    Attack(
        "setuid-kept-after-change-of-owner",
        _bytes(file(b"f", EVIL, mode=0o104755, uid=7, gid=8)),
        tree=_tree({b"f": "file 4755 7:8 evil"}),
    ),
)

_MARKS = (
    Attack("deletion-of-dotdot", _bytes(directory(b"d") + file(b"d/.wh...")), "marks no file"),
    Attack("deletion-of-dot", _bytes(directory(b"d") + file(b"d/.wh..")), "marks no file"),
    Attack("deletion-of-nothing", _bytes(file(b".wh.")), "marks no file"),
    Attack("file-below-deletion-mark", _bytes(file(b".wh.d/x", EVIL)), "below the mark of a deleted file"),
    Attack(
        "deletion-through-link",
        lambda outside: symlink(b"l", outside) + file(b"l/.wh.secret"),
        tree=lambda outside: {b"l": f"link {outside.decode()}", _inside(outside): "whiteout"},
    ),
    Attack(
        "opaque-mark-through-link",
        lambda outside: symlink(b"l", outside) + file(b"l/.wh..wh..opq"),
        tree=lambda outside: {
            b"l": f"link {outside.decode()}",
            outside.lstrip(b"/"): "dir 755 0:0 user.overlay.opaque=b'y'",
        },
    ),
    Attack(
        "deletion-mark-with-content",
        _bytes(header(b".wh.a", size=4) + pad(EVIL) + file(b"b", EVIL)),
        tree=_tree({b"a": "whiteout", b"b": WRITTEN}),
    ),
    Attack("aufs-leftovers", _bytes(directory(b".wh..wh.plnk") + file(b".wh..wh.plnk/1.2", EVIL)), tree=_tree({})),
    Attack(
        "directory-deleted-then-made",
        _bytes(file(b".wh.d") + directory(b"d", 0o700) + file(b"d/new", EVIL)),
        tree=_tree({b"d": "dir 700 0:0 user.overlay.opaque=b'y'", b"d/new": WRITTEN}),
        below={"d/old": b"old"},
    ),
    Attack(
        "directory-made-then-deleted-below",
        _bytes(directory(b"d", 0o700) + file(b"d/new", EVIL) + file(b".wh.d")),
        tree=_tree({b"d": "dir 700 0:0 user.overlay.opaque=b'y'", b"d/new": WRITTEN}),
        below={"d/old": b"old"},
    ),
    Attack(
        "parent-implied-after-its-deletion",
        _bytes(file(b".wh.d") + file(b"d/new", EVIL)),
        tree=_tree({b"d": "dir 755 0:0 user.overlay.opaque=b'y'", b"d/new": WRITTEN}),
        below={"d": below_directory(mode=0o1777), "d/old": b"old"},
    ),
    Attack(
        "file-replaces-directory-replaces-file",
        _bytes(file(b"d/a", EVIL) + file(b"d", EVIL) + directory(b"d", 0o700)),
        tree=_tree({b"d": "dir 700 0:0 user.overlay.opaque=b'y'"}),
        below={"d/old": b"old"},
    ),
    Attack(
        "root-opaque",
        _bytes(file(b"a/new", EVIL) + file(b".wh..wh..opq")),
        tree=_tree({b"a": "dir 755 0:0 user.overlay.opaque=b'y'", b"a/new": WRITTEN, b"b": "whiteout"}),
        below={"a/old": b"old", "b": b"old"},
    ),
)

_PARENTS = (
    Attack("implicit-parents", _bytes(file(b"a/b/c", EVIL)), tree=_tree({b"a/b/c": WRITTEN})),
    Attack(
        "implicit-parents-known-below",
        _bytes(file(b"tmp/x/f", EVIL)),
        tree=_tree({b"tmp": "dir 1777 3:4", b"tmp/x/f": WRITTEN}),
        below={"tmp": below_directory(mode=0o1777, uid=3, gid=4)},
    ),
    Attack(
        "parent-is-a-link-below",
        _bytes(file(b"lib/f", EVIL)),
        tree=_tree({b"usr": "dir 711 0:0", b"usr/lib/f": WRITTEN}),
        below={"usr": below_directory(mode=0o711), "usr/lib/old": b"old", "lib": below_link("usr/lib")},
    ),
    Attack(
        "parent-is-a-dotdot-link-below",
        _bytes(file(b"l/secret", EVIL)),
        tree=_tree({b"outside/secret": WRITTEN}),
        below={"l": below_link("../../../outside")},
    ),
    Attack(
        "parent-is-a-circle-of-links-below",
        _bytes(file(b"l/secret", EVIL)),
        "loop of links",
        below={"l": below_link("m"), "m": below_link("/l")},
    ),
    Attack("parent-is-a-file-below", _bytes(file(b"a/b", EVIL)), "in a layer below", below={"a": below_file(b"old")}),
    Attack(
        "parent-after-its-children",
        _bytes(file(b"d/a", EVIL) + directory(b"d", 0o750, uid=5)),
        tree=_tree({b"d": "dir 750 5:0", b"d/a": WRITTEN}),
        below={"d": below_directory(mode=0o1777)},
    ),
    Attack(
        "same-name-twice",
        _bytes(file(b"f", b"first") + hardlink(b"h", b"f") + file(b"f", EVIL)),
        tree=_tree({b"f": WRITTEN, b"h": "file 644 0:0 first"}),
    ),
    Attack(
        "file-replaces-deep-directory",
        _bytes(gnu_long(b"d/" * 200 + b"f") + file(b"x") + symlink(b"d/d/l", b"/") + file(b"d", EVIL)),
        tree=_tree({b"d": WRITTEN}),
    ),
)

_HUGE = b"9" * 15
_SIZES = (
    Attack("pax-size-of-a-petabyte", _bytes(pax((b"size", _HUGE)) + file(b"f", EVIL)), "would take more than"),
    Attack("pax-size-beyond-the-end", _bytes(pax((b"size", b"99999")) + file(b"f", EVIL)), "truncated"),
    Attack("pax-size-negative", _bytes(pax((b"size", b"-1")) + file(b"f", EVIL)), "as size"),
    Attack("pax-size-in-words", _bytes(pax((b"size", b"0x10")) + file(b"f", EVIL)), "as size"),
    Attack(
        "pax-size-hides-a-member",
        _bytes(pax((b"size", b"512")) + header(b"f") + pad(header(b"hidden"))),
        tree=_tree({b"f": "file 644 0:0 " + header(b"hidden").decode()}),
    ),
    Attack(
        "size-on-a-directory-hides-nothing",
        _bytes(header(b"d/", b"5", size=512) + file(b"f", EVIL)),
        tree=_tree({b"d": "dir 644 0:0", b"f": WRITTEN}),
    ),
    Attack(
        "size-on-a-hard-link-hides-nothing",
        _bytes(file(b"f", EVIL) + pax((b"size", b"512")) + hardlink(b"h", b"f") + file(b"g", EVIL)),
        tree=_tree({b"f": "file 644 0:0 x2 evil", b"h": "file 644 0:0 x2 evil", b"g": WRITTEN}),
    ),
    Attack("size-negative", _bytes(header(b"f", size=b"\xff" * 12)), "negative size"),
    Attack("size-in-words", _bytes(header(b"f", size=b"0o7_7_7_7_7\0")), "where a number should be"),
    Attack("size-of-8-exbibytes", _bytes(header(b"f", size=b"\x80" + b"\0" * 3 + b"\x7f" * 8)), "more than"),
    Attack(
        "sizes-beyond-the-limit-together",
        _bytes(file(b"a", EVIL) + file(b"b", EVIL)),
        "more than 6",
        limits=Limits(9, 6),
    ),
    Attack("pax-record-longer-than-its-header", _bytes(pax(body=b"99 path=x\n") + file(b"f")), "length is wrong"),
    Attack("pax-record-shorter-than-itself", _bytes(pax(body=b"3 path=x\n") + file(b"f")), "length is wrong"),
    Attack(
        "pax-record-of-length-zero",
        _bytes(pax(body=record(b"a", b"b") + b"0 path=x\n") + file(b"f")),
        "length is wrong",
    ),
    Attack("pax-record-of-endless-length", _bytes(pax(body=b"9" * 5000) + file(b"f")), "not made of records"),
    Attack("pax-record-without-newline", _bytes(pax(body=b"9 path=xx") + file(b"f")), "length is wrong"),
    Attack("pax-header-of-8-gib", _bytes(header(b"x", b"x", size=0o77777777777)), "header of 8589934591 bytes"),
    Attack("long-name-of-8-gib", _bytes(header(b"x", b"L", size=0o77777777777)), "header of 8589934591 bytes"),
    Attack("headers-that-only-describe", _bytes(gnu_long(b"x") * 30), "more than 20 headers", limits=Limits(20)),
    Attack(
        "more-entries-than-allowed",
        _bytes(b"".join(file(b"%d" % n) for n in range(30))),
        "more than 20",
        limits=Limits(20),
    ),
    Attack(
        "global-path",
        _bytes(pax((b"path", b"everything"), typeflag=b"g") + file(b"f", EVIL)),
        tree=_tree({b"f": WRITTEN}),
    ),
)

_SPARSE = (
    Attack("sparse-size-of-8-exbibytes", _bytes(gnu_sparse(b"f", 1 << 62, [], b"")), "more than"),
    Attack("sparse-pieces-overlap", _bytes(gnu_sparse(b"f", 100, [(0, 4), (2, 4)], bytes(8))), "overlap"),
    Attack("sparse-piece-outside", _bytes(gnu_sparse(b"f", 3, [(0, 4)], EVIL)), "overlap or lie outside"),
    Attack("sparse-pieces-without-data", _bytes(gnu_sparse(b"f", 100, [(0, 90)], EVIL)), "4 bytes for pieces of 90"),
    Attack("sparse-data-without-pieces", _bytes(gnu_sparse(b"f", 100, [(0, 1)], EVIL)), "4 bytes for pieces of 1"),
    Attack(
        "sparse-map-without-end",
        _bytes(
            pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"9"))
            + file(b"f", b"1" * 2000)
        ),
        "map does not end",
    ),
    Attack(
        "sparse-map-longer-than-content",
        _bytes(
            pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"9"))
            + file(b"f", b"300\n")
            + file(b"g", b"1\n" * 600)
        ),
        "sparse file",
    ),
    Attack(
        "sparse-half-a-piece",
        _bytes(pax((b"GNU.sparse.size", b"9"), (b"GNU.sparse.map", b"1,2,3")) + file(b"f", EVIL)),
        "half a piece",
    ),
    Attack(
        "sparse-number-in-words",
        _bytes(pax((b"GNU.sparse.size", b"9"), (b"GNU.sparse.map", b"1,-2")) + file(b"f", EVIL)),
        "where a number should be",
    ),
    Attack("sparse-without-size", _bytes(pax((b"GNU.sparse.map", b"1,2")) + file(b"f", EVIL)), "without a size"),
)

_FRAMES = (
    Attack("wrong-checksum", _bytes(header(b"f", checksum=b"000000\0 ")), "wrong checksum"),
    Attack("not-a-tar", _bytes(b"PK\x03\x04" + bytes(range(256)) * 4), "wrong checksum"),
    Attack("ends-inside-a-header", _bytes(file(b"f", EVIL) + header(b"g")[:100]), "truncated", end=b""),
    Attack("ends-inside-a-file", _bytes(file(b"f", EVIL * 9000)[:9000]), "truncated", end=b""),
    Attack("empty-block-in-the-middle", _bytes(bytes(512) + file(b"f", EVIL)), "empty block"),
    Attack(
        "second-archive-behind-the-first",
        _bytes(file(b"f", EVIL) + bytes(1024) + file(b"hidden", EVIL)),
        tree=_tree({b"f": WRITTEN}),
    ),
    Attack("goes-on-behind-its-end", _bytes(bytes(2048)), "goes on after its end", limits=Limits(9, 1000)),
    Attack("nothing-at-all", _bytes(b""), tree=_tree({}), end=b""),
    Attack("pax-header-with-a-lie-about-itself", _bytes(pax(body=record(b"", b"x")) + file(b"f")), "length is wrong"),
)

ATTACKS: tuple[Attack, ...] = (
    *_NAMES,
    *_LINKS,
    *_HARD_LINKS,
    *_KINDS,
    *_MARKS,
    *_PARENTS,
    *_SIZES,
    *_SPARSE,
    *_FRAMES,
)
