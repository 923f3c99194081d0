"""RUN: the argument vector, the environment, and heredocs. Pure."""

import re

from builder.dockerfile.devices import parse_device
from builder.dockerfile.instructions import Run
from builder.dockerfile.mounts import MountError
from builder.errors import PlanError
from builder.grants import NETWORK_HOST, SECURITY_INSECURE
from builder.plan import titles
from builder.plan.arguments import DEFAULT_HOSTNAME, HOSTNAME
from builder.plan.graph import RunOp, ScriptFile
from builder.plan.lower_mounts import lower_mounts
from builder.plan.mounts import Device
from builder.plan.scope import Scope
from builder.plan.stage_state import StageState
from builder.plan.stages import Ref
from layers.image import ImageConfig

DEFAULT_SHELL = ("/bin/sh", "-c")
SCRIPTS = "/dev/pipes/"
"""Where scripts are mounted while their RUN runs."""

NETWORK = "host"
"""BuildKit's default without a network of its own set up: that of the host."""

_MARK = r"\d*<<-?([^<]+)\Z"
_QUOTES = str.maketrans("", "", "'\"\\")


def in_shell(config: ImageConfig, text: str) -> tuple[str, ...]:
    """The words of a shell form."""
    return (*(config.shell or DEFAULT_SHELL), text)


def run(state: StageState, instruction: Run, sources: tuple[Ref | None, ...], scope: Scope) -> StageState:
    """``sources``: what ``from`` of each mount names."""
    mounts, inputs = lower_mounts(state, instruction, sources, scope) if instruction.mounts else ((), ())
    body, scripts, args = _command(instruction, state.config)
    flags = scope.found.run_flags
    op = RunOp(
        args=args,
        env=state.env.pairs,
        cwd=state.config.workdir or "/",
        user=state.config.user,
        network=_network(instruction, scope),
        hostname=scope.found.arguments.given.get(HOSTNAME, DEFAULT_HOSTNAME),
        scripts=scripts,
        proxy_env=_proxies(state, scope),
        platform=state.config.platform.normalized(),
        mounts=mounts,
        security=_security(instruction, scope),
        devices=_devices(instruction) if instruction.devices else (),
        host_names=tuple(name for name, _ in flags.hosts),
        host_addresses=tuple(address for _, address in flags.hosts),
        ulimits=tuple((limit.name, limit.soft, limit.hard) for limit in flags.ulimits),
        shm_size=flags.shm_size,
        seccomp=scope.found.seccomp,
    )
    title = titles.run(instruction.text, scope.expander(state, instruction), body)
    state, node = scope.step(state, op, inputs, title, instruction)
    return state.noted(f"RUN {' '.join((*_argument_words(state), *args))} # buildkit", node)


def _command(instruction: Run, config: ImageConfig) -> tuple[str | None, tuple[ScriptFile, ...], tuple[str, ...]]:
    """The heredoc that is the whole command, if one is; the script file it is run from; the argument vector."""
    if not instruction.shell_form:
        return None, (), instruction.command
    text = instruction.command[0] if instruction.command else ""
    if not instruction.heredocs:
        return None, (), in_shell(config, text)
    first = instruction.heredocs[0]
    mark = re.match(_MARK, text.strip())
    if len(instruction.heredocs) > 1 or mark is None or mark[1].translate(_QUOTES).strip() != first.name:
        # The shell reads the heredocs itself.
        whole = text + "".join(f"\n{heredoc.raw}{heredoc.name}" for heredoc in instruction.heredocs)
        return None, (), in_shell(config, whole)
    if first.body.startswith("#!"):
        script = ScriptFile(SCRIPTS + first.name, first.body.encode(errors="surrogateescape"), 0o755)
        return first.body, (script,), in_shell(config, script.path)
    return first.body, (), in_shell(config, first.body)


def _proxies(state: StageState, scope: Scope) -> tuple[tuple[str, str], ...]:
    given, around = scope.found.arguments.proxies
    return (*given, *((name, value) for name, value in around if state.env.get(name) is None)) if around else given


def _argument_words(state: StageState) -> list[str]:
    """``|2 A=1 B=``: every ARG in scope with the value that is in force, which ENV may have set."""
    found = {name: state.env.get(name, value or "") for name, value in state.args}
    return [f"|{len(found)}", *(f"{name}={value}" for name, value in found.items())] if found else []


def _network(instruction: Run, scope: Scope) -> str:
    """``host`` or ``none``. Raises PlanError for the host's network where nobody allowed it."""
    grants = scope.found.grants
    asked = instruction.network
    if asked == "host" and not grants.allows(NETWORK_HOST) and grants.network != "host":
        raise _not_allowed("--network=host", NETWORK_HOST, instruction)
    # "default" written at a RUN gives way to --network of the build, as in BuildKit.
    mode = asked if asked not in {None, "default"} else grants.network
    return "none" if mode == "none" else NETWORK


def _security(instruction: Run, scope: Scope) -> str:
    if instruction.security != "insecure":
        return "sandbox"
    if not scope.found.grants.allows(SECURITY_INSECURE):
        raise _not_allowed("--security=insecure", SECURITY_INSECURE, instruction)
    return "insecure"


def _not_allowed(flag: str, right: str, instruction: Run) -> PlanError:
    return PlanError(
        f"RUN {flag} is not allowed",
        span=instruction.span,
        hint=f"whoever builds has to allow it: --allow {right}",
        about=flag,
    )


def _devices(instruction: Run) -> tuple[Device, ...]:
    try:
        parsed = [parse_device(value) for value in instruction.devices]
    except MountError as error:
        raise PlanError(
            f"RUN --device: {error.message}", span=instruction.span, hint=error.hint, about="--device"
        ) from error
    return tuple(Device(device.name, device.required) for device in parsed)
