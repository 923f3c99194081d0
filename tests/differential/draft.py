"""What the generator knows while it writes: the stage, what is probably in it, and how words are written."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tests.differential.trees import Tree

T = TypeVar("T")

BASE_FILES = ("/etc/passwd", "/etc/group", "/etc/shadow")
BASE_FOLDERS = ("/etc", "/tmp", "/var/www", "/var/spool", "/home", "/usr", "/root")
SCRATCH_FOLDERS = ("/",)


@dataclass(slots=True)
class Stage:
    """``files`` and ``folders`` are absolute paths that are probably there. ``onbuild``: it has triggers."""

    index: int
    name: str | None
    scratch: bool
    files: list[str] = field(default_factory=lambda: list(BASE_FILES))
    folders: list[str] = field(default_factory=lambda: list(BASE_FOLDERS))
    variables: list[str] = field(default_factory=list)
    workdir: str = "/"
    user: str = "root"
    onbuild: bool = False

    def child(self, index: int, name: str | None) -> "Stage":
        return replace(
            self,
            index=index,
            name=name,
            onbuild=False,
            files=list(self.files),
            folders=list(self.folders),
            variables=list(self.variables),
        )

    @property
    def references(self) -> tuple[str, ...]:
        """What ``COPY --from=`` may call it."""
        return (str(self.index),) if self.name is None else (str(self.index), self.name, self.name.upper())


@dataclass(slots=True)
class Draft:
    """``ignoring``: there is a .dockerignore, so that files named one by one may not be found. ``named``: directories
    of the context that are contexts of their own, by name. ``targets``: where something was mounted."""

    rng: random.Random
    label: str
    tree: Tree
    ignoring: bool
    stage: Stage
    stages: list[Stage] = field(default_factory=list)
    globals: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    def pick(self, options: Sequence[T]) -> T:
        return self.rng.choice(options)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def new_name(self) -> str:
        return self.pick(("new", "made", "out", "n.txt", "deep/er", "d1", "d2", "copy", ".dot"))

    def new_path(self) -> str:
        """Somewhere to write to, absolute; below /tmp for an ordinary user."""
        if self.stage.user != "root":
            return f"/tmp/{self.new_name()}"
        folder = self.pick(self.stage.folders)
        return f"{folder.rstrip('/')}/{self.new_name()}"

    def reference(self) -> str:
        """A reference to a variable that is mostly set, without quotes."""
        name = self.pick((*self.stage.variables, *self.stage.variables, "UNSET"))
        braced = ("", "", ":-other", ":+set", ":-${UNSET:-in}", ":+$HOME", ":-", ":+x")
        forms = [f"${{{name}{modifier}}}" for modifier in braced]
        return self.pick((*forms, f"${name}", f"${name}", f"x${{{name}}}y", f"${name}.z", f"${name}-${{{name}}}"))

    def variable(self) -> str:
        """A reference in one of the ways of quoting it, or of keeping it from being one."""
        plain = self.reference()
        return self.pick((plain, plain, plain, f"\\{plain}", f"'{plain}'", f'"{plain}"'))

    def value(self) -> str:
        """One word of ENV, LABEL or ARG after the equals sign."""
        return self.pick(
            (
                *(
                    "one",
                    "1",
                    '"two words"',
                    "'single $quoted'",
                    r"back\ slash",
                    '"dq \\" in"',
                    "it\\'s",
                    '""',
                    "a=b",
                    "ü",
                ),
                *("/opt/dir", "path/to", "a#b", '"# no comment"', "x,y;z", '"tab\tin"', "%s{}"),
                *(self.variable() for _ in range(9)),
                f'"{self.reference()} and {self.reference()}"',
                f"{self.variable()}-{self.reference()}",
            )
        )

    def owner(self) -> str:
        return self.pick(("root", "33", "1000:1000", "www-data", "www-data:users", "nobody", ":7", "0:0", "12345"))

    def mode(self) -> str:
        return self.pick(("755", "0644", "600", "1777", "700", "0440"))
