"""RUN: the argument vector, the environment, and heredocs. Pure."""

import re

from builder.dockerfile.instructions import Run
from builder.errors import Unsupported
from builder.plan import titles
from builder.plan.arguments import DEFAULT_HOSTNAME, HOSTNAME
from builder.plan.graph import RunOp, ScriptFile
from builder.plan.scope import Scope
from builder.plan.stage_state import StageState
from layers.image import ImageConfig

DEFAULT_SHELL = ("/bin/sh", "-c")
SCRIPTS = "/dev/pipes/"
"""Where scripts are mounted while their RUN runs."""

NETWORK = "host"
"""BuildKit's default without a network of its own set up: that of the host."""

_MARK = re.compile(r"\d*<<-?([^<]+)\Z")
_QUOTES = str.maketrans("", "", "'\"\\")


def in_shell(config: ImageConfig, text: str) -> tuple[str, ...]:
    """The words of a shell form."""
    return (*(config.shell or DEFAULT_SHELL), text)


def run(state: StageState, instruction: Run, scope: Scope) -> StageState:
    _refuse(instruction)
    body, scripts, args = _command(instruction, state.config)
    values = dict(state.env)
    op = RunOp(
        args=args,
        env=state.env,
        cwd=state.workdir,
        user=state.config.user,
        network=NETWORK,
        hostname=scope.found.arguments.given.get(HOSTNAME, DEFAULT_HOSTNAME),
        scripts=scripts,
        proxy_env=scope.found.arguments.proxies,
        platform=state.config.platform.normalized(),
    )
    title = titles.run(instruction.text, scope.expander(state, instruction), body)
    state, node = scope.step(state, op, (), title, instruction)
    return state.noted(f"RUN {' '.join((*_argument_words(state, values), *args))} # buildkit", node)


def _command(instruction: Run, config: ImageConfig) -> tuple[str | None, tuple[ScriptFile, ...], tuple[str, ...]]:
    """The heredoc that is the whole command, if one is; the script file it is run from; the argument vector."""
    if not instruction.shell_form:
        return None, (), instruction.command
    text = instruction.command[0] if instruction.command else ""
    if not instruction.heredocs:
        return None, (), in_shell(config, text)
    first = instruction.heredocs[0]
    mark = _MARK.match(text.strip())
    if len(instruction.heredocs) > 1 or mark is None or mark[1].translate(_QUOTES).strip() != first.name:
        # The shell reads the heredocs itself.
        whole = text + "".join(f"\n{heredoc.raw}{heredoc.name}" for heredoc in instruction.heredocs)
        return None, (), in_shell(config, whole)
    if first.body.startswith("#!"):
        script = ScriptFile(SCRIPTS + first.name, first.body.encode(errors="surrogateescape"), 0o755)
        return first.body, (script,), in_shell(config, script.path)
    return first.body, (), in_shell(config, first.body)


def _argument_words(state: StageState, values: dict[str, str]) -> list[str]:
    """``|2 A=1 B=``: every ARG in scope with the value that is in force, which ENV may have set."""
    found = {name: values.get(name, value or "") for name, value in state.args}
    return [f"|{len(found)}", *(f"{name}={value}" for name, value in found.items())] if found else []


def _refuse(instruction: Run) -> None:
    if instruction.mounts:
        what, hint = "--mount", "copy what the step needs, or fetch it in the step itself"
    elif instruction.network not in {None, "default"}:
        what, hint = f"--network={instruction.network}", "leave it out: the step has the host's network"
    elif instruction.security not in {None, "sandbox"}:
        what, hint = f"--security={instruction.security}", "leave it out: every step runs in the sandbox"
    elif instruction.devices:
        what, hint = "--device", "leave it out: steps have the usual devices only"
    else:
        return
    raise Unsupported(f"RUN {what} is not supported yet", span=instruction.span, hint=hint)
