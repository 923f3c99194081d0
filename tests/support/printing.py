"""Dockerfiles out of their syntax trees: what is printed says the same, in one canonical form.

Only the fields are printed that mean something, never ``text`` or ``source``, so that ``parse(print(ast)) == ast``
shows that the fields hold all that was written.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, assert_never

from builder.dockerfile.blanks import SPACE
from builder.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Dockerfile,
    Entrypoint,
    Env,
    Expose,
    From,
    HealthcheckInstruction,
    Heredoc,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from builder.errors import Span

_NO_JSON_BLANK = "\v"
"""Separates words of a Dockerfile but is no blank of JSON: words that look like a list stay words."""


def printed(tree: Dockerfile) -> bytes:
    lines = [] if tree.escape == "\\" else [f"# escape={tree.escape}"]
    lines += [_instruction(each, tree.escape) for each in tree.global_args]
    for stage in tree.stages:
        lines.append(_from(stage.base, tree.escape))
        lines += [_instruction(each, tree.escape) for each in stage.instructions]
    return "".join(line + "\n" for line in lines).encode()


def meaning(value: Any) -> Any:
    """A tree without what only says where and how it was written."""
    if isinstance(value, Span):
        return None
    if isinstance(value, Dockerfile):
        value = value._replace(warnings=(), source="")
    if hasattr(value, "_fields"):
        fields = {name: meaning(getattr(value, name)) for name in value._fields if name != "text"}
        return (type(value).__name__, fields)
    return tuple(meaning(each) for each in value) if isinstance(value, tuple) else value


def _from(base: From, escape: str) -> str:
    name = [] if base.name is None else ["AS", base.name]
    return _ended(" ".join(("FROM", *_flags(escape, platform=base.platform), *_rest(base.image), *name)), escape)


def _instruction(of: Instruction, escape: str) -> str:
    line = " ".join((_KEYWORDS.get(type(of), type(of).__name__.upper()), *_arguments(of, escape)))
    return _ended(line, escape, trigger=isinstance(of, Onbuild)) + _bodies(of)


def _ended(line: str, escape: str, *, trigger: bool = False) -> str:
    """A line that ends in the escape character without going on in the next one.

    A no-break space keeps it from that, and is no part of what is read; but it would be part of a trigger. Of these
    only the last instruction of a file can end so, behind a continuation that nothing follows.
    """
    end = line.rstrip(" \t")
    if not end.endswith(escape) or end.endswith(escape * 2):
        return line
    return line + escape if trigger else f"{end}\u00a0"


_KEYWORDS: dict[type, str] = {HealthcheckInstruction: "HEALTHCHECK"}


def _arguments(of: Instruction, escape: str) -> Iterable[str]:  # noqa: C901 - one case for every instruction
    match of:
        case Arg():
            items = (name if default is None else f"{name}={default}" for name, default in of.items)
            found = _rest(" ".join(items))
        case Env() | Label():
            found = _rest(" ".join(f"{key}{'  ' if of.legacy else '='}{value}" for key, value in of.pairs))
        case Run():
            flags = _flags(escape, mount=of.mounts, network=of.network, security=of.security, device=of.devices)
            found = (*flags, *_command(of.command, of.shell_form))
        case Copy() | Add():
            found = _files(of, escape)
        case Workdir(path=text) | User(user=text) | StopSignal(signal=text) | Maintainer(name=text):
            found = _rest(text)
        case Expose():
            found = _rest(" ".join(_inside(of.ports, escape)))
        case Volume():
            found = (json.dumps(of.paths),)
        case Cmd() | Entrypoint():
            found = _command(of.command, of.shell_form)
        case Shell():
            found = (json.dumps(of.command),)
        case HealthcheckInstruction():
            found = _healthcheck(of, escape)
        case Onbuild():
            found = (of.trigger,)
        case _:
            assert_never(of)
    return found


def _files(of: Copy | Add, escape: str) -> Iterable[str]:
    flags: dict[str, Any] = {"chown": of.chown, "chmod": of.chmod, "exclude": of.exclude, "link": of.link or None}
    if isinstance(of, Copy):
        flags |= {"from": of.from_stage, "parents": of.parents or None}
    else:
        flags |= {"checksum": of.checksum, "keep-git-dir": of.keep_git_dir, "unpack": of.unpack}
    if of.json_form:
        return (*_flags(escape, **flags), json.dumps((*of.sources, of.dest)))
    words = [word if isinstance(word, str) else _mark(word) for word in of.sources]
    text = " ".join((*words, of.dest))
    if text.startswith("["):
        text = _NO_JSON_BLANK.join((*words, of.dest))
    return (*_flags(escape, **flags), *_rest(text))


def _mark(heredoc: Heredoc) -> str:
    name = heredoc.name
    if heredoc.expand:
        name = "".join(f"\\{char}" if char in "'\"\\" else char for char in name)
    else:
        name = f"'{name}'" if "'" not in name else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{'' if heredoc.fd is None else heredoc.fd}<<{'-' if heredoc.chomp else ''}{name}"


def _bodies(of: Instruction) -> str:
    heredocs: Iterable[object] = (
        of.heredocs if isinstance(of, Run) else of.sources if isinstance(of, Copy | Add) else ()
    )
    return "".join(f"\n{each.raw}{each.name}" for each in heredocs if isinstance(each, Heredoc))


def _healthcheck(of: HealthcheckInstruction, escape: str) -> Sequence[str]:
    if of.test == ("NONE",):
        return of.test
    names = ("interval", "timeout", "start_period", "start_interval")
    flags = {name.replace("_", "-"): f"{getattr(of, name)}ns" for name in names if getattr(of, name)}
    if of.retries:
        flags["retries"] = str(of.retries)
    kind, *words = of.test
    return (*_flags(escape, **flags), "CMD", json.dumps(words) if kind == "CMD" else words[0])


def _command(command: tuple[str, ...], shell_form: bool) -> Iterable[str]:
    return _rest(command[0]) if shell_form else (json.dumps(command),)


def _inside(words: Sequence[str], escape: str) -> Sequence[str]:
    """In another order: at its end a line loses no-break spaces, and continues after an escape character."""
    ends = [word for word in words if word.endswith(escape)]
    odd = [word for word in words if word.strip(SPACE) != word and word not in ends]
    first, *others = *ends, *(word for word in words if word not in ends and word not in odd)
    return [first, *odd, *others]


def _rest(text: str) -> Iterable[str]:
    """Arguments; a bare ``--`` before what looks like a flag."""
    return ("--", text) if text.startswith("--") else (text,) if text else ()


def _flags(escape: str, **values: object) -> Iterable[str]:
    for name, value in values.items():
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, bool):
                yield f"--{name}={str(each).lower()}"
            elif each is not None:
                text = "".join(escape + char if char in {escape, '"'} else char for char in str(each))
                yield f'--{name}="{text}"'
