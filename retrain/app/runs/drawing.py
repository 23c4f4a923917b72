"""The nodes of a run that are drawn: of a large one with loops and their insides as one box each. Pure.

What is drawn alike is one box: members of one loop (or DAG) that have one template and one phase. It says how many it
stands for; its time is from the first that began to the last that ended. Edges lead from box to box.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from retrain.app.runs.folding import DEEPEST, SUSPENDED, Tree, phase_of
from retrain.store.run_outlines import Stub

WHOLE = 150
"""Nodes of a run that is drawn as it is."""
ALIKE = 6
"""So many members that look the same are one box."""
DRAWN = 1500
"""Boxes of which nobody can read the picture."""

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Picture:
    """A Workflow object's nodes for the makers of pictures. `many`: nodes of the run, `boxes`: those that are drawn."""

    nodes: Mapping[str, Body]
    many: int

    @property
    def boxes(self) -> int:
        return len(self.nodes)


def picture_of(tree: Tree, now: datetime) -> Picture:
    """What to draw of a run; none of it where even that is too much. What runs still has its time so far."""
    homes = {key: key for key in tree.nodes} if len(tree.nodes) <= WHOLE else _homes(tree)
    stands_for: dict[str, list[Stub]] = {}
    for key, home in homes.items():
        if key == home or tree.holders[key] == tree.holders[home]:
            stands_for.setdefault(home, []).append(tree.nodes[key])
    if len(stands_for) > DRAWN:
        return Picture({}, len(tree.nodes))
    links = _links(tree, homes)
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    drawn = {home: _box(home, some, list(links.get(home, ())), stamp) for home, some in stands_for.items()}
    return Picture(drawn, len(tree.nodes))


def _homes(tree: Tree) -> dict[str, str]:
    """The box that each node is drawn in: the outermost around it, else it is one itself."""
    boxes: dict[str, str] = {}
    for holder in ["", *tree.nodes]:
        boxes |= _alike(tree, holder)
    around: dict[str, str] = {"": ""}
    for key in tree.nodes:
        way, at = list[str](), key
        while at not in around and len(way) < DEEPEST:
            way.append(at)
            at = tree.holders[at]
        for one in reversed(way):
            around[one] = around.get(tree.holders[one], "") or boxes.get(one, "")
    return {key: around[key] or key for key in tree.nodes}


def _alike(tree: Tree, holder: str) -> dict[str, str]:
    held = tree.held(holder)
    if len(held) < ALIKE:
        return {}
    looks: dict[tuple[str, str, str], list[str]] = {}
    for key in held:
        one = tree.nodes[key]
        if one.kind not in {"StepGroup", "TaskGroup"}:
            looks.setdefault((one.template, one.kind, phase_of(one)), []).append(key)
    return {key: some[0] for some in looks.values() if len(some) >= ALIKE for key in some}


def _links(tree: Tree, homes: Mapping[str, str]) -> dict[str, dict[str, None]]:
    found: dict[str, dict[str, None]] = {}
    for parent, children in tree.outline.children.items():
        for child in children:
            if parent in homes and child in homes and homes[parent] != homes[child]:
                found.setdefault(homes[parent], {})[homes[child]] = None
    return found


def _box(key: str, some: list[Stub], children: list[str], now: str) -> Body:
    one = next(stub for stub in some if stub.id == key)
    runs = one.started and not one.finished and phase_of(one) != SUSPENDED
    body: Body = {
        "id": key,
        "name": one.name,
        "displayName": f"{one.label.partition('(')[0]} ×{len(some)}" if len(some) > 1 else one.label,  # noqa: RUF001
        "type": one.kind,
        "phase": one.phase,
        "templateName": one.template,
        "boundaryID": one.boundary,
        "message": "" if len(some) > 1 else one.message,
        "startedAt": min((stub.started for stub in some if stub.started), default=None),
        "finishedAt": now if runs else max((stub.finished for stub in some), default="") or None,
        "children": children,
    }
    return {**body, "nodeFlag": {"hooked": True}} if one.hooked else body
