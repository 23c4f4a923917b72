"""What is known of the nodes of a run without their inputs and outputs: enough for its tree, its picture and its sums.

A run may have 10,000 nodes. Each is read as text and kept as one flat tuple: as dictionaries they would cost Python's
garbage collector four times what reading them costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, Text, bindparam, func, select, type_coerce

from retrain.store.tables import nodes, run_edges

Body = dict[str, Any]
LONGEST = 400
"""Letters of a message that are kept."""


class Stub(NamedTuple):
    """A node. `kind` is Argo's type, `label` its displayName; times as they are written; "" where there is none."""

    id: str
    name: str
    label: str
    kind: str
    phase: str
    template: str
    boundary: str
    started: str
    finished: str
    message: str
    hooked: bool


@dataclass(frozen=True, slots=True)
class Outline:
    """Nodes by id and the children of each. `rank`: which was made before which. `used`: what all pods together have
    used (`resourcesDuration`, in seconds)."""

    nodes: Mapping[str, Stub]
    children: Mapping[str, list[str]]
    rank: Mapping[str, int]
    used: Mapping[str, float]


_BODIES = select(nodes.c.node_id, type_coerce(nodes.c.body, Text)).where(nodes.c.run_id == bindparam("run"))
_ONE = select(nodes.c.body).where(nodes.c.run_id == bindparam("run"), nodes.c.node_id == bindparam("node"))
_EDGES = (
    select(run_edges.c.parent, run_edges.c.child)
    .where(run_edges.c.run_id == bindparam("run"))
    .order_by(run_edges.c.position)
)


_MANY = select(func.count()).select_from(nodes).where(nodes.c.run_id == bindparam("run"))


def count(connection: Connection, run_id: str) -> int:
    """How many nodes a run has: the index alone tells."""
    return int(connection.execute(_MANY, {"run": run_id}).scalar_one())


def outline(connection: Connection, run_id: str, each: Callable[[Body], None] | None = None) -> Outline:
    """All nodes of a run. `each` is shown every whole node, to keep of it what it wants."""
    found: dict[str, Stub] = {}
    used: dict[str, float] = {}
    for key, text in connection.execute(_BODIES, {"run": run_id}):
        body: Body = orjson.loads(text)
        found[key] = stub(key, body)
        for name, amount in (body.get("resourcesDuration") or {}).items() if body.get("type") == "Pod" else ():
            used[name] = used.get(name, 0) + amount
        if each is not None:
            each(body)
    children: dict[str, list[str]] = {}
    rank: dict[str, int] = {}
    for parent, child in connection.execute(_EDGES, {"run": run_id}):
        children.setdefault(parent, []).append(child)
        rank.setdefault(child, len(rank))
    return Outline(found, children, rank, used)


def stub(key: str, body: Mapping[str, Any]) -> Stub:
    """A node without what is not wanted of it."""
    # By position: a run may have 10,000 nodes.
    get = body.get
    return Stub(
        key,
        get("name") or key,
        get("displayName") or get("name") or key,
        get("type") or "",
        get("phase") or "Pending",
        get("templateName") or "",
        get("boundaryID") or "",
        get("startedAt") or "",
        get("finishedAt") or "",
        (get("message") or "")[:LONGEST],
        "nodeFlag" in body and bool(body["nodeFlag"].get("hooked")),
    )


def node(connection: Connection, run_id: str, node_id: str) -> Body | None:
    """One node as it was saved, without its children; None if the run has none of this id."""
    return connection.execute(_ONE, {"run": run_id, "node": node_id}).scalar()
