"""The image's config from the plan and what its steps gave: the last pure step before bytes. Pure.

The rules are BuildKit's (exporter/containerimage/writer.go): its image exporter decides dates and fills gaps in the
history, whatever the frontend wrote.
"""

from collections.abc import Mapping, Sequence

from builder.plan.graph import ImageOp, Node, NodeId, Plan
from layers import gotime
from layers.digest import DiffId
from layers.image import History, ImageConfig

EXPORTER_COMMENT = "buildkit.exporter.image.v0"
"""Comment of a layer no history entry speaks of."""


def assemble(plan: Plan, diff_ids: Sequence[DiffId], finished: Mapping[NodeId, float], now: float) -> ImageConfig:
    """The final config. ``diff_ids`` are all layers', base first; times are seconds since 1970.

    ``finished`` says when each layer's step ended (for a cached one: ended when it ran); a step it does not have
    counts as ended ``now``. Keys that only other builders write are not inherited, as BuildKit's are not.
    """
    base = tuple(_normalized(entry) for entry in plan.config.history)
    added = tuple(_dated(entry, node, plan, finished, now) for entry, node in plan.history)
    history = _emptied(base + added, len(diff_ids))
    history = _filled_up(history, plan, len(diff_ids), finished, now)
    history = _without_gaps(history)
    if plan.epoch is not None:
        history = _clamped(history, base, plan.epoch)
    created = [entry.created for entry in history if entry.created is not None]
    return plan.config._replace(
        history=history,
        diff_ids=tuple(diff_ids),
        created=created[-1] if created else None,
        extra={},
        config_extra={},
    )


def _normalized(entry: History) -> History:
    return entry if entry.created is None else entry._replace(created=gotime.normalize(entry.created))


def _dated(entry: History, node: NodeId | None, plan: Plan, finished: Mapping[NodeId, float], now: float) -> History:
    """With SOURCE_DATE_EPOCH every entry of this build has its date; without, those that made a layer their own."""
    if plan.epoch is not None:
        return entry._replace(created=gotime.from_seconds(plan.epoch))
    if node is None:
        return entry._replace(created=None)
    return entry._replace(created=gotime.from_seconds(finished.get(node, now)))


def _emptied(history: tuple[History, ...], layers: int) -> tuple[History, ...]:
    """A history that speaks of more layers than there are is wrong from some point on: the rest made none."""
    seen = 0
    result = []
    for entry in history:
        if not entry.empty_layer:
            seen += 1
        result.append(entry._replace(empty_layer=True) if seen > layers else entry)
    return tuple(result)


def _filled_up(
    history: tuple[History, ...], plan: Plan, layers: int, finished: Mapping[NodeId, float], now: float
) -> tuple[History, ...]:
    """A history that speaks of fewer layers (bases without any) gets entries for the uppermost ones, at its end."""
    known = sum(not entry.empty_layer for entry in history)
    return history + tuple(
        _stand_in(plan, position - (layers - len(plan.layers)), finished, now) for position in range(known, layers)
    )


def _stand_in(plan: Plan, position: int, finished: Mapping[NodeId, float], now: float) -> History:
    """``position`` counts from the first layer above the base; a layer of the base has no date of its own here."""
    if position < 0:
        base = plan.nodes[plan.base].op
        name = base.name if isinstance(base, ImageOp) else ""
        return History(created_by=f"pulled from {name}", comment=EXPORTER_COMMENT)
    node = plan.nodes[plan.layers[position]]
    return History(
        created=gotime.from_seconds(finished.get(node.id, now)),
        created_by=_shown(node),
        comment=EXPORTER_COMMENT,
    )


def _shown(node: Node) -> str:
    return f"[{node.stage} {node.position}/{node.total}] {node.title}"


def _without_gaps(history: tuple[History, ...]) -> tuple[History, ...]:
    """Entries without a date take that of the nearest dated one before them that this build added, else of the first
    dated one after, else of the last dated one: dates never go backwards within what a build adds."""
    date = _first_new_date(history)
    result = []
    gap_seen = False
    for entry in history:
        if entry.created is None:
            gap_seen = True
            result.append(entry._replace(created=date))
            continue
        if gap_seen:
            date = entry.created
        result.append(entry)
    return tuple(result)


def _first_new_date(history: tuple[History, ...]) -> str | None:
    """The date of the first dated entry after one without, else of the last dated one."""
    date = None
    gap_seen = False
    for entry in history:
        if entry.created is None:
            gap_seen = True
            continue
        date = entry.created
        if gap_seen:
            break
    return date


def _clamped(history: tuple[History, ...], base: tuple[History, ...], epoch: int) -> tuple[History, ...]:
    """The base's own entries keep their dates, later ones too; nothing else may be later than the epoch."""
    date = gotime.from_seconds(epoch)
    same = 0
    while same < min(len(base), len(history)) and history[same] == base[same]:
        same += 1
    later = (
        entry._replace(created=date)
        if entry.created is None or gotime.to_ns(entry.created) > epoch * 1_000_000_000
        else entry
        for entry in history[same:]
    )
    return history[:same] + tuple(later)
