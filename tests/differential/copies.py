"""Generated COPY and ADD instructions."""

import json
from collections.abc import Sequence

from tests.differential.draft import Draft, Stage


def copy_context(draft: Draft) -> str:
    """COPY or ADD of files of the context, in every form of naming them."""
    keyword = draft.pick(("COPY", "COPY", "COPY", "ADD"))
    if draft.tree.archives and draft.chance(0.2):
        keyword, sources = "ADD", [draft.pick(draft.tree.archives)]
    else:
        sources = context_sources(draft)
    place = destination(draft, sources, draft.tree.files)
    remember(draft, sources, place)
    return _written(draft, keyword, _flags(draft), sources, place)


def copy_stage(draft: Draft) -> str:
    """COPY --from of an earlier stage."""
    other = draft.pick(draft.stages)
    sources = stage_sources(draft, other)
    place = destination(draft, sources, other.files)
    remember(draft, sources, place)
    return _written(draft, "COPY", [f"--from={draft.pick(other.references)}", *_flags(draft)], sources, place)


def _is_pattern(source: str) -> bool:
    return any(character in source for character in "*?[")


def context_sources(draft: Draft) -> list[str]:
    tree = draft.tree
    if draft.ignoring and draft.chance(0.9):
        return [draft.pick((".", "./", "/", "*", "s*", "*/", "?*"))]
    if draft.chance(0.12):
        return [draft.pick((".", "./", "/", "..", "*", "./*", "*.*"))]
    paths = [
        draft.pick((*tree.files, *tree.files, *tree.folders, *tree.links)) for _ in range(draft.pick((1, 1, 1, 2, 3)))
    ]
    return [_respelt(draft, path) for path in paths]


def _respelt(draft: Draft, path: str) -> str:
    """Another way to name the path, sometimes a pattern that matches it among others."""
    head, _, name = path.rpartition("/")
    folder = f"{head}/" if head else ""
    stem, dot, suffix = name.rpartition(".")
    return draft.pick(
        (
            *(
                path,
                path,
                path,
                path,
                f"/{path}",
                f"./{path}",
                f"{path}/../{name}",
                f"../{path}",
                f"{folder}{name[:1]}*",
            ),
            *(f"{folder}*", f"{folder}?{name[1:]}", f"{folder}[a-z]{name[1:]}", f"{folder}*{dot}{suffix}"),
            *(f"{folder}{stem}{dot}*", f"*/{name}", f"{folder}no*such", f"{folder}*[!x]", f"{folder}[^x]*"),
        )
    )


def stage_sources(draft: Draft, other: Stage) -> list[str]:
    paths = [draft.pick((*other.files, *other.files, *other.folders)) for _ in range(draft.pick((1, 1, 1, 2)))]
    sources = []
    for path in paths:
        head, _, name = path.rpartition("/")
        sources.append(
            draft.pick(
                (path, path, path, path, path[1:] or "/", f"{path}/", f"{head}/{name[:1]}*", f"{head}/*", f"/..{path}")
            )
        )
    return sources


def destination(draft: Draft, sources: Sequence[str], files: Sequence[str]) -> str:
    """``files``: of the sources, those that are files and no patterns; one such may replace a file."""
    stage = draft.stage
    several = len(sources) > 1 or _is_pattern(sources[0])
    if stage.files and not several and sources[0] in files and draft.chance(0.3):
        return draft.pick(stage.files)
    places = [
        *("/new/", "/new", "/opt/app/", "/opt/app/x", "new/", "new", ".", "./", "deep/er/", "../up/", "/a/../b/", "/"),
        *(stage.workdir, f"{draft.pick(stage.folders)}/", draft.pick(stage.folders)),
        f"{draft.pick(stage.folders)}/sub/new.txt",
    ]
    if stage.variables:
        places += [
            f"/v/${draft.pick(stage.variables)}/",
            "/v${UNSET:-/w}/",
            f"${{{draft.pick(stage.variables)}:+/set}}/",
        ]
    place = draft.pick(places).replace("//", "/")
    return place if place.endswith("/") or not several or draft.chance(0.1) else f"{place}/"


def remember(draft: Draft, sources: Sequence[str], place: str) -> None:
    """What is there now, roughly: enough for later steps to hit it often."""
    if "$" in place or ".." in place:
        return
    stage, within = draft.stage, place.endswith("/")
    if not place.startswith("/"):
        place = f"{stage.workdir.rstrip('/')}/{place.removeprefix('./')}"
    place = place.rstrip("/.") or "/"
    for source in sources:
        if source in draft.tree.files:
            name = source.rpartition("/")[2]
            stage.files.append(f"{place.rstrip('/')}/{name}" if within else place)
        elif source in {".", "./", "/"}:
            stage.files += [f"{place.rstrip('/')}/{path}" for path in draft.tree.files[:4]]
            stage.folders += [f"{place.rstrip('/')}/{path}" for path in draft.tree.folders[:3]]
    if within and place != "/":
        stage.folders.append(place)


def _flags(draft: Draft) -> list[str]:
    flags = []
    if draft.chance(0.2):
        flags.append(f"--chown={draft.owner()}")
    if draft.chance(0.12):
        flags.append(f"--chmod={draft.mode()}")
    return flags


def _written(draft: Draft, keyword: str, flags: Sequence[str], sources: Sequence[str], destination: str) -> str:
    words = [*sources, destination]
    if any(" " in word for word in words) or draft.chance(0.15):
        return " ".join((keyword, *flags, json.dumps(words)))
    if draft.chance(0.08):
        words[0] = f'"{words[0]}"'
    return " ".join((keyword, *flags, *words))
