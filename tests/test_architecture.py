"""The house rules that can be read off the source: ranks, cycles, pure modules, homes of third-party packages, README.

Architecture: layers < registry < builder; inside builder: errors, settings, events < dockerfile | sandbox | report
< plan < solve < output < api < cli.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGES = ("builder", "registry", "layers")

RANKS: tuple[tuple[str, ...], ...] = (
    (
        *("layers.errors", "layers.digest", "layers.media", "layers.entry", "layers.tree"),
        *("layers.gojson", "layers.gotime", "layers.names", "layers.tuples"),
    ),
    (
        "layers.image",
        "layers.compress",
        "layers.content",
        "layers.threads",
        "layers.inflate",
        "layers.tarheader",
        "layers.tarmeta",
        "layers.tarsparse",
        "layers.tarfmt",
        "layers.tarread",
        "layers.tarwrite",
        "layers.tarbatches",
        "layers.readworker",
        "layers.listed",
        "layers.making",
        "layers.stretches",
        "layers.beside",
        "layers.idmap",
        "layers.processids",
        "layers.overlayfmt",
        "layers.owners",
        "layers.blobs",
        "layers.partial",
        "layers.passing",
        "layers.records",
        "layers.schema",
        "layers.leases",
    ),
    ("layers",),
    ("registry",),
    (
        "builder.errors",
        "builder.request",
        "builder.settings",
        "builder.events",
        "builder.textfile",
        "builder.grants",
        "builder.runflags",
        "builder.units",
    ),
    ("builder.dockerfile", "builder.sandbox", "builder.report"),
    ("builder.fetch",),
    ("builder.plan",),
    ("builder.solve",),
    ("builder.output",),
    ("builder.api",),
    ("builder.cli", "builder.__main__"),
)
ISLANDS = ("builder.dockerfile", "builder.sandbox", "builder.report")

HOMES = {
    "dockerfile_parse": "builder.dockerfile.lines",
    "click": "builder.cli",
    "tqdm": "builder.report.tty",
    "requests": "registry.transport",
    "cryptography": "registry.sign",
    "zstandard": "layers.compress",
    "zlib_ng": "layers.compress",
}

PURE = (
    "layers.errors",
    "layers.digest",
    "layers.media",
    "layers.entry",
    "layers.gojson",
    "layers.gotime",
    "layers.idmap",
    "layers.names",
    "layers.tuples",
    "layers.image",
    "layers.manifest",
    "registry.auth",
    "registry.endpoints",
    "registry.errors",
    "registry.hoststoml",
    "registry.messages",
    "registry.proxies",
    "registry.reference",
    "registry.registries",
    "builder.errors",
    "builder.events",
    "builder.grants",
    "builder.runflags",
    "builder.units",
    "builder.dockerfile.blanks",
    "builder.dockerfile.durations",
    "builder.dockerfile.expansion",
    "builder.dockerfile.flags",
    "builder.dockerfile.globs",
    "builder.dockerfile.ignore",
    "builder.dockerfile.ignore_expressions",
    "builder.dockerfile.ignore_patterns",
    "builder.dockerfile.instructions",
    "builder.dockerfile.jsonform",
    "builder.dockerfile.mounts",
    "builder.dockerfile.words",
    "builder.plan.graph",
    "builder.plan.growing",
    "builder.plan.mounts",
    "builder.plan.stage_state",
    "builder.plan.keys",
    "builder.sandbox.reasons",
    "builder.sandbox.limits",
    "builder.sandbox.spec",
    "builder.sandbox.subids",
    "builder.sandbox.overlay",
    "builder.sandbox.users",
    "builder.sandbox.seccomp",
    "builder.sandbox.syscalls",
    "builder.report.timeline",
    "builder.output.assemble",
    "builder.cli.doctor_checks",
)
PURE_IMPORTS = frozenset(
    {
        *(
            "re",
            "dataclasses",
            "enum",
            "typing",
            "collections",
            "functools",
            "itertools",
            "operator",
            "types",
            "bisect",
        ),
        *("json", "hashlib", "base64", "binascii", "struct", "math", "string", "errno", "datetime"),
        *("posixpath", "fnmatch", "difflib", "urllib.parse"),
    }
)


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for package in PACKAGES for path in sorted((REPOSITORY / package).rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in SOURCES.items()}


def imports(name: str) -> Iterator[tuple[str, bool]]:
    """(imported module, whether at module level), with ``from package import module`` resolved to the module."""
    top = set(map(id, TREES[name].body))
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in SOURCES else node.module), id(node) in top


def rank(name: str) -> int:
    best = max(
        (
            (len(prefix), number)
            for number, group in enumerate(RANKS)
            for prefix in group
            if name == prefix or name.startswith(prefix + ".")
        ),
        default=None,
    )
    return best[1] if best else len(RANKS)


def ours(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in PACKAGES


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_imports_point_down(name: str) -> None:
    for target, _ in imports(name):
        if not ours(target) or target in PACKAGES:
            continue
        assert rank(target) <= rank(name), f"{name} (rank {rank(name)}) imports {target} (rank {rank(target)})"
        homes = [island for island in ISLANDS if name.startswith(island)]
        others = [island for island in ISLANDS if target.startswith(island)]
        assert not (homes and others) or homes == others, f"{name} and {target} are islands of their own"


def test_every_rank_names_something() -> None:
    """A rank for a module that is gone would hide a misspelling."""
    for group in RANKS:
        for prefix in group:
            assert any(n == prefix or n.startswith(prefix + ".") for n in SOURCES), prefix


def test_no_cycles() -> None:
    edges = {
        name: {target for target, at_top in imports(name) if at_top and ours(target) and target != name}
        for name in SOURCES
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name in done:
            return
        for target in sorted(edges.get(name, ())):
            visit(target, (*trail, name))
        done.add(name)

    for name in sorted(SOURCES):
        visit(name, ())


@pytest.mark.parametrize("package", sorted(HOMES))
def test_third_party_packages_have_one_home(package: str) -> None:
    home = HOMES[package]
    users = {name for name in SOURCES for target, _ in imports(name) if target.split(".")[0] == package}
    assert all(name == home or name.startswith(home + ".") for name in users), users


def test_only_known_packages() -> None:
    known = set(HOMES) | set(PACKAGES) | set(sys.stdlib_module_names)
    for name in SOURCES:
        for target, _ in imports(name):
            assert target.split(".")[0] in known, f"{name} imports {target}"


@pytest.mark.parametrize("name", PURE)
def test_pure_modules(name: str) -> None:
    """Pure: only pure modules and an allow-list; nothing opened, no clock read."""
    assert name in SOURCES, f"{name} is gone: take it off the list"
    for target, _ in imports(name):
        allowed = target in PURE or {target, target.split(".")[0]} & PURE_IMPORTS
        assert allowed, f"{name} imports {target}"
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called != "open" and not called.endswith(".now"), f"{name} calls {called}"


def test_nothing_happens_at_import() -> None:
    """No call at module level opens files, starts processes or reads the clock."""
    banned = re.compile(r"(^open$|\.open$|subprocess\.|os\.(mkdir|makedirs|listdir|walk)|\.read_text$|time\.time$)")
    for name, tree in TREES.items():
        for statement in tree.body:
            if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.If):
                continue
            for node in ast.walk(statement):
                if isinstance(node, ast.Call):
                    assert not banned.search(ast.unparse(node.func)), f"{name}: {ast.unparse(node)}"


def test_files_stay_readable() -> None:
    """About 350 lines a file; 400 is where a split is overdue. Data tables are exempt."""
    tables = {"builder.sandbox.syscalls"}
    long = {name: count for name, path in SOURCES.items() if (count := len(path.read_text().splitlines())) > 400}
    assert not {name for name in long if name not in tables}, long


def test_ops_declare_what_enters_their_key() -> None:
    from builder.plan import graph

    for op in (graph.ImageOp, graph.ScratchOp, graph.LocalOp, graph.RunOp, graph.CopyOp, graph.AddOp, graph.WorkdirOp):
        assert set(op._fields) == op.KEY | op.NOT_KEY, op
        assert not op.KEY & op.NOT_KEY, op


MAP = re.compile(r"(?<=--update-golden -->\n).*?(?=<!-- end -->)", re.DOTALL)


def test_readme_maps_every_module(update_golden: bool) -> None:
    """One line a module: the first line of what it says of itself."""
    lines = ["| module | what it is |", "|---|---|"]
    for name, path in SOURCES.items():
        if path.name != "__init__.py":
            said = (ast.get_docstring(TREES[name]) or "").partition("\n")[0].replace("|", "\\|")
            assert said, f"{path} does not say what it is"
            lines.append(f"| `{path.relative_to(REPOSITORY)}` | {said} |")
    wanted = "\n".join(lines) + "\n"
    readme = REPOSITORY / "README.md"
    text = readme.read_text()
    if update_golden:
        text = MAP.sub(lambda _: wanted, text)
        readme.write_text(text)
    found = MAP.search(text)
    assert found is not None
    assert found[0] == wanted, "run: pytest tests/test_architecture.py --update-golden"
