"""RUN --mount of every type, with its keys in any order, spelling and number."""

import re
from collections.abc import Callable, Sequence

from tests.differential.draft import Draft
from tests.differential.modern import words

TRUE = ("true", "1", "t", "TRUE", "True")
FALSE = ("false", "0", "f", "FALSE")


def flags(draft: Draft) -> str:
    """Of one RUN, with a blank after each. What the mounts hold is told by ``telling``."""
    mounts = [draft.pick(_TYPES)(draft) for _ in range(draft.pick((1, 1, 1, 2, 2, 3)))]
    return "".join(f"--mount={mount} " for mount in mounts)


def run_mounts(draft: Draft) -> str:
    """A RUN that writes down what is in its mounts, and writes into them."""
    mounts = [draft.pick(_TYPES)(draft) for _ in range(draft.pick((1, 1, 1, 2, 2, 3)))]
    place = f"/tmp/mounts{draft.rng.randint(0, 99)}"
    draft.stage.files.append(place)
    commands = [f"{draft.pick(_TELLING)} >> {place} 2>&1" for _ in range(draft.pick((1, 2, 3)))]
    head = "".join(f"--mount={mount} " for mount in mounts)
    return f"RUN {head}{'; '.join(commands)}; true".replace("{m}", draft.pick(draft.targets or ["/mnt"]))


_TELLING = (
    *("ls -ln {m} | grep -v ^total | tr -s ' ' | cut -d ' ' -f 1,3,4,9-", "stat -c '%a %u %g %F' {m}", "cat {m}"),
    *("find {m} | sort", "echo in >> {m}/written", "echo over > {m}", "cat {m}/*", "touch {m}/new && ls {m}"),
    *("grep -c ' {m} ' /proc/mounts", "echo $SSH_AUTH_SOCK", 'echo "$TOKEN ${A-unset}"', "rmdir {m}; ls -d {m}"),
    *(
        "grep ' {m} ' /proc/mounts | cut -d ' ' -f 3 | grep -c tmpfs",
        "ls -a /run /run/secrets",
        "mkdir -p {m}/made/deep",
    ),
    *("[ -w {m} ] && echo writable", "cd {m} && pwd && ls -a", "mv {m} /moved", "rm -rf {m}/*; ls -A {m}"),
)


def _csv(draft: Draft, pairs: Sequence[str]) -> str:
    pairs = [pair for pair in pairs if pair]
    if draft.chance(0.3):
        pairs = draft.rng.sample(pairs, len(pairs))
    if draft.chance(0.015):
        pairs = [
            *pairs,
            draft.pick(("nosuch=1", "target", "ro=maybe", "mode=9", "uid=x", "", "from", "type=bind", "rw,ro")),
        ]
    if draft.chance(0.1):
        pairs = [re.sub("^[a-z]+", lambda name: name[0].upper(), pair) for pair in pairs]
    text = ",".join(pairs)
    return (
        draft.pick((text, text, text, text, f'"{text}"', f"'{text}'")) if "'" not in text and '"' not in text else text
    )


def _target(draft: Draft, *, often: Sequence[str] = (), instead: Sequence[str] = ()) -> str:
    place = draft.pick(
        (
            *(
                "/mnt",
                "/mnt/deep/er",
                "/m",
                "rel",
                "./rel/two",
                "/a/../m1",
                "/m2/",
                "/tmp/m",
                "/var/www",
                "/etc",
                "/root",
            ),
            *("/home/x", "/m n" if draft.chance(0.05) else "/mm", *often),
        )
    )
    if instead:
        place = draft.pick(instead)
    if draft.chance(0.01):
        return ""
    draft.targets.append(f"{draft.stage.workdir.rstrip('/')}/{place.removeprefix('./')}" if place[0] != "/" else place)
    return f"{draft.pick(('target', 'dst', 'destination', 'target'))}={words.spelt(draft, place)}"


def _from(draft: Draft) -> str:
    places = [reference for stage in draft.stages for reference in stage.references if not reference.isdigit()]
    places += sorted(draft.named)
    return f"from={draft.pick((*places, *places, 'base', 'scratch'))}"


