"""COPY and ADD with --parents, --exclude, --link and symbolic modes, from the context, stages and named contexts."""

import json
import re
from collections.abc import Sequence

from tests.differential import copies
from tests.differential.draft import Draft
from tests.differential.modern import heredocs, words

SYMBOLIC = (
    *(
        "u=rwX,go=rX",
        "a+x",
        "go-rwx",
        "+x",
        "u+s",
        "a=r",
        "go=u",
        "g-w,o=",
        "a+X",
        "u=rw,g=r,o=",
        "-w",
        "o+t",
        "ug+rwx",
    ),
    *("a-x,a+X", "u+x,g+s", "=rx", "u=g,o-r", "go+rX,u+w"),
)
OCTAL = ("755", "0644", "600", "1777", "04711", "2750", "0", "7", "0440", "00755")
OWNERS = (
    "33",
    "1000:1000",
    "www-data",
    "www-data:users",
    ":7",
    "nobody:",
    "root",
    "0:33",
    "nosuchname",
    "12345",
    "app",
)


def transfer(draft: Draft) -> str:
    """One instruction; what it may be given depends on where it copies from."""
    form = draft.rng.random()
    if form < 0.12 and draft.tree.archives:
        return _archive(draft)
    if form < 0.3:
        return heredocs.copy_heredoc(draft, _flags(draft, heredoc=True), _some(draft))
    if form < 0.5 and draft.stages:
        other = draft.pick(draft.stages)
        sources = copies.stage_sources(draft, other)
        return _written(draft, "COPY", [f"--from={draft.pick(other.references)}", *_flags(draft)], sources)
    if form < 0.6 and draft.named:
        name = draft.pick(sorted(draft.named))
        return _written(draft, "COPY", [f"--from={name}", *_flags(draft)], _named_sources(draft, draft.named[name]))
    if form < 0.75:
        return _with_parents(draft)
    keyword = draft.pick(("COPY", "COPY", "ADD"))
    everything = draft.ignoring and draft.chance(0.3)
    sources = [draft.pick((".", "*", "?*"))] if everything else copies.context_sources(draft)
    return _written(draft, keyword, _flags(draft, add=keyword == "ADD"), sources)


def _some(draft: Draft) -> list[str]:
    return [draft.pick(draft.tree.files)] if draft.chance(0.3) else []


def _named_sources(draft: Draft, folder: str) -> list[str]:
    inside = [path.removeprefix(f"{folder}/") for path in draft.tree.files if path.startswith(f"{folder}/")]
    return [draft.pick((*inside, *inside, ".", "*", "/", "./", "?*", "no*such"))]


def _archive(draft: Draft) -> str:
    flags = draft.pick(([], [], [], ["--unpack=true"], ["--unpack=false"], ["--unpack"], ["--link"], ["--exclude=*"]))
    if draft.chance(0.2):
        flags = [*flags, f"--chown={draft.pick(OWNERS)}"]
    if draft.chance(0.2):
        flags = [*flags, f"--chmod={draft.pick((*OCTAL, *SYMBOLIC))}"]
    sources = [draft.pick(draft.tree.archives) for _ in range(draft.pick((1, 1, 1, 2)))]
    if draft.chance(0.15):
        sources.append(draft.pick(draft.tree.files))
    if draft.chance(0.2):
        return _written(draft, "COPY", [flag for flag in flags if "unpack" not in flag], list(dict.fromkeys(sources)))
    return _written(draft, "ADD", flags, list(dict.fromkeys(sources)))


