"""A run as a tree of which only parts are open, so that one of 10,000 steps reads, and answers, like one of ten. Pure.

    root -> what is in it -> ...        as `argo get` draws it: a loop's items under the loop, a step under its template

A small run is open. Of a large one only the beginning is; a closed line says how many steps of each phase are below it.
Of many members a page is shown: what failed first, then what runs and waits, then the rest, each as it began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pipelines.pictures.reading import GROUPS, LEAVES
from retrain.errors import ConfigError
from retrain.store.run_outlines import Outline, Stub

SMALL = 200
"""A run of at most so many nodes is shown open."""
PAGE = 100
"""Members of one node that are shown at once."""
MOST_OPEN = 20
MOST_LINES = 600
DEEPEST = 60
SUSPENDED = "Suspended"
"""The phase that is shown of a node which waits for people."""
_FIRST = {"Failed": 0, "Error": 0, SUSPENDED: 1, "Running": 1, "Pending": 2}

Opened = Mapping[str, int]
"""Ids of nodes that somebody has opened, and how many of their members come before those that are shown; -1: closed."""


@dataclass(frozen=True, slots=True)
class Line:
    """A node of the tree. `prefix`: the branches before it. `inside`: how many nodes are below it, of which `counts`
    says the phases (of those that do something). `at`, `more`: of an open one, how many members come before those that
    are shown, and how many after.
    """

    stub: Stub
    prefix: str
    inside: int = 0
    open: bool = False
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    at: int = 0
    more: int = 0


def parse_open(said: Sequence[str]) -> dict[str, int]:
    """What `open=ID`, `open=ID:OFFSET` and `open=-ID` (closed) of a URL say.

    Raises:
        ConfigError: an offset is no number, or there are too many.
    """
    if len(said) > MOST_OPEN:
        raise ConfigError(f"open: at most {MOST_OPEN} nodes can be open at once")
    found: dict[str, int] = {}
    for one in said:
        key, _, offset = one.partition(":")
        if offset and not (offset.isdecimal() and len(offset) < 8):
            raise ConfigError(f"open {one!r}: say ID, or ID:OFFSET")
        found[key.removeprefix("-")] = -1 if key.startswith("-") else int(offset or 0)
    return found


def spell_open(opened: Opened) -> list[str]:
    """The words of a URL that `parse_open` reads."""
    return [f"-{key}" if at < 0 else f"{key}:{at}" if at else key for key, at in opened.items()]


class Tree:
    """Who is in whom. A Retry with one attempt is that attempt, and groups of a few are their members."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.nodes = outline.nodes

    @cached_property
    def holders(self) -> Mapping[str, str]:
        """The node that holds each; "" for what nothing holds."""
        held = self._members
        found: dict[str, str] = {}
        for key, one in self.nodes.items():
            found[key] = held.get(key) or (one.boundary if one.boundary in self.nodes and one.boundary != key else "")
        return found

    @cached_property
    def _members(self) -> Mapping[str, str]:
        """The group of each node that is in one."""
        found: dict[str, str] = {}
        for key, children in self.outline.children.items():
            group = self.nodes.get(key)
            if group is None or (mark := GROUPS.get(group.kind)) is None:
                continue
            behind = f"{group.name}{mark}"
            found |= {c: key for c in children if c in self.nodes and self.nodes[c].name.startswith(behind)}
        return found

    @cached_property
    def _held(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key, holder in self.holders.items():
            if self.nodes[key].phase != "Omitted":
                found.setdefault(holder, []).append(key)
        return found

    def held(self, key: str) -> Sequence[str]:
        """What is directly in a node, in no order."""
        return self._held.get(key, ())

    @cached_property
    def sums(self) -> Mapping[str, Mapping[str, int]]:
        """How many of the nodes below each node (and itself) do something, by phase."""
        found: dict[str, dict[str, int]] = {key: {} for key in self.nodes}
        for key, one in self.nodes.items():
            if one.kind not in LEAVES:
                continue
            phase, at = phase_of(one), key
            for _ in range(DEEPEST):
                found[at][phase] = found[at].get(phase, 0) + 1
                if not (at := self.holders[at]):
                    break
        return found

    def below(self, key: str) -> list[Stub]:
        """What is shown under a node, in the order in which it began, what failed first where there is much."""
        found = [self.nodes[one] for one in self._shown(self.held(key))]
        found.sort(key=self._began)
        if len(found) > PAGE:
            found.sort(key=lambda one: _FIRST.get(phase_of(one), 3))
        return found

    def _shown(self, keys: Iterable[str], deep: int = 0) -> list[str]:
        found: list[str] = []
        for key in keys:
            one, inside = self.nodes[key], self.held(key)
            melts = one.kind in {"TaskGroup", "StepGroup"} and len(inside) <= PAGE
            if (melts or (one.kind == "Retry" and len(inside) == 1)) and deep < DEEPEST:
                found += self._shown(inside, deep + 1)
            else:
                found.append(key)
        return found

    def roots(self) -> list[Stub]:
        """The run's own node, then its handlers."""
        found = self.below("")
        return sorted(found, key=lambda one: one.label != one.id)

    def failed(self, most: int) -> list[Stub]:
        """What failed by itself: nodes that do something; the first ones."""
        found = [one for one in self.nodes.values() if one.kind in LEAVES and one.phase in {"Failed", "Error"}]
        return sorted(found, key=self._began)[:most]

    def _began(self, one: Stub) -> tuple[str, int]:
        # Whole seconds, as the controller writes them down; then as they were made.
        return one.started[:19] or "~", self.outline.rank.get(one.id, -1)


def fold(tree: Tree, opened: Opened) -> list[Line]:
    """The lines that are shown. Never more than `MOST_LINES`: what is open and has no room is closed."""
    small = len(tree.nodes) <= SMALL
    lines: list[Line] = []

    def draw(one: Stub, here: str, under: str, deep: int) -> None:
        inside = len(tree.held(one.id))
        said = opened.get(one.id, 0 if small or not deep else -1)
        if not inside or said < 0 or deep > DEEPEST or len(lines) >= MOST_LINES:
            lines.append(Line(one, here, inside, False, tree.sums[one.id] if inside else {}))
            return
        below = tree.below(one.id)
        at = said if said < len(below) else 0
        some = below[at : at + PAGE]
        lines.append(Line(one, here, len(below), True, tree.sums[one.id], at, len(below) - at - len(some)))
        for index, child in enumerate(some):
            last = index == len(some) - 1
            draw(child, under + ("└─" if last else "├─"), under + ("  " if last else "│ "), deep + 1)

    for root in tree.roots()[:PAGE]:
        draw(root, "", "", 0)
    return lines


def phase_of(one: Stub) -> str:
    """A node's phase; Suspended for one that waits for people."""
    return SUSPENDED if one.kind == "Suspend" and one.phase == "Running" else one.phase


def way_to(tree: Tree, key: str) -> list[str]:
    """All that a node is in, from the outside in."""
    found: list[str] = []
    while (key := tree.holders.get(key, "")) and key not in found:
        found.append(key)
    return found[::-1]
