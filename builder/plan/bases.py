"""The images a Dockerfile needs, found in the store or in named contexts: configs now, files only when a step asks."""

import functools
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

from builder.dockerfile.instructions import Dockerfile
from builder.errors import PlanError
from builder.plan.pulling import Images
from builder.plan.reach import Base, Bases, reach
from builder.plan.stages import ImageRef, Survey, suggestion, survey
from builder.request import BuildRequest, NamedContext
from layers.digest import Rootfs
from layers.errors import InvalidImage, PybuildError
from layers.image import ImageConfig
from layers.names import DEFAULT_TAG
from registry.reference import Reference

if TYPE_CHECKING:
    from layers.store import Store

_AT_ONCE = 8
_NOT_THERE = frozenset({"unknown-name", "denied", "login-needed"})
"""Codes of what registries say of a name that is misspelt: many don't tell that there is no such repository."""


def resolve(dockerfile: Dockerfile, request: BuildRequest, store: "Store", images: Images) -> Bases:
    """Every image the target stands on or copies from, by ``ImageRef.key``; nothing for stages it does not need.

    Images that the store lacks are pulled. Goes on for as long as triggers of the images found name further ones.
    Raises PlanError for what is not there.
    """
    found = survey(dockerfile, request)
    bases: dict[str, Base] = {}
    while unknown := reach(found, bases).unknown:
        find = functools.partial(_base, found, store, images)
        if sum(_asks(ref, images) for ref in unknown) > 1:
            made = _at_once(unknown, find)
        else:
            made = [find(ref) for ref in unknown]
        bases.update(zip((ref.key for ref in unknown), made, strict=True))
    return MappingProxyType(bases)


def _asks(ref: ImageRef, images: Images) -> bool:
    if ref.context is not None and ref.context.kind == "oci-layout":
        return False
    try:
        return images.asks(Reference.parse(_meant(ref).full_name()), ref.platform)
    except PybuildError:
        return False  # told of when it is looked for


def _at_once(refs: Sequence[ImageRef], find: Callable[[ImageRef], Base]) -> list[Base]:
    """In the order of ``refs``, of which the first that fails is told of. Each takes some questions and answers."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(_AT_ONCE, len(refs)), "bases") as pool:
        return [future.result() for future in [pool.submit(find, ref) for ref in refs]]


def _base(found: Survey, store: "Store", images: Images, ref: ImageRef) -> Base:
    if ref.context is not None and ref.context.kind == "oci-layout":
        return _from_context(ref, ref.context, store)
    return _named(ref, found, store, images)


def _meant(ref: ImageRef) -> ImageRef:
    """The image that a named context (``docker-image://NAME``) stands for."""
    return ref if ref.context is None else ref._replace(name=ref.context.path, context=None)


def _named(ref: ImageRef, found: Survey, store: "Store", images: Images) -> Base:
    ref = _meant(ref)
    name = ref.full_name()
    stages = [frame.stage.name for frame in found.frames if frame.stage.name]
    try:
        known = images.find(Reference.parse(name), ref.platform)
    except PybuildError as error:
        hint = _stage_hint(ref.name, stages)
        if hint and error.hint and error.code not in _NOT_THERE:
            hint = f"{error.hint}; or, if a stage is meant: {hint}"
        message = error.message if error.message.startswith(ref.name) else f"{ref.name}: {error.message}"
        raise PlanError(message, span=ref.span, hint=hint or error.hint, code=error.code, about=ref.name) from error
    if known is None:
        hint = _stage_hint(ref.name, stages) or "leave out --pull=never to fetch it, or 'pybuild load' it from a file"
        raise PlanError(f"{ref.name}: there is no image {name} in the store", span=ref.span, hint=hint, about=ref.name)
    image = known.image
    rootfs, clamps = _as_anywhere(image.rootfs, image.clamps, store)
    meant = name if known.digest is None or "@" in name else f"{name}@{known.digest}"
    return Base(meant, ImageConfig.parse(image.config), rootfs, clamps, known.looked_up)


def _stage_hint(name: str, stages: list[str]) -> str | None:
    """What was meant, if it was a stage."""
    if name.isdecimal():
        return "only COPY --from counts stages by number: give the stage a name with FROM ... AS name, and use that"
    return suggestion(name, stages)


def _as_anywhere(
    rootfs: Rootfs, clamps: tuple[int | None, ...], store: "Store"
) -> tuple[Rootfs, tuple[int | None, ...]]:
    """The files as whoever loads the image has them. An image built here with a SOURCE_DATE_EPOCH has clamped times in
    its archives only, while keys know it by its diff ids: from the first such layer on, its archives are used."""
    made: Rootfs = ()
    for layer, clamp in zip(rootfs, clamps, strict=True):
        if clamp is None and made == rootfs[: len(made)]:
            made = (*made, layer)
            continue
        from layers.compress import default

        blob = store.blob(layer, clamp, default("gzip"))
        made = (*made, store.import_layer(store.diff_id(layer, clamp), blob, made))
    return made, (None,) * len(made)


def _from_context(ref: ImageRef, context: NamedContext, store: "Store") -> Base:
    from layers.load import load  # brings decompression along, which other builds do not need

    what = f"build context {context.name} ({_location(context)})"
    read = functools.partial(load, store, context.path, platform=ref.platform, named=False)
    try:
        loaded = read(reference=context.reference)
        if len(loaded) > 1 and context.reference is None:
            with suppress(InvalidImage):
                loaded = read(reference=DEFAULT_TAG)
    except (PybuildError, OSError) as error:
        hint = error.hint if isinstance(error, PybuildError) else None
        raise PlanError(f"{what}: {error}", span=ref.span, hint=hint) from error
    if len(loaded) > 1:
        raise PlanError(
            f"{what} holds {len(loaded)} images",
            span=ref.span,
            hint=f"pick one: --build-context {context.name}={_location(context)}:TAG",
        )
    image = store.image(str(loaded[0].id))
    if image is None:
        raise PlanError(
            f"{what}: image {loaded[0].id} was removed while it was read", span=ref.span, hint="build again"
        )
    return Base(_location(context), ImageConfig.parse(image.config), image.rootfs, image.clamps)


def _location(context: NamedContext) -> str:
    """As it is written after the name in ``--build-context``."""
    reference = context.reference or ""
    separator = "@" if ":" in reference else ":" if reference else ""
    return f"oci-layout://{context.path}{separator}{reference}"