def _type(draft: Draft, name: str) -> str:
    return f"type={draft.pick((name, name, name, name.upper(), words.spelt(draft, name)))}"


def _bind(draft: Draft) -> str:
    origin = _from(draft) if draft.chance(0.4) else ""
    if not origin:
        inside = (*draft.tree.files, *draft.tree.folders, *draft.tree.links, ".", "/")
    elif origin == "from=base" or draft.chance(0.2):
        inside = ("/etc", "/etc/passwd", "etc/group", "/", "/var", "/tmp")
    else:
        inside = ("/", ".", "/../", "x/..")
    source = draft.pick([path for path in inside if " " not in path])
    is_file = source in draft.tree.files or source.endswith(("passwd", "group"))
    places = ("/etc/passwd", "/in.txt", "/new/er", "rel.txt") if is_file else ()
    access = ("", "", "rw", "readwrite", "ro", "readonly", f"rw={draft.pick(TRUE)}", f"ro={draft.pick(FALSE)}")
    return _csv(
        draft,
        (
            "" if draft.chance(0.3) else _type(draft, "bind"),
            _target(draft, instead=places if draft.chance(0.95) else ()),
            "" if draft.chance(0.05) else f"{draft.pick(('source', 'src'))}={words.spelt(draft, source)}",
            origin,
            draft.pick((*access, f"rw={draft.pick(FALSE)}", f"readonly={draft.pick(TRUE)}")),
        ),
    )


def _cache(draft: Draft) -> str:
    """Its id has the label of the case: others that run beside it have caches of their own."""
    return _csv(
        draft,
        (
            _type(draft, "cache"),
            _target(draft),
            f"id={draft.label}{draft.pick(('', '', '/x', '-two'))}",
            draft.pick(("", "", "sharing=shared", "sharing=private", "sharing=locked", "sharing=LOCKED")),
            draft.pick(("", "", "", "mode=0700", "mode=1777", "mode=0")),
            draft.pick(("", "", "", "uid=33", "uid=1000", "gid=7")),
            draft.pick(("", "", "", "ro", "readonly=false", "rw")),
            draft.pick(("", "", "", "from=base,source=/etc", _from(draft))),
        ),
    )


def _tmpfs(draft: Draft) -> str:
    size = draft.pick(("", "", "size=1m", "size=100k", "size=1048576", "size=1g", "size=0", "size=1x", "size=2.5m"))
    return _csv(draft, (_type(draft, "tmpfs"), _target(draft), size))


def _secret(draft: Draft) -> str:
    name = draft.pick((*draft.secrets, *draft.secrets, "absent"))
    return _csv(
        draft,
        (
            _type(draft, "secret"),
            "" if draft.chance(0.02) else f"{draft.pick(('id', 'id', 'source', 'src'))}={words.spelt(draft, name)}",
            draft.pick(("", "", _target(draft, often=("/run/s", "/etc/secret", "/tmp/s")))),
            draft.pick(("", "", "env=TOKEN", "env=A", "env" if draft.chance(0.1) else "")),
            draft.pick(("", "", "required=false", *((f"required={draft.pick(TRUE)}",) if name != "absent" else ()))),
            draft.pick(("", "", "mode=0444", "mode=440", "mode=0500")),
            draft.pick(("", "", "uid=33", "uid=1000,gid=7", "gid=33")),
        ),
    )


def _ssh(draft: Draft) -> str:
    """No agent is given to any case."""
    return _csv(
        draft,
        (
            _type(draft, "ssh"),
            draft.pick(("", "", "id=default", "id=other")),
            draft.pick(("", "", _target(draft, often=("/run/agent", "/tmp/agent.sock")))),
            draft.pick(("", "", "required=false", "required" if draft.chance(0.05) else "")),
            draft.pick(("", "", "mode=0666", "uid=33")),
        ),
    )


_TYPES: tuple[Callable[[Draft], str], ...] = (_bind, _bind, _bind, _cache, _cache, _tmpfs, _secret, _secret, _ssh)
