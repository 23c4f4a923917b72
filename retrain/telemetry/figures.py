"""Counters and histograms in memory, with bounded labels. Kept since the start of the process, as Prometheus has it.

A label's value may come from outside: the name of a source, of a sensor, of a workflow. The first `most` values of each
label have series of their own; whatever comes after them is counted as `other`, so that no name makes the page grow.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

MOST = 100
"""Values of one label that have series of their own."""
LONGEST = 120
"""Characters of a label's value; the rest is cut off."""
OTHER = "other"

SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds in seconds for what takes milliseconds."""
LONG = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Bounds in seconds for what takes minutes or hours."""

Labels = tuple[str, ...]


class Bound:
    """Lets the first `most` values through as they are; every other one is `other`."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._seen:
            return value
        shown = value[:LONGEST]
        if shown in self._seen:
            return shown
        if len(self._seen) >= self._most:
            return OTHER
        self._seen.add(shown)
        return shown


class _Family:
    def __init__(self, name: str, text: str, labels: Labels, most: int) -> None:
        self.name = name
        self.text = text
        self.labels = labels
        self._bounds = tuple(Bound(most) for _ in labels)
        self._lock = threading.Lock()

    def _bounded(self, values: Labels) -> Labels:
        return tuple(bound(value) for bound, value in zip(self._bounds, values, strict=True))


class Counter(_Family):
    """A number that only grows, for each combination of labels. Its name ends in `_total`."""

    kind: str = "counter"

    def __init__(self, name: str, text: str, *labels: str, most: int = MOST) -> None:
        super().__init__(name, text, labels, most)
        self._values: dict[Labels, float] = {} if labels else {(): 0.0}

    def add(self, *values: str, by: float = 1) -> None:
        """So much more, with these values of its labels in their order."""
        with self._lock:
            labels = self._bounded(values)
            self._values[labels] = self._values.get(labels, 0.0) + by

    def value(self, *values: str) -> float:
        """How far one series has come; 0 where there is none."""
        return self._values.get(values, 0.0)

    def samples(self) -> list[tuple[Labels, float]]:
        """All series as they are now."""
        with self._lock:
            return list(self._values.items())


class Level(Counter):
    """A number that goes up and down (`by` may be negative): how many there are of something now."""

    kind = "gauge"


@dataclass(slots=True)
class _Series:
    counts: list[int]
    sum: float = 0.0


@dataclass(frozen=True, slots=True)
class Spread:
    """One series of a histogram. `buckets`: (upper bound as Prometheus writes it, how many up to it)."""

    labels: Labels
    buckets: list[tuple[str, float]]
    sum: float


class Histogram(_Family):
    """How values are spread, in seconds: for each combination of labels a count for each bucket. Ends in `_seconds`."""

    kind = "histogram"

    def __init__(
        self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = SHORT, most: int = MOST
    ) -> None:
        super().__init__(name, text, labels, most)
        self._buckets = buckets
        self._series: dict[Labels, _Series] = {}
        if not labels:
            self._series[()] = self._empty()

    def observe(self, seconds: float, *values: str) -> None:
        """One value more. Clocks of machines differ: what is below 0 counts as 0."""
        seconds = max(seconds, 0.0)
        with self._lock:
            labels = self._bounded(values)
            series = self._series.get(labels)
            if series is None:
                series = self._series[labels] = self._empty()
            series.counts[bisect_left(self._buckets, seconds)] += 1
            series.sum += seconds

    def count(self, *values: str) -> int:
        """How many values one series has seen."""
        series = self._series.get(values)
        return sum(series.counts) if series else 0

    def spreads(self) -> Iterator[Spread]:
        """All series as they are now."""
        bounds = [*(f"{bound:g}" for bound in self._buckets), "+Inf"]
        with self._lock:
            known = [(labels, list(one.counts), one.sum) for labels, one in self._series.items()]
        for labels, counts, total in known:
            so_far, buckets = 0, list[tuple[str, float]]()
            for bound, count in zip(bounds, counts, strict=True):
                so_far += count
                buckets.append((bound, so_far))
            yield Spread(labels, buckets, total)

    def _empty(self) -> _Series:
        return _Series([0] * (len(self._buckets) + 1))


Family = Counter | Histogram
