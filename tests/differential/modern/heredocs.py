"""RUN, COPY and ADD with heredocs in every form."""

from collections.abc import Sequence

from tests.differential import runs
from tests.differential.draft import Draft
from tests.differential.modern import mounts, words

MARKS = ("EOF", "END", "eot", "file.txt", "a-b", "x.sh", "E1")


def _opening(draft: Draft, mark: str) -> tuple[str, bool]:
    """The token, and whether leading tabs are cut."""
    cut = draft.chance(0.3)
    quoted = draft.pick((mark, mark, mark, f'"{mark}"', f"'{mark}'", f"{mark[:1]}'{mark[1:]}'"))
    return f"<<{'-' if cut else ''}{quoted}", cut


def _flags(draft: Draft) -> str:
    return (
        mounts.flags(draft)
        if draft.chance(0.1)
        else draft.pick(("", "", "", "", "--network=none ", "--security=sandbox "))
    )


def _closed(draft: Draft, mark: str, body: Sequence[str], *, cut: bool) -> str:
    tabs = draft.pick(("", "\t", "\t\t")) if cut else ""
    return "\n".join((*(f"{tabs}{line}" for line in body), f"{draft.pick(('', tabs))}{mark}"))


def _text(draft: Draft) -> list[str]:
    """Lines of a file: what is expanded, what is not, and what looks like something else."""
    odd = (
        "# a comment?",
        "",
        "  indented ",
        "\ttab",
        "back\\",
        '\\$A \\\\ \\"',
        "'$A'",
        '"$A"',
        "$",
        "<<EOF",
        "ü €",
        "a\\",
        "`b`",
    )
    return [
        draft.pick((*odd, f"{draft.label} line", *(words.reference(draft) for _ in range(4)), f"v=${{A}}{draft.label}"))
        for _ in range(draft.pick((0, 1, 2, 3, 5)))
    ]


def _script(draft: Draft) -> list[str]:
    place = draft.new_path()
    folder = place.rpartition("/")[0] or "/"
    lines = [f"mkdir -p '{folder}'"]
    for _ in range(draft.pick((1, 2, 3))):
        lines.append(
            draft.pick(
                (
                    *(f"echo \"$A ${{B:-b}} $0\" >> '{place}'", "# a comment", "", "false", f"id -u >> '{place}'"),
                    *(f"printf '%s\\n' a \\\n  b >> '{place}'", f"echo '# no comment' >> '{place}'", "  true"),
                    *(f"if true; then\n  echo yes >> '{place}'\nfi", f"echo \\$A >> '{place}'", runs.a_command(draft)),
                    f"cat <<INNER >> '{place}'\n$A inner\nINNER",
                )
            )
        )
    draft.stage.files.append(place)
    return [*lines, draft.pick(("true", f"pwd >> '{place}'", "exit 0"))]


def run_heredoc(draft: Draft) -> str:
    mark = draft.pick(MARKS)
    opening, cut = _opening(draft, mark)
    place = f"/tmp/heredoc{draft.rng.randint(0, 9)}"
    draft.stage.files.append(place)
    form = draft.rng.randint(0, 9)
    if form < 4:
        lines = _script(draft)
        return f"RUN {_flags(draft)}{opening}\n{_closed(draft, mark, lines, cut=cut)}"
    if form < 6:
        shebang = draft.pick(("#!/bin/sh", "#!/bin/busybox sh", "#! /bin/sh -e", "#!/bin/cat", "#!/bin/sh\r"))
        lines = [shebang, *_script(draft)]
        return f"RUN {_flags(draft)}{opening}\n{_closed(draft, mark, lines, cut=cut)}"
    body = _closed(draft, mark, _text(draft), cut=cut)
    if form == 9:
        second, cut = _opening(draft, "SECOND")
        more = _closed(draft, "SECOND", _text(draft), cut=cut)
        return f"RUN {_flags(draft)}cat {opening} {second} > {place}\n{body}\n{more}"
    command = draft.pick(
        (
            *(f"cat > {place} {opening}", f"{opening} cat > {place}", f"cat {opening} | tr a-z A-Z > {place}"),
            *(
                f"cat 3{opening} <&3 > {place}",
                f"true && cat {opening} >> {place} && echo $A",
                f"cat {opening} \\\n> {place}",
            ),
        )
    )
    return f"RUN {_flags(draft)}{command}\n{body}"


def copy_heredoc(draft: Draft, flags: Sequence[str] = (), others: Sequence[str] = ()) -> str:
    """One or more files written in the Dockerfile, perhaps among files of the context."""
    marks = draft.rng.sample(MARKS, draft.pick((1, 1, 1, 2)))
    openings = [_opening(draft, mark) for mark in marks]
    several = len(marks) + len(others) > 1
    destination = draft.pick(("/here/", "rel/", f"{draft.pick(draft.stage.folders)}/".replace("//", "/")))
    if not several and draft.chance(0.5):
        destination = draft.pick(("/here.txt", "rel.txt", "/a/b/c.txt", *draft.stage.files[-2:]))
    destination = destination if " " not in destination else "/blank/"
    sources = [*(token for token, _ in openings), *(other for other in others if " " not in other)]
    draft.rng.shuffle(sources)
    order = sorted(range(len(marks)), key=lambda number: sources.index(openings[number][0]))
    bodies = [_closed(draft, marks[number], _text(draft), cut=openings[number][1]) for number in order]
    head = " ".join((draft.pick(("COPY", "COPY", "ADD")), *flags, *sources, words.spelt(draft, destination)))
    return "\n".join((head, *bodies))
