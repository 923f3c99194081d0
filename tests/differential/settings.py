"""Generated instructions that only change the config, and WORKDIR."""

import json
from collections.abc import Callable

from tests.differential.draft import Draft

NAMES = ("A", "B", "APP_HOME", "version", "X_1", "PATH_EXTRA", "long_name_of_a_variable")


def env(draft: Draft) -> str:
    if draft.chance(0.2):
        name = draft.pick(NAMES)
        draft.stage.variables.append(name)
        return f"ENV {name} {draft.pick(('some text', 'x', draft.value(), f'{draft.value()}  {draft.value()}'))}"
    pairs = [(draft.pick(NAMES), draft.value()) for _ in range(draft.pick((1, 1, 2, 3)))]
    draft.stage.variables += [name for name, _ in pairs]
    return "ENV " + " ".join(f"{name}={value}" for name, value in pairs)


def path_env(draft: Draft) -> str:
    return f"ENV PATH={draft.pick(('/opt/bin:$PATH', '$PATH:/opt/bin', '${PATH:-none}:/x'))}"


def arg(draft: Draft) -> str:
    name = draft.pick((*NAMES, *draft.globals, "TARGETARCH", "HTTP_PROXY"))
    draft.stage.variables.append(name)
    if draft.chance(0.3):
        draft.arguments += ["--build-arg", f"{name}={draft.pick(('given', '', 'a=b', '$HOME', '1.2'))}"]
    return f"ARG {name}" if draft.chance(0.3) else f"ARG {name}={draft.value()}"


def label(draft: Draft) -> str:
    keys = ("one", "org.example.key", '"quoted key"', "with-dash", draft.variable())
    return "LABEL " + " ".join(f"{draft.pick(keys)}={draft.value()}" for _ in range(draft.pick((1, 2, 3))))


def workdir(draft: Draft) -> str:
    path = draft.pick(
        (
            *(
                "/app",
                "/srv/www",
                "sub",
                "a/b/c",
                "..",
                "../side",
                "/",
                ".",
                "/app/",
                "./x/../y",
                '"/quoted dir"',
                "/tmp",
            ),
            *(f"/w/{draft.variable()}", f"{draft.variable()}", "/opt/$UNSET/end", draft.pick(draft.stage.folders)),
        )
    )
    if path.startswith("/") and not set(path) & set("$.'\"\\"):
        draft.stage.workdir = path.rstrip("/") or "/"
        draft.stage.folders.append(draft.stage.workdir)
    return f"WORKDIR {path}"


def user(draft: Draft) -> str:
    draft.stage.user = draft.pick(
        ("root", "root", "www-data", "1000", "1000:1000", "nobody:users", "0:0", "33", "root:7")
    )
    return f"USER {draft.stage.user}"


def shell(draft: Draft) -> str:
    words = draft.pick((["/bin/sh", "-ec"], ["/bin/sh", "-xc"], ["/bin/ash", "-c"], ["/bin/busybox", "sh", "-c"]))
    return f"SHELL {json.dumps(words)}"


def expose(draft: Draft) -> str:
    ports = ("80", "443/tcp", "53/udp", "53/UDP", "8000-8003", "9000-9001/udp", "22/sctp", "${PORT:-81}", "80")
    return "EXPOSE " + " ".join(draft.rng.sample(ports, draft.pick((1, 1, 2, 3))))


def volume(draft: Draft) -> str:
    return draft.pick(
        (
            "VOLUME /data",
            "VOLUME /a /b/",
            'VOLUME ["/j", "/two words"]',
            "VOLUME rel/ative",
            f"VOLUME /v/{draft.variable()}",
        )
    )


def stopsignal(draft: Draft) -> str:
    return f"STOPSIGNAL {draft.pick(('SIGTERM', 'KILL', '9', 'sigint', 'SIGRTMIN+3', '${UNSET:-SIGHUP}'))}"


def healthcheck(draft: Draft) -> str:
    if draft.chance(0.2):
        return draft.pick(("HEALTHCHECK NONE", "HEALTHCHECK none"))
    options = (
        "--interval=5s",
        "--timeout=1m30s",
        "--start-period=0s",
        "--retries=3",
        "--interval=1h",
        "--timeout=500ms",
    )
    flags = {option.split("=")[0]: option for option in draft.rng.sample(options, draft.pick((0, 1, 2)))}
    command = draft.pick(("CMD true", 'CMD ["curl", "-f", "http://x/"]', "CMD a || exit 1", "cmd echo  $HOME"))
    return " ".join(("HEALTHCHECK", *flags.values(), command))


def command(draft: Draft) -> str:
    form = draft.pick(
        ('["a", "b c"]', "run --it $HOME", "[]", '["one"]', "['single']", '["a" ]', "a  b", '["x", "\\u00fc\\n"]')
    )
    return f"{draft.pick(('CMD', 'ENTRYPOINT'))} {form}"


def maintainer(draft: Draft) -> str:
    return f"MAINTAINER {draft.pick(('Some One <one@example.org>', '  two  blanks ', '$HOME'))}"


INSTRUCTIONS: tuple[tuple[int, Callable[[Draft], str]], ...] = (
    (12, env),
    (2, path_env),
    (7, arg),
    (5, label),
    (9, workdir),
    (4, user),
    (3, shell),
    (3, expose),
    (2, volume),
    (2, stopsignal),
    (2, healthcheck),
    (4, command),
    (1, maintainer),
)
