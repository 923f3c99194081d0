"""Hostile archives, named for their attack. Each must be refused with a clear error or unpacked to the right result."""

from tests.support.attack import EVIL, WRITTEN, Attack, archive_of, tree_of
from tests.support.hostile_sizes import FRAMES, SIZES, SPARSE
from tests.support.rawtar import (
    directory,
    file,
    gnu_long,
    hardlink,
    header,
    pad,
    pax,
    symlink,
)
from tests.support.trees import directory as below_directory
from tests.support.trees import file as below_file
from tests.support.trees import link as below_link


def _inside(outside: bytes, name: bytes = b"secret") -> bytes:
    """Where a path that means to leave ends: at the same place below the root."""
    return outside.lstrip(b"/") + b"/" + name


_NAMES = (
    Attack("dotdot", archive_of(file(b"../../outside/secret", EVIL)), "leads out of"),
    Attack("dotdot-in-the-middle", archive_of(file(b"a/../../../outside/secret", EVIL)), "leads out of"),
    Attack("dotdot-that-stays-inside", archive_of(directory(b"a") + file(b"a/../b", EVIL)), "leads out of"),
    Attack("dotdot-directory", archive_of(directory(b"..", 0o777)), "leads out of"),
    Attack("dotdot-in-gnu-long-name", archive_of(gnu_long(b"../../outside/secret") + file(b"x", EVIL)), "leads out of"),
    Attack(
        "dotdot-in-pax-path", archive_of(pax((b"path", b"../../outside/secret")) + file(b"x", EVIL)), "leads out of"
    ),
    Attack("dotdot-in-ustar-prefix", archive_of(header(b"secret", prefix=b"../../outside")), "leads out of"),
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
    Attack("root-replaced-by-file", archive_of(file(b"./", EVIL)), tree=tree_of({})),
    Attack("root-replaced-by-link", lambda outside: symlink(b".", outside), tree=tree_of({})),
    Attack("root-made-writable", archive_of(header(b"./", b"5", mode=0o777)), tree=tree_of({})),
    Attack("path-of-4999-bytes", archive_of(gnu_long(b"/".join([b"n" * 49] * 100)) + file(b"x")), "4999 bytes long"),
    Attack("name-of-300-bytes", archive_of(gnu_long(b"n" * 300) + file(b"x")), "too long"),
    Attack(
        "300-directories-deep", archive_of(gnu_long(b"/".join([b"d"] * 300)) + file(b"x")), "more than 256 directories"
    ),
    Attack("zero-byte-in-pax-path", archive_of(pax((b"path", b"a\0b")) + file(b"x")), "zero byte in a name"),
    Attack(
        "zero-byte-in-sparse-name",
        archive_of(pax((b"GNU.sparse.name", b"a\0b"), (b"GNU.sparse.realsize", b"1")) + file(b"x")),
        "zero byte in a name",
    ),
    Attack("name-is-empty", archive_of(file(b"", EVIL) + file(b"x", EVIL)), tree=tree_of({b"x": WRITTEN})),
    Attack(
        "newline-escape-and-no-utf8-in-names",
        archive_of(file(b"a\nb", EVIL) + file(b"\x1b[2J", EVIL) + file(b"\xff\xfe", EVIL)),
        tree=tree_of({b"a\nb": WRITTEN, b"\x1b[2J": WRITTEN, b"\xff\xfe": WRITTEN}),
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
        archive_of(symlink(b"l", b"../../../../outside") + file(b"l/secret", EVIL)),
        tree=tree_of({b"l": "link ../../../../outside", b"outside/secret": WRITTEN}),
    ),
    Attack(
        "file-below-link-to-a-link",
        archive_of(symlink(b"a", b"..") + symlink(b"b", b"a/../outside/./") + file(b"b/secret", EVIL)),
        tree=tree_of({b"a": "link ..", b"b": "link a/../outside", b"outside/secret": WRITTEN}),
    ),
    Attack(
        "file-over-link",
        lambda outside: symlink(b"l", outside + b"/secret") + file(b"l", EVIL),
        tree=tree_of({b"l": WRITTEN}),
    ),
    Attack(
        "directory-over-link",
        lambda outside: symlink(b"l", outside) + directory(b"l", 0o777) + file(b"l/secret", EVIL),
        tree=tree_of({b"l": "dir 777 0:0 user.overlay.opaque=b'y'", b"l/secret": WRITTEN}),
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
        "links-in-a-circle", archive_of(symlink(b"a", b"b") + symlink(b"b", b"a") + file(b"a/x", EVIL)), "loop of links"
    ),
    Attack("link-to-itself-as-parent", archive_of(symlink(b"a", b"a") + file(b"a/x", EVIL)), "loop of links"),
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
    Attack("link-without-text", archive_of(symlink(b"l", b"")), "No such file"),
    Attack("link-of-5000-bytes", archive_of(gnu_long(b"t" * 5000, b"K") + symlink(b"l", b"x")), "too long"),
)

