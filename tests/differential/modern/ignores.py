"""A .dockerignore with patterns of every kind."""

import random

from tests.differential.trees import Tree


def make_ignore(rng: random.Random, tree: Tree) -> str:
    patterns = [_pattern(rng, tree) for _ in range(rng.choice((1, 2, 3, 4, 6)))]
    text = "\n".join(patterns) + rng.choice(("\n", "\n", ""))
    if rng.random() < 0.05:
        text = text.replace("\n", "\r\n")
    return text


def _pattern(rng: random.Random, tree: Tree) -> str:
    path = rng.choice((*tree.files, *tree.folders, *tree.links))
    parts = path.split("/")
    name, top = parts[-1], parts[0]
    suffix = name.rpartition(".")[2] or name
    plain = rng.choice(
        (
            *(path, name, top, f"/{path}", f"./{path}", f"{path}/", f"*.{suffix}", f"**/*.{suffix}", f"**/{name}", "*"),
            *(f"{top}/**", f"{top}/*", f"*/{name}", f"**/{name}/**", "**", "**/", "*/*", "**/*", f"**{name[1:]}"),
            *(f"{name[:1]}**", f"{top}/**/{name}", f"?{name[1:]}", "[a-m]*", "[^a-m]*", "[!a]*", r"\*", f"\\{name}"),
            *(
                f"{top}//{name}",
                f"{path}/..",
                f"../{path}",
                f"x/../{path}",
                ".",
                "/",
                "..",
                ".*",
                "**/.*",
                "Dockerfile",
            ),
            *(
                ".dockerignore",
                f"{'/'.join(parts[:-1])}/*",
                f"{name}*",
                f"*{name}",
                "*/**",
                f"**/{top}",
                f" {name} ",
                "#x",
            ),
            *(
                f"{top}/**/*.{suffix}",
                "?*",
                "**/?*",
                f"{path}/**",
                f"{top}*",
                "[a",
                "***",
                f"**/**/{name}",
                "a/**/b/**",
            ),
        )
        if rng.random() < 0.97
        else ("[z-a]", "[]", "\\", "!", "[^]")
    )
    form = rng.random()
    if form < 0.3:
        return f"!{plain}"
    return (
        plain
        if form < 0.9
        else rng.choice((f"  {plain}\t", f"! {plain}", f"# {plain}", "", f" #{plain}", f"!!{plain}"))
    )
