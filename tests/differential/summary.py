"""What came of a run: a verdict for each case, and the share of cases that agree."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tests.differential.cases import Case
from tests.differential.judge import ASPECTS, Difference, Judge, Outcome, Ruling, check_expected, compare, last_line


class Verdict(NamedTuple):
    """``ours`` and ``theirs``: ``built``, ``refused``, or ``reference`` when the reference took the peer's place.
    ``said``: why pybuild refused, or nothing."""

    case: Case
    ours: str
    theirs: str
    rulings: tuple[Ruling, ...]
    said: str

    @property
    def unexplained(self) -> tuple[Difference, ...]:
        return tuple(ruling.difference for ruling in self.rulings if ruling.reason is None)


def verdict(case: Case, outcomes: tuple[Outcome, Outcome | None], judge: Judge, started: int) -> Verdict:
    ours, theirs = outcomes
    if theirs is None:
        assert case.expected is not None
        rulings = tuple(Ruling(found, None) for found in check_expected(case.expected, ours))
        return Verdict(case, _word(ours), "reference", rulings, _said(ours))
    differences = compare(ours, theirs, started)
    if case.expected is not None:
        differences += check_expected(case.expected, ours)
    if case.refused is not None and not differences and case.refused != isinstance(ours, str):
        differences = (
            Difference("outcome", f"outcome: both {_word(ours)} != {'refused' if case.refused else 'built'}"),
        )
    return Verdict(case, _word(ours), _word(theirs), judge.judge(case, differences), _said(ours))


def _word(outcome: Outcome) -> str:
    return "refused" if isinstance(outcome, str) else "built"


def _said(outcome: Outcome) -> str:
    return last_line(outcome) if isinstance(outcome, str) else ""


def shown(found: Verdict, *, dockerfile: bool) -> str:
    lines = [f"{found.case.name} (pybuild: {found.ours}, peer: {found.theirs})"]
    if dockerfile:
        lines += [f"    | {line}" for line in found.case.dockerfile.splitlines()]
        lines += [f"    $ {line}" for line in found.case.setup.splitlines()]
        lines += [f"    > {' '.join(found.case.arguments)}"]
    return "\n".join((*lines, *(f"  {difference.line}" for difference in found.unexplained)))


def table(verdicts: Sequence[Verdict]) -> str:
    """Shares are of the cases in which both built, except that of the outcome, which is of all."""
    built = [found for found in verdicts if found.ours != "refused" and found.theirs != "refused"]
    lines = [f"{'':12}{'cases':>8}{'equal':>8}{'explained':>11}{'unexplained':>13}{'agree':>9}"]
    for aspect in ASPECTS:
        of = list(verdicts) if aspect == "outcome" else built
        lines.append(_line(aspect, [_standing(found, {aspect}) for found in of]))
    lines.append(_line("everything", [_standing(found, set(ASPECTS)) for found in verdicts]))
    pairs = Counter((found.case.origin, found.ours, found.theirs) for found in verdicts)
    lines += [
        "",
        *(f"{n:5} {origin}: pybuild {ours}, peer {theirs}" for (origin, ours, theirs), n in sorted(pairs.items())),
    ]
    return "\n".join(lines)


def _standing(found: Verdict, aspects: set[str]) -> str:
    reasons = [ruling.reason for ruling in found.rulings if ruling.difference.aspect in aspects]
    return "equal" if not reasons else "unexplained" if None in reasons else "explained"


def _line(name: str, standings: Sequence[str]) -> str:
    counts = Counter(standings)
    share = 100 * (1 - counts["unexplained"] / len(standings)) if standings else 100
    numbers = f"{len(standings):8}{counts['equal']:8}{counts['explained']:11}{counts['unexplained']:13}"
    return f"{name:12}{numbers}{share:8.1f}%"


def document(verdicts: Sequence[Verdict], seed: int) -> str:
    cases = [
        {
            "case": found.case.name,
            "origin": found.case.origin,
            "pybuild": found.ours,
            "peer": found.theirs,
            "said": found.said,
            "differences": [
                {"aspect": ruling.difference.aspect, "line": ruling.difference.line, "reason": ruling.reason}
                for ruling in found.rulings
            ],
        }
        for found in verdicts
    ]
    return json.dumps({"seed": seed, "cases": cases}, indent=1, ensure_ascii=False) + "\n"
