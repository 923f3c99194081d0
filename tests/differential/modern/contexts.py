"""What a context has besides a tree of files: odd names, links, archives, secrets, and directories that are contexts of
their own."""

import random
import shlex
from pathlib import Path

from tests.differential.modern.archive_maker import COMPRESSIONS
from tests.differential.trees import Tree

ODD_NAMES = (
    "a[1].txt",
    "b*.txt",
    "-dash",
    "$dollar",
    "ü.txt",
    "q'uote",
    "back\\slash",
    "#hash",
    "a?b",
    "!not",
    "x:y",
    "%d",
)
ARCHIVE_MAKER = Path(__file__).with_name("archive_maker.py")
ARCHIVE_NAMES = ("odd.tar", "odd.tar.gz", "odd", "odd.txt", "odd.zip")
SECRETS = ("s", "key.pem")


def widen(rng: random.Random, label: str, tree: Tree) -> Tree:
    """The tree with more in it."""
    files, links, folders = list(tree.files), list(tree.links), list(tree.folders)
    lines = [tree.script.rstrip("\n")]
    for _ in range(rng.choice((0, 0, 1, 2))):
        folder = rng.choice(("", *(f"{name}/" for name in folders)))
        path = f"{folder}{rng.choice(ODD_NAMES)}"
        if path not in files:
            files.append(path)
            lines.append(f"echo {shlex.quote(f'{label} {path}')} > {shlex.quote(f'./{path}')}")
    links += _links(rng, folders, lines)
    _specials(rng, folders, lines)
    archives = list(tree.archives)
    if rng.random() < 0.4:
        archives.append(rng.choice(ARCHIVE_NAMES))
        lines.append(_archive(rng, label, archives[-1]))
    return Tree(tuple(files), tuple(folders), tuple(links), tuple(archives), "\n".join(lines) + "\n")


def _links(rng: random.Random, folders: list[str], lines: list[str]) -> list[str]:
    links = []
    for number in range(rng.choice((0, 0, 1, 2, 3))):
        folder = rng.choice(("", *(f"{name}/" for name in folders)))
        up = "../" * folder.count("/")
        target = rng.choice(
            (
                *(f"{up}{rng.choice(folders)}", f"/{rng.choice(folders)}", f"odd{number}", f"{up}../outside", "/", "."),
                *(
                    f"{up}odd{1 - number}",
                    f"{up}{rng.choice(folders)}/",
                    f"./{up}{rng.choice(folders)}/../",
                    "/etc/passwd",
                ),
            )
        )
        links.append(f"{folder}odd{number}")
        lines.append(f"ln -sfn {shlex.quote(target)} {shlex.quote(links[-1])} || true")
    return links


def _specials(rng: random.Random, folders: list[str], lines: list[str]) -> None:
    folder = shlex.quote(rng.choice(folders))
    if rng.random() < 0.06:
        lines.append(f"mkfifo {folder}/fifo")
    if rng.random() < 0.06:
        lines.append(f"mknod {folder}/null c 1 3")
    if rng.random() < 0.1:
        lines.append(f"echo x > {folder}/with-xattr; setfattr -n user.mark -v yes {folder}/with-xattr || true")
    if rng.random() < 0.1:
        lines.append(f"truncate -s 300000 {folder}/sparse")
    if rng.random() < 0.1:
        lines.append(
            f"echo x > {folder}/first; ln {folder}/first {folder}/second; ln {folder}/first third 2>/dev/null || true"
        )


def _archive(rng: random.Random, label: str, name: str) -> str:
    seed, compression = rng.randrange(10**6), rng.choice(("none", "none", *COMPRESSIONS))
    return f"python3 {ARCHIVE_MAKER} {seed} {label} {name} {compression}"


def secrets(rng: random.Random, lines: list[str], arguments: list[str]) -> list[str]:
    names = rng.sample(SECRETS, rng.choice((0, 0, 0, 1, 1, 2)))
    for name in names:
        lines.append(f"printf 'secret of {name}' > .secret-{name}")
        arguments += ["--secret", f"id={name},src={{context}}/.secret-{name}"]
    return names


def named_contexts(rng: random.Random, tree: Tree, lines: list[str], arguments: list[str]) -> dict[str, str]:
    """By name, the directory below the context."""
    folders = [folder for folder in tree.folders if " " not in folder]
    if not folders or rng.random() > 0.25:
        return {}
    named = {rng.choice(("ctx", "vendor", "data-1", "x.y")): rng.choice(folders) for _ in range(rng.choice((1, 1, 2)))}
    for name, folder in named.items():
        arguments += ["--build-context", f"{name}={{context}}/{folder}"]
        if rng.random() < 0.2:
            lines.append(f"printf '%s\\n' '*.md' '!README.md' 'nothing' > {shlex.quote(folder)}/.dockerignore")
    return named
