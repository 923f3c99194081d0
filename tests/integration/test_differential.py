"""A part of the differential run (``python -m tests.differential`` has the rest): the same generated Dockerfiles each
time, through pybuild and Docker's BuildKit."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.differential.builders import workshop
from tests.differential.cases import Case
from tests.differential.generate import SEED, generate
from tests.differential.judge import Judge, rules_of_2022
from tests.differential.summary import Verdict, shown, verdict

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_tool("dockerd", "skopeo", "runc", "unshare", "busybox", "bzip2", "xz"),
    pytest.mark.slow,
]

CASES = tuple(generate(SEED, number) for number in range(40))


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Verdict]]]:
    judge = Judge(rules_of_2022())
    scratch: Path = tmp_path_factory.mktemp("differential")
    with workshop(scratch) as shop, ThreadPoolExecutor(3) as pool:

        def work(case: Case) -> Verdict:
            return verdict(case, shop.build(case), judge, shop.recent)

        yield {case.name: pool.submit(work, case) for case in CASES}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_same_image(name: str, verdicts: dict[str, Future[Verdict]]) -> None:
    found = verdicts[name].result()
    assert not found.unexplained, shown(found, dockerfile=True)