def _with_parents(draft: Draft) -> str:
    sources = [draft.pick(("**", "**/*.txt", "*/*", "**/?*"))] if draft.ignoring and draft.chance(0.8) else []
    for _ in range(0 if sources else draft.pick((1, 1, 2, 3))):
        path = draft.pick((*draft.tree.files, *draft.tree.files, *draft.tree.folders, *draft.tree.links))
        parts = path.split("/")
        pivot = draft.rng.randint(0, len(parts) - 1)
        pivoted = "/".join((*parts[:pivot], ".", *parts[pivot:]))
        name = parts[-1]
        sources.append(
            draft.pick(
                (
                    *(
                        path,
                        path,
                        f"./{path}",
                        f"/{path}",
                        pivoted,
                        pivoted,
                        f"{parts[0]}/**",
                        f"**/{name}",
                        "**/*.txt",
                    ),
                    *(
                        f"*/{name}",
                        f"{path}/",
                        "**/",
                        "**",
                        ".",
                        f"../{path}",
                        f"{parts[0]}/./**/{name}",
                        f"./**/{name}",
                    ),
                    *(
                        f"{parts[0]}/*",
                        f"{name[:1]}*",
                        "*/*/*",
                        f"{parts[0]}/**/*",
                        "no/*/such",
                        f"{parts[0]}/../{path}",
                    ),
                )
            )
        )
    flags = [draft.pick(("--parents", "--parents", "--parents=true", "--parents=false")), *_flags(draft)]
    return _written(draft, "COPY", flags, sources)


def _flags(draft: Draft, *, add: bool = False, heredoc: bool = False) -> list[str]:
    flags = []
    if draft.chance(0.3):
        flags.append(draft.pick(("--link", "--link", "--link=true", "--link=false", "--link=TRUE")))
    if draft.chance(0.3):
        flags.append(f"--chown={words.spelt(draft, draft.pick(OWNERS))}")
    if draft.chance(0.3):
        flags.append(f"--chmod={words.spelt(draft, draft.pick((*OCTAL, *SYMBOLIC)))}")
    if not heredoc:
        flags += [f"--exclude={_excluded(draft)}" for _ in range(draft.pick((0, 0, 0, 1, 1, 2, 3)))]
    if add and draft.chance(0.1):
        flags.append(draft.pick(("--unpack=false", "--unpack", "--keep-git-dir", "--keep-git-dir=false")))
    flags = [flag for flag in flags if " " not in flag]
    if draft.chance(0.95):  # with names and modes, --link is another thing there (9.1 of the reference)
        odd = any(re.search("^--chmod|^--chown=.*[a-z]", flag) for flag in flags)
        flags = [flag for flag in flags if not (odd and re.match("--link($|=true)", flag, re.IGNORECASE))]
    draft.rng.shuffle(flags)
    return flags


def _excluded(draft: Draft) -> str:
    path = draft.pick((*draft.tree.files, *draft.tree.folders))
    parts = path.split("/")
    name, suffix = parts[-1], parts[-1].rpartition(".")[2]
    return draft.pick(
        (
            *(path, name, f"*.{suffix}", f"**/*.{suffix}", f"**/{name}", f"!{name}", f"!**/{name}", f"{parts[0]}/**"),
            *("/".join(parts[1:]) or name, f"/{path}", f"./{name}", f"{name}/", "*", "**", ".*", f"?{name[1:]}", "*/*"),
            *("[a-m]*", "[^a-m]*", f"**/{name[:1]}*", f"{parts[0]}", f"!{parts[0]}", f"*/{name}", "**/.*", "!*.txt"),
        )
    )


def _written(draft: Draft, keyword: str, flags: Sequence[str], sources: Sequence[str]) -> str:
    destination = copies.destination(draft, sources, draft.tree.files)
    copies.remember(draft, sources, destination)
    spelt = [*sources, destination]
    flags = [flag for flag in flags if " " not in flag]
    if any(" " in word for word in spelt) or draft.chance(0.12):
        return " ".join((keyword, *flags, json.dumps(spelt, ensure_ascii=draft.chance(0.5))))
    if draft.chance(0.3):
        spelt = [words.spelt(draft, word) for word in spelt]
    return " ".join((keyword, *flags, *spelt))
