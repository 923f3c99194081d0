"""What ``pybuild build`` does, and what ``pybuild plan`` shares with it, however the options were read."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from builder.cli.buildx import check_environment
from builder.cli.commands import SUMMARIES
from builder.cli.outputs import parse_outputs
from builder.cli.progress import choose, renderer
from builder.cli.session import Session, current_host, say
from builder.cli.sources import Inputs, Staging, check_contexts, read_files
from builder.events import Warned
from builder.grants import NO_GRANTS, Grants
from builder.report.clipping import Clipper, Limits, from_environment
from builder.report.hub import Hub
from builder.request import EPOCH, BuildRequest
from builder.settings import FlagError, Flags, Host, absolute, from_flags, named_values, parse_bool, store_root
from registry.configfiles import docker_config

_clock = time.time  # noqa: TID251 - events are dated with it
_KEEP_GIT_DIR = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
_UNCONFINED = "seccomp=unconfined"
_RESULT_FILES = ("iidfile", "metadata_file", "digest_file")
_WITH_MANIFEST = frozenset({"oci", "docker", "load", "registry"})

_OF_RUNS = ("add_host", "ulimit", "shm_size")
"""What ``cli.runflags`` reads."""
_OF_GRANTS = ("secret", "ssh", "network", "allow")
"""What ``cli.grants`` reads."""


def run_build(session: Session, given: Mapping[str, Any]) -> None:
    """``given``: the values of ``cli.options.BUILD`` by their keys, and ``path``. Raises PybuildError."""
    session.debug = given["debug"]
    session.enter_namespace()
    host = current_host()
    terminal = sys.stderr.isatty()
    mode = choose(given["progress"], host.environ, quiet=given["quiet"], terminal=terminal)
    session.json = mode == "json"
    request = make_request(session, {**given, "progress": mode}, host)
    _check_standard_output(request, quiet=mode == "quiet")
    if given["digest_file"] is not None and not any(output.type in _WITH_MANIFEST for output in request.outputs):
        raise FlagError("--digest-file: nothing that is asked for has a digest", hint="add --push or -o type=oci")
    files = {key: absolute(host.cwd, given[key]) for key in _RESULT_FILES if given[key] is not None}
    for key, file in files.items():
        _make_way(f"--{key.replace('_', '-')} {given[key]}", os.path.realpath(file))
    _build(session, request, mode, host.environ, files)


def _check_no_command(path: str, cwd: str) -> None:
    """Other programs take options before their commands. Raises FlagError."""
    if path in SUMMARIES and not os.path.exists(absolute(cwd, path)):
        raise FlagError(f"{path} is a command, not a directory", hint=f"write it first: pybuild {path} ...")


def _make_way(flag: str, file: str) -> None:
    """What an earlier build left must not be taken for the result of one that fails. Raises FlagError for a place
    where no file can be, before anything is built."""
    if os.path.isdir(file):
        raise FlagError(f"{flag} is a directory", hint="name a file in it")
    parent = os.path.dirname(file)
    if not os.path.isdir(parent):
        raise FlagError(f"{flag}: there is no directory {parent}", hint="make it first")
    if os.path.isfile(file):
        os.unlink(file)


def make_request(session: Session, given: Mapping[str, Any], host: Host) -> BuildRequest:
    """From the options of ``build`` or ``plan``. Raises FlagError."""
    check_environment(host.environ, metadata=given.get("metadata_file") is not None)
    outputs = parse_outputs(
        given.get("output", ()), host.cwd, load=given.get("load", False), push=given.get("push", False)
    )
    build_args = (*_build_arg_files(given, host), *given["build_arg"])
    flags = Flags(
        tags=given.get("tag", ()),
        target=given["target"],
        build_args=build_args,
        labels=given["label"],
        platforms=given["platform"],
        no_cache=given["no_cache"],
        outputs=outputs,
        build_contexts=given["build_context"],
        root=given["root"],
        pull=given["pull"],
        security_opts=_security_options(session, given.get("security_opt", ())),
    )
    _check_no_command(given["path"], host.cwd)
    grants = _grants(given, host)
    staging = session.resources.enter_context(
        Staging(store_root(given["root"], host), session.connector(host.environ), host.environ, grants, _tell(given))
    )
    steering = named_values(build_args, host.environ)
    inputs = Inputs(
        given["path"],
        given["file"],
        given["ignorefile"],
        host.cwd,
        keep_git_dir=parse_bool(steering.get(_KEEP_GIT_DIR) or "") or False,
        commit_times=bool(steering.get(EPOCH) or (EPOCH not in steering and host.environ.get(EPOCH))),
        policed=session.policed,
    )
    files = read_files(inputs, staging)
    session.sources[files.dockerfile_path] = files.dockerfile_text
    session.sources.update(files.ignores)
    request = from_flags(flags, files, host._replace(docker_config=docker_config(host.environ)))
    check_contexts(request)
    return _with_run_flags(request._replace(grants=grants), given)


def _security_options(session: Session, given: Sequence[str]) -> tuple[str, ...]:
    """Those that are known here: BuildKit has none, and warns of all."""
    words = [word for text in given for word in text.split(",") if word]
    for word in words:
        if word.replace(":", "=", 1) != _UNCONFINED:
            session.warnings.append(
                f"--security-opt {word} is ignored: there is {_UNCONFINED}, and RUN --security=insecure"
            )
    return tuple(word for word in words if word.replace(":", "=", 1) == _UNCONFINED)


def _build_arg_files(given: Mapping[str, Any], host: Host) -> tuple[str, ...]:
    if not given["build_arg_file"]:
        return ()
    from builder.cli.runflags import read_build_arg_files

    return read_build_arg_files(given["build_arg_file"], host.cwd)


def _with_run_flags(request: BuildRequest, given: Mapping[str, Any]) -> BuildRequest:
    stages = tuple(
        name.strip().lower() for text in given["no_cache_filter"] for name in text.split(",") if name.strip()
    )
    if stages:
        request = request._replace(no_cache_filter=tuple(dict.fromkeys(stages)))
    annotations = given.get("annotation", ())
    if not annotations and not any(given[name] for name in _OF_RUNS):
        return request
    from builder.cli.runflags import parse_annotations, parse_run_flags

    found = parse_annotations(annotations, request.platform)
    if found and not any(output.type in _WITH_MANIFEST for output in request.outputs):
        raise FlagError("--annotation: nothing that is asked for has a manifest", hint="add --push or -o type=oci")
    return request._replace(run_flags=parse_run_flags(given), annotations=found)


def _tell(given: Mapping[str, Any]) -> Callable[[str, bool], None]:
    """Says what is fetched before there is a build, in the words of plain progress; not where programs read."""
    silent = given.get("quiet") or given.get("as_json") or given.get("progress") not in {None, "auto", "plain", "tty"}

    def tell(what: str, start: bool) -> None:
        if start and not silent:
            sys.stderr.write(f"#0 fetching {what}\n")
            sys.stderr.flush()

    return tell


def _grants(given: Mapping[str, Any], host: Host) -> Grants:
    if not any(given[name] for name in _OF_GRANTS):
        return NO_GRANTS
    from builder.cli.grants import parse_grants

    return parse_grants(given, host)


def _check_standard_output(request: BuildRequest, *, quiet: bool) -> None:
    if not any(output.dest == "-" for output in request.outputs):
        return
    if quiet:
        raise FlagError("--quiet prints the image id where the output goes", hint="use --iidfile, or -o with dest=FILE")
    if sys.stdout.isatty():
        raise FlagError(
            "an archive is not written to a terminal", hint="redirect standard output, or use -o type=tar,dest=FILE"
        )


def _build(
    session: Session, request: BuildRequest, mode: str, environ: Mapping[str, str], files: Mapping[str, str]
) -> None:
    from builder import api

    interrupts = session.interrupts
    show = renderer(mode, environ, debug=session.debug)
    limits = _output_limits(environ)
    with interrupts, Hub(show, on_failure=interrupts.cancelled.set) as hub:
        if session.notice is not None:
            hub.emit(Warned(_clock(), None, "; ".join(session.notice)))
        for text in session.warnings:
            hub.emit(Warned(_clock(), None, text))
        result = api.build(
            request, Clipper(hub.emit, limits), cancelled=interrupts.cancelled, connect=session.connector(environ)
        )
    if files:
        from builder.output.metadata import iid_text, metadata_text

        if "iidfile" in files:
            write_file(files["iidfile"], iid_text(result.image_id))
        if "metadata_file" in files:
            write_file(files["metadata_file"], metadata_text(result))
        if "digest_file" in files and result.descriptor is not None:
            write_file(files["digest_file"], str(result.descriptor.digest))
    if mode == "quiet":
        say(result.image_id)


def _output_limits(environ: Mapping[str, str]) -> Limits:
    try:
        return from_environment(environ)
    except ValueError as error:
        raise FlagError(str(error), hint="write a number of bytes, or -1 for no limit") from None


def write_file(path: str, text: str) -> None:
    """Whole or not at all."""
    from layers.atomic import replacing

    with replacing(path) as write:
        write(text.encode())
