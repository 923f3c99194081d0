"""Instructions that change the config, in odder forms than ``tests.differential.settings`` has."""

import json

from tests.differential import settings
from tests.differential.draft import Draft
from tests.differential.modern import words

PREDEFINED = ("HTTP_PROXY", "https_proxy", "NO_PROXY", "ALL_PROXY", "ftp_proxy")
AUTOMATIC = (
    "TARGETPLATFORM",
    "TARGETARCH",
    "TARGETOS",
    "BUILDARCH",
    "BUILDPLATFORM",
    "TARGETSTAGE",
    "TARGETVARIANT",
    "BUILDOS",
)


def arguments(draft: Draft) -> str:
    """Several at once; of the line, the file, the command line and what is set by itself."""
    pairs = []
    for _ in range(draft.pick((1, 1, 2, 3))):
        name = draft.pick((*settings.NAMES, *settings.NAMES, *draft.globals, *AUTOMATIC, *PREDEFINED, "BUILDKIT_X"))
        draft.stage.variables.append(name)
        if draft.chance(0.25):
            draft.arguments += ["--build-arg", f"{name}={draft.pick(('given', '', 'a=b', '$A', '1.2', '*', 'x/y'))}"]
        pairs.append(name if draft.chance(0.35) else f"{name}={words.value(draft)}")
    return f"ARG {' '.join(pairs)}"


def env(draft: Draft) -> str:
    if draft.chance(0.15):
        name = draft.pick(settings.NAMES)
        draft.stage.variables.append(name)
        return f"ENV {name} {draft.pick((words.value(draft), f'{words.value(draft)}  {words.value(draft)}', 'a b  '))}"
    pairs = [(draft.pick(settings.NAMES), words.value(draft)) for _ in range(draft.pick((1, 1, 2, 3)))]
    keys = [words.spelt(draft, name) if draft.chance(0.1) else name for name, _ in pairs]
    draft.stage.variables += [name for name, _ in pairs]
    return "ENV " + " ".join(f"{key}={value}" for key, (_, value) in zip(keys, pairs, strict=True))


def label(draft: Draft) -> str:
    keys = ("one", "org.example.key", '"quoted key"', "with-dash", words.variable(draft), "ü", "'k'", "a.$A", "${B}x")
    return "LABEL " + " ".join(f"{draft.pick(keys)}={words.value(draft)}" for _ in range(draft.pick((1, 2, 3))))


def expose(draft: Draft) -> str:
    ports = (
        *(
            "80",
            "443/tcp",
            "53/UDP",
            "8000-8003",
            "9000-9001/udp",
            "22/sctp",
            "0",
            "65535",
            "8080:80",
            "7-7",
            "1-2/TCP",
        ),
        *(
            "127.0.0.1:81:82",
            "[::1]:83:84",
            "8000-8001:9000-9001",
            "${PORT:-81}",
            '"90 91/udp"',
            "${P:-92-93}/udp",
            "080",
        ),
        *(words.spelt(draft, "8443/tcp"), words.spelt(draft, "70-72"), "$UNSET", ":85", "86/"),
    )
    return "EXPOSE " + " ".join(draft.rng.sample(ports, draft.pick((1, 1, 2, 3, 4))))


def healthcheck(draft: Draft) -> str:
    kind = draft.pick(("NONE", "none", "CMD", "CMD", "CMD", "cmd"))
    times = ("5s", "1m30s", "1h", "500ms", "0s", "0", "1.5s", "1ms", "100us", "2h45m", "1000000ns", "-1s", "5", ".5m")
    names = ("interval", "timeout", "start-period", "start-interval")
    flags = [
        f"--{name}={draft.pick(times[:10] if draft.chance(0.9) else times)}" for name in names if draft.chance(0.25)
    ]
    if draft.chance(0.25):
        flags.append(f"--retries={draft.pick(('0', '1', '3', '010', '-1') if draft.chance(0.3) else ('2', '5'))}")
    draft.rng.shuffle(flags)
    forms = (
        "true",
        '["curl", "-f"]',
        "a || exit 1",
        "echo  $HOME ${A:-b}",
        "['x']",
        "[]",
        '["a" ]',
        "\"quoted\" 'text'",
        "",
    )
    text = "" if kind.lower() == "none" else f" {draft.pick(forms[:-1] if draft.chance(0.98) else forms)}"
    return " ".join(("HEALTHCHECK", *flags, f"{kind}{text}"))


def user(draft: Draft) -> str:
    name = draft.pick(
        ("root", "root", "www-data", "1000", "1000:1000", "nobody:users", "0:0", "33", "root:7", "app", "1500")
    )
    draft.stage.user = name
    return f"USER {words.spelt(draft, name)}"


def workdir(draft: Draft) -> str:
    plain = (
        "/app",
        "sub",
        "a/b/c",
        "..",
        "../side",
        "/",
        ".",
        "/app/",
        "./x/../y",
        "/tmp",
        "/tmp/w",
        "/a/../b",
        "~",
        "a//b",
    )
    path = draft.pick((*plain, draft.pick(draft.stage.folders), '"/two words"', '""', f"/w/{words.variable(draft)}"))
    if path.startswith("/") and not set(path) & set("$.'\"\\ {"):
        draft.stage.workdir = path.rstrip("/") or "/"
        draft.stage.folders.append(draft.stage.workdir)
    return f"WORKDIR {words.spelt(draft, path) if path in plain else path}"


def volume(draft: Draft) -> str:
    paths = ("/data", "/b/", "rel/ative", "/v/../w", words.variable(draft), words.spelt(draft, "/spelt"))
    chosen = [draft.pick(paths) for _ in range(draft.pick((1, 1, 2)))]
    return f"VOLUME {json.dumps(chosen) if draft.chance(0.3) else ' '.join(chosen)}"


def stopsignal(draft: Draft) -> str:
    names = ("SIGTERM", "KILL", "9", "sigint", "SIGRTMIN+3", "RTMAX-1", "64", "65", "usr1", "SIGWINCH", "-1", "0")
    return f"STOPSIGNAL {words.spelt(draft, draft.pick(names[:10] if draft.chance(0.95) else names))}"


def shell(draft: Draft) -> str:
    forms = (
        ["/bin/sh", "-ec"],
        ["/bin/sh", "-xc"],
        ["/bin/ash", "-c"],
        ["/bin/busybox", "sh", "-c"],
        ["/bin/sh", "-c", "--"],
    )
    more = (["/bin/echo"], ["/bin/sh"], ["/bin/sh", "-euc"], ["sh", "-c"])
    return f"SHELL {json.dumps(draft.pick(forms if draft.chance(0.9) else more))}"


def command(draft: Draft) -> str:
    forms = (
        *(
            '["a", "b c"]',
            "run --it $HOME",
            "[]",
            '["one"]',
            "['single']",
            '["a" ]',
            "a  b",
            '["x", "\\u00fc\\n"]',
            "",
            '[""]',
        ),
        *(
            '["a",]',
            '["a"] b',
            '["$A", "${B:-c}"]',
            "[ -f x ]",
            "\"q\" 'w' \\$A",
            "a # b",
            "<<EOF",
            '["\\"", "\\\\"]',
            '["<&>"]',
        ),
    )
    return f"{draft.pick(('CMD', 'ENTRYPOINT'))} {draft.pick(forms)}"
