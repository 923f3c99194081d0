"""Whole Dockerfiles: global arguments, stages on stages, triggers, targets."""

from collections.abc import Callable

from tests.differential import runs
from tests.differential.draft import SCRATCH_FOLDERS, Draft, Stage
from tests.differential.modern import config, heredocs, mounts, transfers, words

NAMES = ("build", "base2", "Builder", "deps", "st-1", "x.y_z", "final", "ctx", "test")
Instruction = Callable[[Draft], str]

ANYWHERE: tuple[tuple[int, Instruction], ...] = (
    *(
        (10, config.env),
        (8, config.arguments),
        (5, config.label),
        (9, config.workdir),
        (4, config.user),
        (3, config.shell),
    ),
    *((4, config.expose), (2, config.volume), (2, config.stopsignal), (3, config.healthcheck), (4, config.command)),
    (34, transfers.transfer),
)
WITH_A_SHELL: tuple[tuple[int, Instruction], ...] = (
    *((12, runs.run), (12, heredocs.run_heredoc), (14, mounts.run_mounts), (6, runs.prepare)),
)


def dockerfile(draft: Draft) -> list[str]:
    lines = _globals(draft)
    count = draft.pick((1, 1, 2, 2, 3, 4))
    for index in range(count):
        lines += _stage(draft, index, last=index == count - 1)
        draft.stages.append(draft.stage)
    names = [stage.name for stage in draft.stages if stage.name is not None]
    if names and draft.chance(0.12):
        draft.arguments += ["--target", draft.pick(names).lower()]
    if draft.chance(0.08):
        draft.arguments += ["--label", draft.pick(("one=cli", "org.example.key=2", "added=x"))]
    if draft.chance(0.04):
        draft.arguments += ["--build-arg", f"SOURCE_DATE_EPOCH={draft.pick(('1500000000', '0', '', '1700000000'))}"]
    if draft.chance(0.04):
        draft.arguments += ["--build-arg", f"{draft.pick(config.PREDEFINED)}=http://proxy.invalid:1"]
    return lines


def _globals(draft: Draft) -> list[str]:
    lines = []
    if draft.chance(0.4):
        defaults = ("BASE=base", "BASE=base:latest", "TAG=latest BASE=base:$TAG", "BASE=x/base.tar", "BASE")
        lines.append(f"ARG {draft.pick(defaults)}")
        draft.globals.append("BASE")
        if lines[-1] == "ARG BASE":
            draft.arguments += ["--build-arg", "BASE=base"]
    for _ in range(draft.pick((0, 0, 1, 2))):
        name = draft.pick(("A", "version", "G", "TARGETARCH"))
        lines.append(f"ARG {name}" if draft.chance(0.2) else f"ARG {name}={words.value(draft)}")
        draft.globals.append(name)
    return lines


def _stage(draft: Draft, index: int, *, last: bool) -> list[str]:
    name = draft.pick(NAMES) if draft.chance(0.75) else None
    if name in {stage.name for stage in draft.stages} and draft.chance(0.8):
        name = None
    lines = [_from(draft, index, name)]
    if draft.globals and draft.chance(0.4):
        lines.append(f"ARG {draft.pick(draft.globals)}")
    lines += [instruction(draft) for _ in range(draft.rng.randint(2, 8))]
    if not last and draft.chance(0.35):
        lines += [f"ONBUILD {instruction(draft)}" for _ in range(draft.pick((1, 1, 2, 3)))]
        draft.stage.onbuild = True
    if last and draft.stages and draft.chance(0.7):  # else what was built before would be for nothing
        lines.append(f"COPY --from={draft.pick(draft.stages[-1].references)} / /all/")
    return lines


def _from(draft: Draft, index: int, name: str | None) -> str:
    suffix = f" {draft.pick(('AS', 'as', 'As'))} {name}" if name else ""
    platform = _platform(draft)
    parents = [stage for stage in draft.stages if stage.name is not None]
    triggering = [stage for stage in parents if stage.onbuild]
    if parents and draft.chance(0.6 if triggering else 0.3):
        parent = draft.pick(triggering if triggering and draft.chance(0.7) else parents)
        draft.stage = parent.child(index, name)
        assert parent.name is not None
        return f"FROM {platform}{words.spelt(draft, parent.name.lower())}{suffix}"
    form = draft.rng.random()
    if form < 0.12:
        draft.stage = Stage(index, name, scratch=True, files=[], folders=list(SCRATCH_FOLDERS))
        return f"FROM {platform}scratch{suffix}"
    if form < 0.2 and draft.named:
        context = draft.pick(sorted(draft.named))
        folder = draft.named[context]
        files = [path.removeprefix(folder) for path in draft.tree.files if path.startswith(f"{folder}/")]
        draft.stage = Stage(index, name, scratch=True, files=files, folders=list(SCRATCH_FOLDERS))
        return f"FROM {platform}{context}{suffix}"
    draft.stage = Stage(index, name, scratch=False)
    references = [
        "base",
        "base",
        "base:latest",
        "${NONE:-base}",
        "docker.io/library/base",
        "${TARGETOS:+base}",
        "index.docker.io/base",
    ]
    if "BASE" in draft.globals:
        references += ["${BASE:+base}", "${BASE%%.tar}", "${BASE#x/}", "$BASE", "${BASE//x\\//}", "${BASE:-base}"]
    return f"FROM {platform}{draft.pick(references)}{suffix}"


def _platform(draft: Draft) -> str:
    if draft.chance(0.85):
        return ""
    own = ("$BUILDPLATFORM", "${TARGETPLATFORM}", "$TARGETOS/$TARGETARCH", "${BUILDPLATFORM:-x}", "linux/$BUILDARCH")
    return f"--platform={draft.pick((*own, '${TARGETPLATFORM%/*}/$BUILDARCH', '${NONE:-linux}'))} "


def instruction(draft: Draft) -> str:
    choices = ANYWHERE if draft.stage.scratch else (*ANYWHERE, *WITH_A_SHELL)
    weights = [weight for weight, _ in choices]
    chosen: Instruction = draft.rng.choices(choices, weights)[0][1]
    return chosen(draft)
