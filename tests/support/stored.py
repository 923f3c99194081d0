"""A finished image in a store, as a build leaves it: two layers with what makes flattening hard."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from builder.output.assemble import assemble
from builder.output.export import Exporter, ExportResult, Reporter, open_exporter
from builder.plan.graph import Plan
from builder.request import BuildRequest, OutputSpec
from layers.digest import Rootfs
from layers.entry import BytesSource, Entry, Kind
from layers.image import encode
from layers.store import Store, StoredImage
from tests.support.plans import PLATFORM, layer, make_plan, metadata

SECOND_NS = 1_000_000_000
TIME_NS = 1_000_000_000 * SECOND_NS


def directory(path: bytes, mode: int = 0o755, uid: int = 0) -> Entry:
    return Entry(path, Kind.DIRECTORY, mode, uid, uid, TIME_NS)


def file(path: bytes, data: bytes, mode: int = 0o644, uid: int = 0) -> Entry:
    return Entry(path, Kind.FILE, mode, uid, uid, TIME_NS, len(data), source=BytesSource(data))


LOWER = (
    directory(b"bin"),
    file(b"bin/tool", b"#!/bin/sh\n", 0o4755),
    directory(b"data", 0o1777),
    file(b"data/deleted", b"gone"),
    file(b"data/kept", b"kept", 0o600, uid=7),
    Entry(b"data/twin", Kind.HARDLINK, 0o600, 7, 7, TIME_NS, link=b"data/kept"),
    directory(b"old"),
    file(b"old/hidden", b"hidden"),
    Entry(b"sh", Kind.SYMLINK, 0o777, 0, 0, TIME_NS, link=b"bin/tool"),
)
UPPER = (
    directory(b"data", 0o1777),
    Entry(b"data/deleted", Kind.WHITEOUT),
    file(b"data/new", b"new" * 500_000),
    directory(b"old"),
    Entry(b"old", Kind.OPAQUE),
    file(b"old/only", b"only"),
)
FLAT = {
    "bin": ("dir", 0o755, 0, b""),
    "bin/tool": ("file", 0o4755, 0, b"#!/bin/sh\n"),
    "data": ("dir", 0o1777, 0, b""),
    "data/kept": ("file", 0o600, 7, b"kept"),
    "data/new": ("file", 0o644, 0, b"new" * 500_000),
    "data/twin": ("hardlink", 0o600, 7, b"data/kept"),
    "old": ("dir", 0o755, 0, b""),
    "old/only": ("file", 0o644, 0, b"only"),
    "sh": ("symlink", 0o777, 0, b"bin/tool"),
}
"""Path -> kind, mode, owner, content: what both layers come to."""


class Built(NamedTuple):
    plan: Plan
    rootfs: Rootfs
    clamps: tuple[int | None, ...]
    config: bytes
    stored: StoredImage


def build(store: Store, *, epoch: int | None = None, layers: Sequence[Sequence[Entry]] = (LOWER, UPPER)) -> Built:
    """An image of these layers, assembled as a build does it."""
    added = [
        (metadata("ENV A=1"), False),
        *((layer(f"COPY {number} / # buildkit"), True) for number in range(len(layers))),
    ]
    plan = make_plan(added, epoch=epoch)
    rootfs: Rootfs = ()
    for entries in layers:
        rootfs += (store.add_layer(entries, rootfs),)
    clamps = (epoch,) * len(rootfs)
    diff_ids = [store.diff_id(one, clamp) for one, clamp in zip(rootfs, clamps, strict=True)]
    config = encode(assemble(plan, diff_ids, dict.fromkeys(plan.layers, 1_500_000_000.0), 0.0))
    return Built(plan, rootfs, clamps, config, store.put_image(config, rootfs, clamps, ()))


def request(*outputs: OutputSpec, tags: tuple[str, ...] = (), docker_host: str = "unix:///nonexistent") -> BuildRequest:
    return BuildRequest(
        context="/",
        dockerfile_path="Dockerfile",
        dockerfile_text=b"",
        root="/nonexistent",
        platform=PLATFORM,
        tags=tags,
        outputs=outputs,
        docker_host=docker_host,
    )


def export(store: Store, built: Built, asked: BuildRequest, events: list[object] | None = None) -> ExportResult:
    """Offers every layer, then finishes."""
    exporter = opened(store, built, asked, (events if events is not None else []).append)
    with exporter:
        for position, one in enumerate(built.rootfs):
            exporter.offer(position, one, made=True)
        return exporter.finish(built.config, built.rootfs, built.clamps, built.stored)


def opened(store: Store, built: Built, asked: BuildRequest, emit: Callable[[object], None]) -> Exporter:
    return open_exporter(asked, built.plan, store, Reporter(emit, lambda: 1.0))
