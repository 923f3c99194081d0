"""A push that takes longer than its tokens live, in real time."""

import base64
import json
import random
from pathlib import Path

import pytest

from tests.fakes.faults import slow_to_say
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import Gate
from tests.support.builds import Bench, write_tree
from tests.support.processes import settle

LIFE_S = 2.0
WAIT_S = 2.6
CHUNK = 1 << 20
CHUNKS = 8


@pytest.mark.slow
def test_a_push_outlives_its_tokens(tmp_path: Path) -> None:
    """One layer in eight requests, each of which takes longer than a token lives: more than 20 seconds together."""
    context = write_tree(tmp_path / "context", {"Dockerfile": "FROM scratch\nCOPY data /\n"})
    (context / "data").write_bytes(random.Random(1).randbytes(CHUNK * CHUNKS - 100_000))
    bench = Bench(tmp_path / "store")
    gate = Gate("bearer", users={"me": "s3cret"}, deleters=frozenset({"me"}), life=LIFE_S)
    with FakeRegistry(gate).running() as registry:
        registry.largest = CHUNK  # chunks become as small as they may
        registry.fault("^PATCH ", slow_to_say(WAIT_S))
        secret = base64.b64encode(b"me:s3cret").decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": secret}}}))
        env = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "DOCKER_CONFIG": str(tmp_path)}
        built = bench.build("--push", "-t", f"{registry.host}/team/app:1", context, env=env)

    assert registry.manifests["team/app", "1"] == registry.manifests["team/app", built.digest]
    chunks = [one for one in registry.log if one.method == "PATCH" and one.status == 202]
    assert len(chunks) == CHUNKS
    assert len({one.headers["Authorization"] for one in chunks}) == CHUNKS
    # No more tokens than were needed: each was asked for once, and some request was let in by it.
    used = {one.headers.get("Authorization", "") for one in registry.log if one.status != 401} - {""}
    assert {f"Bearer {token}" for token in gate.issued} == {value for value in used if value.startswith("Bearer ")}
    assert len(registry.requests("/token")) == len(gate.issued) >= CHUNKS
    settle(bench.store)