_HARD_LINKS = (
    Attack("hard-link-dotdot", archive_of(hardlink(b"h", b"../../outside/secret")), "leads out of"),
    Attack(
        "hard-link-dotdot-in-pax-linkpath",
        archive_of(pax((b"linkpath", b"../../outside/secret")) + hardlink(b"h", b"x")),
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
    Attack("hard-link-to-itself", archive_of(hardlink(b"h", b"h")), "not in the archive"),
    Attack("hard-link-over-itself", archive_of(file(b"h", EVIL) + hardlink(b"h", b"h")), tree=tree_of({b"h": WRITTEN})),
    Attack("hard-link-to-directory", archive_of(directory(b"d") + hardlink(b"h", b"d")), "which is no file"),
    Attack("hard-link-to-the-root", archive_of(hardlink(b"h", b"/")), "not a name inside"),
    Attack(
        "hard-link-to-deletion-mark",
        archive_of(file(b".wh.a") + hardlink(b"h", b"a")),
        "which is no file",
        below={"a": b"old"},
    ),
    Attack(
        "hard-link-to-deleted-file",
        archive_of(file(b"d/.wh..wh..opq") + hardlink(b"h", b"d/a")),
        "not in the archive",
        below={"d/a": b"old"},
    ),
    Attack(
        "hard-link-into-what-it-replaces",
        archive_of(file(b"d/a", EVIL) + hardlink(b"d", b"d/a")),
        "No such file",
    ),
    Attack(
        "hard-link-to-lower-layer",
        archive_of(hardlink(b"h", b"d/a", mode=0o640)),
        tree=tree_of(
            {b"h": "file 640 0:0 x2 old", b"d/a": "file 640 0:0 x2 old", b"d": "dir 1777 0:0"},
        ),
        below={"d": below_directory(mode=0o1777), "d/a": b"old"},
    ),
)

_KINDS = (
    Attack("device-0-0", archive_of(header(b"etc", b"3")), "device 0:0", below={"etc/passwd": b"root"}),
    Attack("block-device-0-0", archive_of(header(b"etc", b"4")), "device 0:0"),
    Attack("device-beyond-linux", archive_of(header(b"d", b"3", device=(0o7777777, 1))), "which Linux cannot have"),
    Attack("device-as-parent", archive_of(header(b"d", b"3", device=(1, 3)) + file(b"d/x")), "is no directory"),
    Attack("file-as-parent", archive_of(file(b"a", EVIL) + file(b"a/b", EVIL)), "is no directory"),
    Attack("fifo-as-parent", archive_of(header(b"p", b"6") + file(b"p/b", EVIL)), "is no directory"),
    Attack("unknown-type", archive_of(header(b"a", b"Z")), "type b'Z'"),
    Attack("continued-from-another-volume", archive_of(header(b"a", b"M")), "type b'M'"),
    Attack(
        "overlay-attributes",
        archive_of(
            pax((b"SCHILY.xattr.trusted.overlay.redirect", b"/etc"), (b"SCHILY.xattr.user.overlay.opaque", b"y"))
            + directory(b"d", 0o700)
            + pax((b"SCHILY.xattr.user.overlay.metacopy", b""), (b"SCHILY.xattr.user.kept", b"1"))
            + file(b"f", EVIL)
        ),
        tree=tree_of({b"d": "dir 700 0:0", b"f": WRITTEN + " user.kept=b'1'"}),
    ),
    Attack(
        "overlay-attributes-on-link",
        archive_of(pax((b"SCHILY.xattr.trusted.overlay.whiteout", b"y")) + symlink(b"l", b"x")),
        tree=tree_of({b"l": "link x"}),
    ),
    Attack(
        "capability-malformed", archive_of(pax((b"SCHILY.xattr.security.capability", b"?")) + file(b"f")), "attribute"
    ),
    Attack(
        "attribute-of-100-KiB", archive_of(pax((b"SCHILY.xattr.user.a", bytes(100 << 10))) + file(b"f")), "attribute"
    ),
    Attack(
        "attribute-name-with-zero-byte", archive_of(pax((b"SCHILY.xattr.user.a\0b", b"")) + file(b"f")), "attribute"
    ),
    Attack("owner-minus-one", archive_of(pax((b"uid", b"4294967295")) + file(b"f")), "no user or group"),
    Attack("owner-negative", archive_of(header(b"f", uid=b"\xff" * 8)), "no user or group"),
    Attack("group-beyond-32-bits", archive_of(pax((b"gid", b"99999999999")) + file(b"f")), "no user or group"),
    Attack("time-beyond-time", archive_of(pax((b"mtime", b"9" * 20)) + file(b"f")), "no file system can hold"),
    Attack("time-before-time", archive_of(header(b"f", mtime=b"\x80" + b"\xff" * 11)), "no file system can hold"),
    Attack("time-that-is-none", archive_of(pax((b"mtime", b"nan")) + file(b"f")), "as mtime"),
    Attack(
        "setuid-kept-after-change-of-owner",
        archive_of(file(b"f", EVIL, mode=0o104755, uid=7, gid=8)),
        tree=tree_of({b"f": "file 4755 7:8 evil"}),
    ),
)

_MARKS = (
    Attack("deletion-of-dotdot", archive_of(directory(b"d") + file(b"d/.wh...")), "marks no file"),
    Attack("deletion-of-dot", archive_of(directory(b"d") + file(b"d/.wh..")), "marks no file"),
    Attack("deletion-of-nothing", archive_of(file(b".wh.")), "marks no file"),
    Attack("file-below-deletion-mark", archive_of(file(b".wh.d/x", EVIL)), "below the mark of a deleted file"),
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
        archive_of(header(b".wh.a", size=4) + pad(EVIL) + file(b"b", EVIL)),
        tree=tree_of({b"a": "whiteout", b"b": WRITTEN}),
    ),
    Attack(
        "aufs-leftovers", archive_of(directory(b".wh..wh.plnk") + file(b".wh..wh.plnk/1.2", EVIL)), tree=tree_of({})
    ),
    Attack(
        "directory-deleted-then-made",
        archive_of(file(b".wh.d") + directory(b"d", 0o700) + file(b"d/new", EVIL)),
        tree=tree_of({b"d": "dir 700 0:0 user.overlay.opaque=b'y'", b"d/new": WRITTEN}),
        below={"d/old": b"old"},
    ),
    Attack(
        "directory-made-then-deleted-below",
        archive_of(directory(b"d", 0o700) + file(b"d/new", EVIL) + file(b".wh.d")),
        tree=tree_of({b"d": "dir 700 0:0 user.overlay.opaque=b'y'", b"d/new": WRITTEN}),
        below={"d/old": b"old"},
    ),
    Attack(
        "parent-implied-after-its-deletion",
        archive_of(file(b".wh.d") + file(b"d/new", EVIL)),
        tree=tree_of({b"d": "dir 755 0:0 user.overlay.opaque=b'y'", b"d/new": WRITTEN}),
        below={"d": below_directory(mode=0o1777), "d/old": b"old"},
    ),
    Attack(
        "file-replaces-directory-replaces-file",
        archive_of(file(b"d/a", EVIL) + file(b"d", EVIL) + directory(b"d", 0o700)),
        tree=tree_of({b"d": "dir 700 0:0 user.overlay.opaque=b'y'"}),
        below={"d/old": b"old"},
    ),
    Attack(
        "root-opaque",
        archive_of(file(b"a/new", EVIL) + file(b".wh..wh..opq")),
        tree=tree_of({b"a": "dir 755 0:0 user.overlay.opaque=b'y'", b"a/new": WRITTEN, b"b": "whiteout"}),
        below={"a/old": b"old", "b": b"old"},
    ),
)

