"""Generated RUN instructions: shell that makes, changes, moves and removes files."""

import json
from collections.abc import Callable

from tests.differential.draft import BASE_FILES, Draft

OUTPUTS = (
    "id",
    "pwd",
    "umask",
    "echo $HOME",
    "echo $PATH",
    "env | grep -v -e PWD= -e ^OTEL_ -e ^TRACEP | sort",
    "echo $0",
)


def run(draft: Draft) -> str:
    if draft.chance(0.1):
        forms = (["touch", draft.new_path()], ["/bin/sh", "-c", "echo $0 > /tmp/exec"], ["true"])
        return f"RUN {json.dumps(draft.pick(forms))}"
    commands = [draft.pick(_COMMANDS)(draft) for _ in range(draft.pick((1, 1, 2, 3, 4)))]
    if draft.stage.user == "root" and draft.chance(0.3):
        return f"RUN {' && '.join(commands)}"
    return f"RUN {'; '.join(commands)}; true"


def a_command(draft: Draft) -> str:
    return draft.pick(_COMMANDS)(draft)


def prepare(draft: Draft) -> str:
    """What later COPYs meet: links to directories, to files and to nothing, loops, a new user."""
    name = draft.new_name().replace("/", "-")
    draft.stage.folders += [f"/ln-{name}", f"/real-{name}", f"/ln-{name}/sub"]
    commands = (
        f"mkdir -p /real-{name}/sub && ln -sfn {draft.pick(('/real-', 'real-', '../../real-'))}{name} /ln-{name}",
        f"mkdir -p /real-{name} && ln -sfn real-{name} /ln-{name} && ln -sfn nowhere /real-{name}/sub",
        f"ln -sfn ln-{name} /ln-{name}",
        f"mkdir -p /real-{name} && ln -sfn /etc /real-{name}/sub && ln -sfn /real-{name} /ln-{name}",
        "echo 'app:x:1500:1600::/home/app:/bin/sh' >> /etc/passwd; echo 'app:x:1600:www-data' >> /etc/group",
        f"mkdir -p -m 1777 /real-{name}/sub && chown 33:7 /real-{name} && ln -sfn /real-{name}/ /ln-{name}",
        "rm -f /etc/group /etc/passwd",
        f"mkdir -p /real-{name} && mkfifo /real-{name}/sub; ln -sfn /proc /ln-{name}",
    )
    return f"RUN {draft.pick(commands)}; true"


def _file(draft: Draft) -> str:
    return _quoted(draft.pick(draft.stage.files or ["/nothing"]))


def _folder(draft: Draft) -> str:
    return _quoted(
        draft.pick([folder for folder in draft.stage.folders if folder not in {"/", "/etc", "/tmp"}] or ["/none"])
    )


def _either(draft: Draft) -> str:
    return draft.pick((_file, _folder))(draft)


def _quoted(path: str) -> str:
    return f"'{path}'" if " " in path else path


def _write(draft: Draft) -> str:
    path = draft.new_path()
    draft.stage.files.append(path)
    text = draft.pick(("text", '"$UNSET x"', *(f'"${name}"' for name in draft.stage.variables), "'a  b' # no comment"))
    return (
        f"mkdir -p {_quoted(path.rpartition('/')[0] or '/')} && printf '%s\\n' {text.split(' #')[0]} > {_quoted(path)}"
    )


def _append(draft: Draft) -> str:
    return f"{{ [ ! -f {_file(draft)} ] || echo more >> {_file(draft)}; }}"


def _make(draft: Draft) -> str:
    path = draft.new_path()
    draft.stage.folders.append(path)
    return f"mkdir -p {_quoted(path)}"


def _remove(draft: Draft) -> str:
    return f"rm -rf {_either(draft)}"


def _replace(draft: Draft) -> str:
    """An opaque directory: removed, and made again with less in it."""
    folder = _folder(draft)
    return f"rm -rf {folder} && mkdir -p {folder} && echo only > {folder}/only"


def _exchange(draft: Draft) -> str:
    """A directory where a file was, or a file where a directory was."""
    if draft.chance(0.5):
        path = _quoted(draft.pick([file for file in draft.stage.files if file not in BASE_FILES] or ["/etc/shadow"]))
        return f"rm -rf {path} && mkdir -p {path} && echo in > {path}/in"
    path = _folder(draft)
    return f"rm -rf {path} && echo file > {path}"


def _move(draft: Draft) -> str:
    path = draft.new_path()
    draft.stage.files.append(path)
    parent = _quoted(path.rpartition("/")[0] or "/")
    return f"{{ mkdir -p {parent}; mv {_either(draft)} {_quoted(path)} || true; }}"


def _duplicate(draft: Draft) -> str:
    flag = draft.pick(("-a", "-r", "-p"))
    return f"{{ cp {flag} {_either(draft)} {_quoted(draft.new_path())} || true; }}"


def _link(draft: Draft) -> str:
    path = draft.new_path()
    target = draft.pick((_file(draft), _folder(draft), "nowhere", "../tmp", "."))
    return f"{{ ln {draft.pick(('-s', '-s', '-sf', ''))} {target} {_quoted(path)} || true; }}"


def _mode(draft: Draft) -> str:
    mode = draft.pick(("700", "4755", "1777", "u+x", "go-r", "0"))
    return f"{{ chmod {mode} {_either(draft)} || true; }}"


def _own(draft: Draft) -> str:
    owner = draft.pick(("33", "-R 33", "-h 1000:7", "-R www-data:users", "1000:1000"))
    return f"{{ chown {owner} {_either(draft)} || true; }}"


def _date(draft: Draft) -> str:
    return f"{{ touch -d '2004-05-06 07:08:09' {_either(draft)} || true; }}"


def _tell(draft: Draft) -> str:
    path = f"/tmp/told{draft.rng.randint(0, 9)}"
    draft.stage.files.append(path)
    return f"{{ {draft.pick(OUTPUTS)}; }} >> {path}"


def _list(draft: Draft) -> str:
    return f"{{ find {_folder(draft)} | sort; }} > /tmp/list{draft.rng.randint(0, 9)} 2>&1"


def _special(draft: Draft) -> str:
    path = f"/tmp/special{draft.rng.randint(0, 99)}"
    return f"{draft.pick(('mkfifo', 'truncate -s 100000', 'ln -s /proc/self/exe', 'mkdir -m 2755'))} {path}"


_COMMANDS: tuple[Callable[[Draft], str], ...] = (
    *(_write, _write, _append, _make, _make, _remove, _remove, _replace, _exchange, _move, _duplicate, _link, _mode),
    *(_own, _date, _tell, _tell, _list, _special),
)
