"""What was seen of an object of ours on a cluster, and what of it is new. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, TypeAlias, cast

import orjson

from pipelines.kubernetes.kinds import kind_of
from pipelines.kubernetes.kinds.port import Reading

RUN = "retrain.dev/run"
"""The label of an object that says which run it is."""

NODES = ("nodes", "compressedNodes")
"""Where a Workflow's status has its nodes."""

Gone = Literal["deleted", "lost"]
"""An object was deleted and the server has said so; or nobody watched when it was."""

Digests: TypeAlias = "array[int]"
"""Of all nodes of a run, for each in turn: its id, its body without children, how many children it has, and those. 32
bytes a node, whatever is in it: they are kept for thousands of runs."""
PER_NODE = 4


@dataclass(frozen=True, slots=True)
class Sighting:
    """An object as it was at one moment. `gone`: it is not there any more, and this is how it was last."""

    object: Mapping[str, Any]
    reading: Reading
    gone: Gone | None = None

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self.object.get("metadata") or {}

    @property
    def run_id(self) -> str:
        """The run that it is; empty for an object that is none of ours."""
        return str((self.metadata.get("labels") or {}).get(RUN) or "")

    @property
    def version(self) -> str:
        return str(self.metadata.get("resourceVersion") or "")

    @property
    def over(self) -> bool:
        """Nothing more comes of it, as far as it says."""
        return self.gone is not None or self.reading.over


def of_event(event: Mapping[str, Any]) -> Sighting | None:
    """What an event of a watch shows; None where it shows no object."""
    found: Any = event.get("object")
    if event.get("type") not in {"ADDED", "MODIFIED", "DELETED"} or not isinstance(found, dict):
        return None
    return sighting(cast("dict[str, Any]", found), "deleted" if event["type"] == "DELETED" else None)


def sighting(found: Mapping[str, Any], gone: Gone | None = None) -> Sighting:
    """An object as it was seen, read. One that says no more when it has ended just runs."""
    kind = kind_of(found)
    return Sighting(found, Reading("Running") if kind is None else kind.read(found), gone)


def kept(found: Mapping[str, Any], spec: Any) -> dict[str, Any]:
    """What the store keeps of an object beside its nodes (`RunRow.object`); its spec only where it is not this one."""
    metadata = {key: value for key, value in (found.get("metadata") or {}).items() if key != "managedFields"}
    status = {key: value for key, value in (found.get("status") or {}).items() if key not in NODES}
    body = {"metadata": metadata, "status": status}
    return body if found.get("spec") == spec else {**body, "spec": found.get("spec")}


def newer(version: object, known: object) -> bool:
    """Whether a resourceVersion is later than another. What is no number is taken as later when it differs."""
    said, had = str(version or ""), str(known or "")
    if said.isdecimal() and had.isdecimal():
        return int(said) > int(had)
    return said != had


def folded(sightings: Iterable[Sighting]) -> list[Sighting]:
    """The same without those that a later one of the same object replaces, as long as nothing had ended by then."""
    kept: list[Sighting | None] = []
    last: dict[str, int] = {}
    for one in sightings:
        before = last.get(one.run_id)
        if before is not None and (earlier := kept[before]) is not None and not earlier.over:
            kept[before] = None
        last[one.run_id] = len(kept)
        kept.append(one)
    return [one for one in kept if one is not None]


@dataclass(frozen=True, slots=True)
class NodeChanges:
    """What of a run's nodes is to be written. `whole`: all there are, in the place of what was kept; then `bodies` have
    their children in them."""

    bodies: Mapping[str, Mapping[str, Any]]
    edges: Sequence[tuple[str, str]] = ()
    whole: bool = False


@dataclass(slots=True)
class Written:
    """What is written of an open run. `nodes` None: nobody knows."""

    nodes: Digests | None = None


def digests(reading: Reading) -> Digests:
    """The nodes of a reading, as `Written` remembers them."""
    nodes = (reading.nodes or {}).items()
    return array("q", chain.from_iterable(_digest(node_id, node) for node_id, node in nodes))


def node_changes(known: Digests | None, reading: Reading) -> NodeChanges:
    """What is to be written so that the store has the nodes of a reading; `known` is what it has."""
    nodes = reading.nodes
    if nodes is None:
        return NodeChanges({})
    if known is None:
        return NodeChanges(nodes, whole=True)
    last = _by_node(known)
    if not last.keys() <= {hash(node_id) for node_id in nodes}:
        return NodeChanges(nodes, whole=True)
    bodies: dict[str, Mapping[str, Any]] = {}
    edges: list[tuple[str, str]] = []
    for node_id, node in nodes.items():
        had, children = last.get(hash(node_id)), list(node.get("children") or ())
        if had is None or had[0] != _body(node):
            bodies[node_id] = {key: value for key, value in node.items() if key != "children"}
        _, many, which = had or (0, 0, _children([]))
        if _children(children[:many]) != which:
            return NodeChanges(nodes, whole=True)
        edges += [(node_id, child) for child in children[many:]]
    return NodeChanges(bodies, edges)


def _by_node(known: Digests) -> dict[int, tuple[int, int, int]]:
    """By the id's hash."""
    ids, *others = (known[at::PER_NODE] for at in range(PER_NODE))
    return dict(zip(ids, zip(*others, strict=True), strict=True))


def _digest(node_id: str, node: Mapping[str, Any]) -> tuple[int, int, int, int]:
    children = list(node.get("children") or ())
    return hash(node_id), _body(node), len(children), _children(children)


def _body(node: Mapping[str, Any]) -> int:
    return hash(orjson.dumps({key: value for key, value in node.items() if key != "children"}))


def _children(children: Sequence[str]) -> int:
    return hash(tuple(children))
