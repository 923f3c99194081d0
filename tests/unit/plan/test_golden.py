"""Whole plans: ``plan.json`` beside each case's Dockerfile (``--update-golden`` writes them). Every image that is named
exists, with one layer; a case that cannot be planned has the reason instead."""

import json
from pathlib import Path

import pytest

from builder.dockerfile.parse import parse
from builder.errors import PlanError, Unsupported
from builder.plan.lower import lower
from builder.plan.reach import Base, reach
from builder.plan.render import plan_json
from builder.plan.stages import survey
from tests.conftest import FIXTURES
from tests.support.planning import image, request

CASES = sorted(path.parent for path in (FIXTURES / "dockerfiles").glob("*/Dockerfile"))


def planned(text: bytes) -> str:
    asked = request(text)
    dockerfile = parse(text, "Dockerfile")
    try:
        found = survey(dockerfile, asked)
        bases: dict[str, Base] = {}
        while unknown := reach(found, bases).unknown:
            bases |= {ref.key: image(ref.full_name()) for ref in unknown}
        return plan_json(lower(dockerfile, bases, asked), {})
    except (PlanError, Unsupported) as error:
        line = error.span.first_line if error.span else None
        return json.dumps({"refused": error.message, "line": line}, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_plan(case: Path, update_golden: bool) -> None:
    golden = case / "plan.json"
    found = planned((case / "Dockerfile").read_bytes())
    if update_golden:
        golden.write_text(found)
    assert golden.exists(), f"no {golden}: run pytest with --update-golden, and read what it wrote"
    assert found == golden.read_text()
