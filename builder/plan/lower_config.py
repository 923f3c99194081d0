"""Instructions that only change the image's config: each gives the new state with its history entry. Pure."""

from typing import assert_never

from builder.dockerfile.instructions import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    Expose,
    HealthcheckInstruction,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    StopSignal,
    User,
    Volume,
)
from builder.errors import PlanError
from builder.plan import gotext
from builder.plan.arguments import NOT_IN_ENVIRONMENT
from builder.plan.growing import Assignments
from builder.plan.lower_run import in_shell
from builder.plan.ports import mapped, parse_ports
from builder.plan.scope import Scope
from builder.plan.signals import is_signal
from builder.plan.stage_state import StageState
from layers.image import Healthcheck, ImageConfig

Process = Cmd | Entrypoint | Shell | HealthcheckInstruction | StopSignal | User
"""How a container of the image is run."""

Data = Label | Expose | Volume | Onbuild | Maintainer
"""What is said about the image."""

Variables = Arg | Env


def process(state: StageState, instruction: Process, scope: Scope) -> StageState:
    config = state.config
    expander = scope.expander(state, instruction)
    match instruction:
        case Cmd():
            words = _command(instruction, config)
            config = config._replace(cmd=words or None, args_escaped=True)
            state, text = state._replace(cmd_set=True), f"CMD {gotext.quoted_words(words)}"
        case Entrypoint():
            words = _command(instruction, config)
            # A CMD of the base was meant for the base's entry point.
            config = config._replace(entrypoint=words or None, cmd=config.cmd if state.cmd_set else None)
            text = f"ENTRYPOINT {gotext.quoted_words(words)}"
        case Shell(command=words):
            config, text = config._replace(shell=words), f"SHELL {gotext.words(words)}"
        case HealthcheckInstruction():
            check = _healthcheck(instruction)
            config, text = config._replace(healthcheck=check), f"HEALTHCHECK {gotext.healthcheck(check)}"
        case StopSignal():
            signal = _signal(expander.word(instruction.signal), instruction)
            config, text = config._replace(stop_signal=signal), f"STOPSIGNAL {signal}"
        case User():
            user = expander.word(instruction.user)
            config, text = config._replace(user=user), f"USER {user}"
        case _:
            assert_never(instruction)
    return state._replace(config=config).noted(text)


def data(state: StageState, instruction: Data, scope: Scope) -> StageState:
    config = state.config
    expander = scope.expander(state, instruction)
    match instruction:
        case Label():
            pairs = [(expander.word(key), expander.word(value)) for key, value in instruction.pairs]
            state = state._replace(named=state.named._replace(labels=_merged(state.named.labels, pairs)))
            text = _pairs_text("LABEL", pairs)
        case Expose():
            ports = _ports(state, instruction, scope)
            config = config._replace(ports=tuple(dict.fromkeys((*config.ports, *ports))))
            text = f"EXPOSE {gotext.words(ports)}"
        case Volume():
            paths = tuple(expander.word(path) for path in instruction.paths)
            if "" in paths:
                raise PlanError(
                    "VOLUME specified can not be an empty string",
                    span=instruction.span,
                    hint="give a path; is a variable unset?",
                    about=instruction.paths[paths.index("")],
                )
            config = config._replace(volumes=tuple(dict.fromkeys((*config.volumes, *paths))))
            text = f"VOLUME {gotext.words(paths)}"
        case Maintainer(name=name):
            config, text = config._replace(author=name), f"MAINTAINER {name}"
        case Onbuild(trigger=trigger):
            return state._replace(config=config._replace(onbuild=(*config.onbuild, trigger)))
        case _:
            assert_never(instruction)
    return state._replace(config=config).noted(text)


def variables(state: StageState, instruction: Variables, scope: Scope) -> StageState:
    if isinstance(instruction, Arg):
        return _arg(state, instruction, scope)
    expander = scope.expander(state, instruction)
    pairs = [(expander.word(key), expander.word(value)) for key, value in instruction.pairs]
    for key, value in pairs:
        state = state.with_env(key, value)
    named = state.named._replace(env=_merged(state.named.env, pairs))
    return state._replace(named=named).noted(_pairs_text("ENV", pairs))


def _arg(state: StageState, instruction: Arg, scope: Scope) -> StageState:
    """A value comes from ``--build-arg``, else from the line, else from a global ARG, else there is none.

    Later items of a line see the earlier ones, unlike ENV's.
    """
    arguments = scope.found.arguments
    shown = []
    for name, default in instruction.items:
        value = arguments.given.get(name)
        if value is None and default is not None:
            value = scope.expander(state, instruction).word(default)
        if value is None:
            value = arguments.globals.get(name)
        if value is not None and name not in NOT_IN_ENVIRONMENT:
            state = state.with_env(name, value)
        state = state._replace(args=state.args.plus((name, value)))
        shown.append(name if value is None else f"{name}={value}")
    return state.noted(f"ARG {' '.join(shown)}")


def _merged(found: Assignments, added: list[tuple[str, str]]) -> Assignments:
    for key, value in added:
        found = found.assign(key, value)
    return found


def _pairs_text(keyword: str, pairs: list[tuple[str, str]]) -> str:
    return " ".join((keyword, *(f"{key}={value}" for key, value in pairs)))


def _command(instruction: Cmd | Entrypoint, config: ImageConfig) -> tuple[str, ...]:
    if not instruction.shell_form:
        return instruction.command
    return in_shell(config, instruction.command[0] if instruction.command else "")


def _healthcheck(instruction: HealthcheckInstruction) -> Healthcheck:
    if instruction.test[:1] == ("NONE",):
        return Healthcheck(instruction.test)
    return Healthcheck(
        instruction.test,
        instruction.interval,
        instruction.timeout,
        instruction.start_period,
        instruction.start_interval,
        instruction.retries,
    )


def _signal(signal: str, instruction: StopSignal) -> str:
    if not is_signal(signal):
        raise PlanError(
            f"invalid signal: {signal}",
            span=instruction.span,
            hint="give a name like SIGTERM, or a number above 0",
            about=instruction.signal,
        )
    return signal


def _ports(state: StageState, instruction: Expose, scope: Scope) -> tuple[str, ...]:
    """Words are sorted as they were written, before anything in them is expanded: BuildKit's parser does."""
    expander = scope.expander(state, instruction)
    words = [word for raw in sorted(instruction.ports) for word in expander.words(raw)]
    for word in words:
        if mapped(word):
            scope.warn(
                f"EXPOSE {word}: only the container's port counts, mappings are for docker run", instruction.span
            )
    found: list[str] = []
    for word in words:
        try:
            found += parse_ports([word])
        except ValueError as error:
            hint = "ports look like 80, 53/udp or 8000-8010"
            raise PlanError(str(error), span=instruction.span, hint=hint, about=word) from error
    return tuple(found)