_PARENTS = (
    Attack("implicit-parents", archive_of(file(b"a/b/c", EVIL)), tree=tree_of({b"a/b/c": WRITTEN})),
    Attack(
        "implicit-parents-known-below",
        archive_of(file(b"tmp/x/f", EVIL)),
        tree=tree_of({b"tmp": "dir 1777 3:4", b"tmp/x/f": WRITTEN}),
        below={"tmp": below_directory(mode=0o1777, uid=3, gid=4)},
    ),
    Attack(
        "parent-is-a-link-below",
        archive_of(file(b"lib/f", EVIL)),
        tree=tree_of({b"usr": "dir 711 0:0", b"usr/lib/f": WRITTEN}),
        below={"usr": below_directory(mode=0o711), "usr/lib/old": b"old", "lib": below_link("usr/lib")},
    ),
    Attack(
        "parent-is-a-dotdot-link-below",
        archive_of(file(b"l/secret", EVIL)),
        tree=tree_of({b"outside/secret": WRITTEN}),
        below={"l": below_link("../../../outside")},
    ),
    Attack(
        "parent-is-a-circle-of-links-below",
        archive_of(file(b"l/secret", EVIL)),
        "loop of links",
        below={"l": below_link("m"), "m": below_link("/l")},
    ),
    Attack(
        "parent-is-a-file-below", archive_of(file(b"a/b", EVIL)), "in a layer below", below={"a": below_file(b"old")}
    ),
    Attack(
        "parent-after-its-children",
        archive_of(file(b"d/a", EVIL) + directory(b"d", 0o750, uid=5)),
        tree=tree_of({b"d": "dir 750 5:0", b"d/a": WRITTEN}),
        below={"d": below_directory(mode=0o1777)},
    ),
    Attack(
        "same-name-twice",
        archive_of(file(b"f", b"first") + hardlink(b"h", b"f") + file(b"f", EVIL)),
        tree=tree_of({b"f": WRITTEN, b"h": "file 644 0:0 first"}),
    ),
    Attack(
        "file-replaces-deep-directory",
        archive_of(gnu_long(b"d/" * 200 + b"f") + file(b"x") + symlink(b"d/d/l", b"/") + file(b"d", EVIL)),
        tree=tree_of({b"d": WRITTEN}),
    ),
)

ATTACKS: tuple[Attack, ...] = (
    *_NAMES,
    *_LINKS,
    *_HARD_LINKS,
    *_KINDS,
    *_MARKS,
    *_PARENTS,
    *SIZES,
    *SPARSE,
    *FRAMES,
)
