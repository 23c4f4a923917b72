"""Where the boxes of a graph lie: in layers, each behind all that lead to it, with few crossings and straight edges.

After Sugiyama. A box's layer is the longest way to it. An edge over several layers passes a bend in each. Within a
layer the order is that of the neighbours' middle, swept to and fro; then each layer moves as close to its neighbours
as the order and the gaps allow, which is a regression under order (pool adjacent violators) and so exact and quick.

Source: Sugiyama, Tagawa, Toda 1981; Ayer et al. 1955 for the regression.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 12
STRAIGHT = 8.0
"""How much more a bend wants to be straight than a box does."""
BEND = 6.0
"""The height that a bend takes, in the unit of the boxes."""


@dataclass(frozen=True, slots=True)
class Layout:
    """`layer` and `middle` (along the layer) of each box; for each edge the (layer, middle) of its bends."""

    layer: Mapping[str, int]
    middle: Mapping[str, float]
    bends: Mapping[tuple[str, str], tuple[tuple[int, float], ...]]
    layers: int
    length: float
    """How long the longest layer is."""


def lay_out(sizes: Mapping[str, float], edges: Sequence[tuple[str, str]], gap: float) -> Layout:
    """Lay boxes out; `sizes` are their heights, in the order in which they are to be where nothing else decides.

    Edges that would lead back are turned round.
    """
    work = _Work(dict(sizes), gap)
    work.rank(edges)
    work.order()
    work.settle()
    lowest = min((work.at[key] - work.sizes[key] / 2 for key in work.at), default=0.0)
    middle = {key: at - lowest for key, at in work.at.items()}
    bends = {edge: tuple((work.layer[one], middle[one]) for one in way) for edge, way in work.ways.items()}
    length = max((middle[key] + work.sizes[key] / 2 for key in middle), default=0.0)
    return Layout(
        {key: work.layer[key] for key in sizes}, {key: middle[key] for key in sizes}, bends, len(work.rows), length
    )


@dataclass(slots=True)
class _Work:
    """The graph while it is laid out, with a bend wherever an edge passes a layer."""

    sizes: dict[str, float]
    gap: float
    layer: dict[str, int] = field(default_factory=dict[str, int])
    rows: list[list[str]] = field(default_factory=list[list[str]])
    before: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    after: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    at: dict[str, float] = field(default_factory=dict[str, float])
    ways: dict[tuple[str, str], list[str]] = field(default_factory=dict[tuple[str, str], list[str]])

    # --- layers --------------------------------------------------------------------------------------------------

    def rank(self, edges: Sequence[tuple[str, str]]) -> None:
        """Give each box its layer, and each long edge its bends."""
        self.layer = _longest_ways(list(self.sizes), edges)
        for number in range(max(self.layer.values(), default=-1) + 1):
            self.rows.append([key for key in self.sizes if self.layer[key] == number])
        for edge in edges:
            self._lead(edge)

    def _lead(self, edge: tuple[str, str]) -> None:
        start, end = sorted(edge, key=lambda key: self.layer[key])
        way: list[str] = []
        last = start
        for number in range(self.layer[start] + 1, self.layer[end]):
            bend = f"\0{len(self.sizes)}"
            self.sizes[bend], self.layer[bend] = BEND, number
            self.rows[number].append(bend)
            self._join(last, bend)
            way.append(bend)
            last = bend
        if self.layer[start] != self.layer[end]:
            self._join(last, end)
        self.ways[edge] = way if start == edge[0] else way[::-1]

    def _join(self, start: str, end: str) -> None:
        self.after.setdefault(start, []).append(end)
        self.before.setdefault(end, []).append(start)

    # --- order ---------------------------------------------------------------------------------------------------

    def order(self) -> None:
        """Order each layer so that few edges cross; the best order of all sweeps is kept."""
        best, crossings = [list(row) for row in self.rows], self._crossings()
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            span = range(1, len(self.rows)) if down else range(len(self.rows) - 2, -1, -1)
            for number in span:
                self._sort(number, self.before if down else self.after, number - 1 if down else number + 1)
            if (found := self._crossings()) < crossings:
                best, crossings = [list(row) for row in self.rows], found
            if not crossings:
                break
        self.rows = best

    def _sort(self, number: int, neighbours: Mapping[str, list[str]], other: int) -> None:
        place = {key: index for index, key in enumerate(self.rows[other])}
        row = self.rows[number]
        wish = {key: _mean([place[one] for one in neighbours.get(key, ())], index) for index, key in enumerate(row)}
        row.sort(key=lambda key: wish[key])

    def _crossings(self) -> int:
        return sum(_crossings(upper, lower, self.after) for upper, lower in pairwise(self.rows))

    # --- places --------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Place each layer as close to what it is joined to as its order and the gaps allow."""
        for row in self.rows:
            offset = 0.0
            for key in row:
                self.at[key] = offset + self.sizes[key] / 2
                offset += self.sizes[key] + self.gap
        for sweep in range(SWEEPS):
            rows = self.rows if sweep % 2 == 0 else self.rows[::-1]
            for row in rows:
                self._place(row)

    def _place(self, row: Sequence[str]) -> None:
        wishes: list[float] = []
        weights: list[float] = []
        for key in row:
            joined = [*self.before.get(key, ()), *self.after.get(key, ())]
            heavy = [STRAIGHT if key.startswith("\0") or one.startswith("\0") else 1.0 for one in joined]
            total = sum(heavy)
            near = sum(self.at[one] * weight for one, weight in zip(joined, heavy, strict=True))
            wishes.append(near / total if total else self.at[key])
            weights.append(total or 0.1)
        steps = [0.0]
        for one, two in pairwise(row):
            steps.append(steps[-1] + (self.sizes[one] + self.sizes[two]) / 2 + self.gap)
        found = _rising([wish - step for wish, step in zip(wishes, steps, strict=True)], weights)
        for key, place, step in zip(row, found, steps, strict=True):
            self.at[key] = place + step


def _longest_ways(keys: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    after: dict[str, list[str]] = {}
    waiting = dict.fromkeys(keys, 0)
    for start, end in edges:
        after.setdefault(start, []).append(end)
        waiting[end] += 1
    found = {key: 0 for key in keys if not waiting[key]}
    ready = list(found)
    for key in ready:
        for one in after.get(key, ()):
            found[one] = max(found.get(one, 0), found[key] + 1)
            waiting[one] -= 1
            if not waiting[one]:
                ready.append(one)
    return {key: found.get(key, 0) for key in keys}  # what is in a circle, which no run has, stays where it is


def _mean(places: Sequence[float], otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise


def _crossings(upper: Sequence[str], lower: Sequence[str], after: Mapping[str, Iterable[str]]) -> int:
    """How many pairs of edges between two layers cross. Near n log n: a list is searched, and grows."""
    place = {key: index for index, key in enumerate(lower)}
    seen: list[int] = []
    found = 0
    for key in upper:
        ends = sorted(place[one] for one in after.get(key, ()))
        for end in ends:
            found += len(seen) - bisect_right(seen, end)
        for end in ends:
            seen.insert(bisect_right(seen, end), end)
    return found


def _rising(wishes: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The rising numbers that are closest to the wishes, by weighted squares."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for wish, weight in zip(wishes, weights, strict=True):
        mean, heavy, count = wish, weight, 1
        while blocks and blocks[-1][0] > mean:
            before, more, many = blocks.pop()
            mean = (before * more + mean * heavy) / (more + heavy)
            heavy, count = heavy + more, count + many
        blocks.append((mean, heavy, count))
    return [mean for mean, _, count in blocks for _ in range(count)]
