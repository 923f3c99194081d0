import json
from typing import NamedTuple

from builder.plan.graph import NodeId, Plan
from builder.plan.render import plan_json, plan_text
from layers.digest import CacheKey, Digest
from tests.support.planning import image, plan

TEXT = """
    FROM base AS build
    RUN <<E
    #!/bin/python3
    print(1)
    E
    FROM scratch
    COPY --from=build /a /b
    COPY <<x /y
    z
    x
    LABEL a=b
    """


UNSET = {"exclude": [], "parents": False, "link": False}


class Known(NamedTuple):
    state: str
    on: NodeId | None
    key: CacheKey


def known(state: str, on: int | None = None) -> Known:
    return Known(state, None if on is None else NodeId(on), CacheKey(Digest.of(b"key")))


def example() -> Plan:
    return plan(TEXT, image(), build_args=(("unread", "1"), ("http_proxy", "http://user:secret@host")))


def test_text_without_states() -> None:
    assert plan_text(example(), {}).splitlines() == [
        "1    [build 1/2] FROM docker.io/library/base:latest",
        "2    [build 2/2] RUN <<E (#!/bin/python3...)",
        "3    FROM scratch",
        "4    [stage-1 1/2] COPY --from=build /a /b",
        "5    [stage-1 2/2] COPY <<x /y",
        'WARNING: build argument "unread" is not used: no ARG declares it',
    ]


def test_text_with_states() -> None:
    states = {
        NodeId(1): known("source"),
        NodeId(2): known("miss"),
        NodeId(3): known("source"),
        NodeId(4): known("depends", 2),
        NodeId(5): known("hit"),
    }
    assert [line[:21] for line in plan_text(example(), states).splitlines()[:5]] == [
        "1  source            ",
        "2  miss              ",
        "3  source            ",
        "4  depends on step 2 ",
        "5  hit               ",
    ]


def test_the_only_stage_and_warnings_with_lines() -> None:
    text = plan_text(plan("FROM scratch\nEXPOSE 1:2\nCOPY a /\n"), {})
    assert "  [1/1] COPY a /\n" in text
    assert text.endswith("(line 2)\n")


def test_json() -> None:
    found = json.loads(plan_json(example(), {NodeId(4): known("depends", 2)}))
    assert (found["format"], found["target"], found["base"], found["layers"], found["epoch"]) == (1, 5, 3, [4, 5], None)
    assert [step["kind"] for step in found["steps"]] == ["image", "run", "scratch", "copy", "copy"]
    assert [step["inputs"] for step in found["steps"]] == [[], [1], [], [3, 2], [4]]
    copy = found["steps"][3]
    assert (copy["state"], copy["on"]) == ("depends", 2)
    assert copy["key"] == str(Digest.of(b"key"))
    assert copy["op"] == {"sources": ["/a"], "dest": "/b", "chown": None, "chmod": None, "keep_owner": True, **UNSET}
    assert "state" not in found["steps"][0]
    assert found["steps"][4]["op"]["sources"] == [{"name": "x", "data": "z\n"}]
    assert found["steps"][1]["op"]["scripts"] == [
        {"path": "/dev/pipes/E", "data": "#!/bin/python3\nprint(1)\n", "mode": "0755"}
    ]
    assert found["image"]["config"]["Labels"] == {"a": "b"}
    assert found["history"][-1] == {"created_by": "LABEL a=b", "created": None, "step": None}
    assert found["history"][0] == {"created_by": "COPY /a /b # buildkit", "created": None, "step": 4}
    assert found["warnings"] == [{"message": 'build argument "unread" is not used: no ARG declares it', "line": None}]


def test_json_tells_no_secrets_and_no_local_numbers() -> None:
    text = plan_json(example(), {})
    assert "secret" not in text
    assert json.loads(text)["steps"][1]["op"]["proxy_env"] == ["HTTP_PROXY", "http_proxy"]
    assert "rootfs" not in json.loads(text)["steps"][0]["op"]
