"""How far two samples of one feature are apart: PSI over bins, Kolmogorov and Smirnov's D with its chance."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

FLOOR = 1e-4
"""The least share of a bin: an empty one would be infinitely far."""


def psi(now: Sequence[float], reference: Sequence[float]) -> float:
    """The population stability index of two histograms over the same bins, given as counts. 0 where they agree."""
    here, there = _shares(now), _shares(reference)
    return math.fsum((one - other) * math.log(one / other) for one, other in zip(here, there, strict=True))


def _shares(counts: Sequence[float]) -> list[float]:
    total = math.fsum(counts)
    return [max(count / total, FLOOR) for count in counts]


def ks(now: Sequence[float], reference: Sequence[float]) -> float:
    """The greatest distance between the two samples' distribution functions."""
    here, there = sorted(now), sorted(reference)
    places = sorted({*here, *there})
    return max(abs(bisect_right(here, x) / len(here) - bisect_right(there, x) / len(there)) for x in places)


def ks_of_counts(now: Sequence[float], reference: Sequence[float]) -> float:
    """The same of two histograms over the same ordered bins: at the edges, which is the least that it can be."""
    here = there = most = 0.0
    total, other = math.fsum(now), math.fsum(reference)
    for one, two in zip(now, reference, strict=True):
        here, there = here + one / total, there + two / other
        most = max(most, abs(here - there))
    return most


def ks_chance(distance: float, n: float, m: float) -> float:
    """The chance of such a distance, or a greater one, if both are of one distribution (Kolmogorov's limit)."""
    root = math.sqrt(n * m / (n + m))
    x = (root + 0.12 + 0.11 / root) * distance
    if x < 0.2:
        return 1.0
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, math.fsum(terms)))


def quantile_edges(sample: Sequence[float], bins: int) -> list[float]:
    """Edges that put about the same number of this sample into each bin; fewer where values repeat."""
    ordered = sorted(sample)
    return sorted({ordered[len(ordered) * k // bins] for k in range(1, bins)})


def counted(sample: Sequence[float], edges: Sequence[float]) -> list[float]:
    """How many of a sample lie in each bin; the outer bins are open."""
    counts = [0.0] * (len(edges) + 1)
    for value in sample:
        counts[bisect_right(edges, value)] += 1
    return counts
