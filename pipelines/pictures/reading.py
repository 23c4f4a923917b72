"""Reading a Workflow object for pictures: its nodes, which belongs to which, which came first, how long they took."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

Node = Mapping[str, Any]
"""One entry of `status.nodes`."""
Nodes = Mapping[str, Node]

ICONS: Mapping[str, str] = {
    "": "?",
    "Pending": "◷",
    "Running": "●",
    "Succeeded": "✔",
    "Skipped": "○",
    "Omitted": "○",
    "Failed": "✖",
    "Error": "⚠",
}
SUSPENDED = "ǁ"
LETTERS: Mapping[str, str] = {
    "": "?",
    "Pending": "Pending",
    "Running": "Running",
    "Succeeded": "Succeeded",
    "Skipped": "Skipped",
    "Omitted": "Omitted",
    "Failed": "Failed",
    "Error": "Error",
}
OVER = frozenset({"Succeeded", "Failed", "Error", "Skipped", "Omitted"})
"""Phases of nodes and workflows to which nothing more happens."""
GROUPS = {"StepGroup": ".", "TaskGroup": "(", "Retry": "("}
"""Types that group others, and what comes behind their name in the names of those."""
LEAVES = frozenset({"Pod", "HTTP", "Plugin", "Suspend"})
"""Types that do something themselves."""

_DIGITS = re.compile(r"(\d+)")


def nodes_of(workflow: Mapping[str, Any]) -> Nodes:
    """The nodes of a Workflow object by id; none where it has not begun."""
    return (workflow.get("status") or {}).get("nodes") or {}


def name_of(workflow: Mapping[str, Any]) -> str:
    """The name of the workflow, on one line."""
    return plain(str((workflow.get("metadata") or {}).get("name") or ""))


def label_of(node: Node) -> str:
    """What people call a node, on one line."""
    return plain(str(node.get("displayName") or node.get("name") or node.get("id") or ""))


def plain(text: str) -> str:
    """A text on one line, with control and direction marks written out instead of obeyed."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def short(text: str, limit: int) -> str:
    """A text of at most so many letters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def icon_of(node: Node, *, utf8: bool = True) -> str:
    """The mark of a node's phase, as Argo's command line has it."""
    phase = str(node.get("phase") or "")
    if not utf8:
        return LETTERS.get(phase, "?")
    return SUSPENDED if waits_for_people(node) else ICONS.get(phase, "?")


def waits_for_people(node: Node) -> bool:
    """Whether a node is a suspension that nobody has ended yet."""
    return node.get("type") == "Suspend" and node.get("phase") == "Running"


def children_of(node: Node, nodes: Nodes) -> list[Node]:
    """The nodes that follow from one, as far as they are there."""
    return [nodes[child] for child in node.get("children") or () if child in nodes]


def members_of(group: Node, nodes: Nodes) -> list[Node]:
    """The steps of a StepGroup, the items of a TaskGroup, the attempts of a Retry."""
    behind = f"{group['name']}{GROUPS[group['type']]}"
    return [child for child in children_of(group, nodes) if child["name"].startswith(behind)]


def depths(nodes: Nodes) -> dict[str, int]:
    """How many nodes had to be there before each of them: the longest way from a first one. Linear in the edges."""
    waiting_for = dict.fromkeys(nodes, 0)
    for node in nodes.values():
        for child in children_of(node, nodes):
            waiting_for[child["id"]] += 1
    found = {key: 0 for key, count in waiting_for.items() if not count}
    ready = list(found)
    for key in ready:
        for child in children_of(nodes[key], nodes):
            one = child["id"]
            found[one] = max(found.get(one, 0), found[key] + 1)
            waiting_for[one] -= 1
            if not waiting_for[one]:
                ready.append(one)
    return found


def in_order(some: Iterable[Node], deep: Mapping[str, int]) -> list[Node]:
    """Nodes as they began; those of one moment by what led to them, then by name, numbers as numbers."""
    return sorted(some, key=lambda n: (_began(n), deep.get(n["id"], len(deep)), _natural(str(n.get("name") or ""))))


def began(node: Node) -> datetime | None:
    """When a node, or a run, began."""
    return moment(node.get("startedAt"))


def ended(node: Node) -> datetime | None:
    """When a node, or a run, ended."""
    return moment(node.get("finishedAt"))


def moment(text: Any) -> datetime | None:
    """A time of a status."""
    return datetime.fromisoformat(str(text)) if text else None


def lasted(node: Node, now: datetime | None = None) -> str:
    """How long a node or a run took, or takes so far: `0.3s`, `12s`, `3m`, `2h`; nothing if it has not begun."""
    start = began(node)
    end = ended(node) or now
    if start is None or end is None:
        return ""
    exact = "." in f"{node.get('startedAt')}{node.get('finishedAt')}"
    return in_words(max(0.0, (end - start).total_seconds()), exact=exact)


def in_words(seconds: float, *, exact: bool = False) -> str:
    """Seconds as people say them, in the largest two units that tell something."""
    if seconds < 10 and exact:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    units = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
    for (size, unit), (less, small) in pairwise(units):
        if whole >= size:
            rest = whole % size // less
            return f"{whole // size}{unit}{rest}{small}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"


def counts(nodes: Iterable[Node]) -> dict[str, int]:
    """How many of the nodes that do something are in each phase."""
    found: dict[str, int] = {}
    for node in nodes:
        if node.get("type") in LEAVES:
            phase = str(node.get("phase") or "Pending")
            found[phase] = found.get(phase, 0) + 1
    return found


def parameters_of(part: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Names and values of `inputs` or `outputs`; those without a value are left out."""
    parameters: Sequence[Mapping[str, Any]] = (part or {}).get("parameters") or ()
    for one in parameters:
        if one.get("value") is not None:
            yield plain(str(one.get("name"))), str(one["value"])


def _began(node: Node) -> str:
    # Whole seconds: what the controller and the store write down, so that runs look the same from both.
    return str(node.get("startedAt") or "~")[:19]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() and len(part) < 20 else (-1, part) for part in _DIGITS.split(name)]
