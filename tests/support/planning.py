"""Plans out of Dockerfile text, with bases made up."""

from textwrap import dedent
from typing import Any, TypeVar

from builder.errors import PlanError
from builder.plan.arguments import read
from builder.plan.graph import Node, Op, Plan
from builder.plan.lower import lower
from builder.plan.reach import Base, Bases
from builder.request import BuildRequest
from layers.digest import DiffId, Digest, LayerId
from layers.image import History, ImageConfig, Platform

Kind = TypeVar("Kind", bound=Op)
AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENV_PATH = ("PATH", PATH)


def request(text: str | bytes, **fields: Any) -> BuildRequest:
    source = text if isinstance(text, bytes) else dedent(text).encode()
    plain = BuildRequest(
        context="/context",
        dockerfile_path="Dockerfile",
        dockerfile_text=source,
        root="/store",
        platform=AMD64,
    )
    return plain._replace(**fields)


def image(name: str = "docker.io/library/base:latest", *, layers: int = 1, **config: Any) -> Base:
    """An image of so many layers; ``config`` are fields of its ImageConfig."""
    diff_ids = tuple(DiffId(Digest.of(f"{name} {number}".encode())) for number in range(layers))
    full = {
        "platform": AMD64,
        "env": (("PATH", "/bin"),),
        "history": tuple(History(created="2020-01-01T00:00:00Z", created_by=f"layer {n}") for n in range(layers)),
        "created": "2020-01-01T00:00:00Z",
        **config,
    }
    rootfs = tuple(LayerId(number + 1) for number in range(layers))
    return Base(name, ImageConfig(diff_ids=diff_ids, **full), rootfs, (None,) * layers)


def bases(*images: Base) -> Bases:
    """Found whatever platform FROM asks for: the store has one image of a name."""
    return {f"{base.name} {platform}": base for base in images for platform in (AMD64, ARM64)}


def plan(text: str | bytes, *images: Base, **fields: Any) -> Plan:
    """``images`` are found under their names; ``base`` is there in any case. ``fields`` are BuildRequest's."""
    asked = request(text, **fields)
    dockerfile = read(asked)
    known = {**bases(image()), **bases(*images)}
    return lower(dockerfile, known, asked)


def created_by(found: Plan) -> list[str]:
    return [entry.created_by for entry, _ in found.history]


def titles(found: Plan) -> list[str]:
    return [node.title for node in found.nodes.values()]


def only(found: Plan, kind: type[Kind]) -> Kind:
    """The operation of the one node of this kind."""
    (op,) = [node.op for node in found.nodes.values() if type(node.op) is kind]
    return op


def last(found: Plan) -> Node:
    return found.nodes[found.target]


def refused(text: str, *images: Base, **fields: Any) -> PlanError:
    """The PlanError that planning raises; AssertionError when it does not."""
    try:
        plan(text, *images, **fields)
    except PlanError as error:
        return error
    raise AssertionError("nothing was refused")
