"""The images a Dockerfile needs, found in the store or in named contexts: configs now, files only when a step asks."""

from types import MappingProxyType
from typing import TYPE_CHECKING

from builder.dockerfile.instructions import Dockerfile
from builder.errors import PlanError
from builder.plan.reach import Base, Bases, reach
from builder.plan.stages import ImageRef, Survey, suggestion, survey
from builder.settings import BuildRequest, NamedContext
from layers.digest import Rootfs
from layers.errors import PybuildError
from layers.image import ImageConfig
from registry.reference import Reference

if TYPE_CHECKING:
    from layers.store import Store


def resolve(dockerfile: Dockerfile, request: BuildRequest, store: "Store") -> Bases:
    """Every image the target stands on or copies from, by ``ImageRef.key``; nothing for stages it does not need.

    Goes on for as long as triggers of the images found name further ones. Raises PlanError for what is not there.
    """
    found = survey(dockerfile, request)
    bases: dict[str, Base] = {}
    while unknown := reach(found, bases).unknown:
        for ref in unknown:
            bases[ref.key] = _from_context(ref, ref.context, store) if ref.context else _from_store(ref, found, store)
    return MappingProxyType(bases)


def _from_store(ref: ImageRef, found: Survey, store: "Store") -> Base:
    name = ref.full_name()
    image = store.image(name)
    if image is not None:
        rootfs, clamps = _as_anywhere(image.rootfs, image.clamps, store)
        return Base(name, ImageConfig.parse(image.config), rootfs, clamps)
    if Reference.parse(name).digest is not None:
        hint = "the store knows images by tag: load the image with 'pybuild load', then leave out @ and the digest"
    else:
        stages = [frame.stage.name for frame in found.frames if frame.stage.name]
        hint = suggestion(ref.name, stages) or (
            "images are not fetched from registries yet: save it with another tool and 'pybuild load' the file"
        )
    raise PlanError(f"{ref.name}: there is no image {name} in the store", span=ref.span, hint=hint)


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
    try:
        loaded = load(store, context.path, reference=context.reference, platform=ref.platform, named=False)
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
        raise PlanError(f"{what}: image {loaded[0].id} was removed while it was read", span=ref.span)
    return Base(_location(context), ImageConfig.parse(image.config), image.rootfs, image.clamps)


def _location(context: NamedContext) -> str:
    """As it is written after the name in ``--build-context``."""
    reference = context.reference or ""
    separator = "@" if ":" in reference else ":" if reference else ""
    return f"oci-layout://{context.path}{separator}{reference}"
