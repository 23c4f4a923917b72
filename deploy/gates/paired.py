"""Whether a gain over the champion is more than noise: tests over the same examples, paired. Pure; no chance in it.

`bootstrap`: the examples are drawn again and again, with replacement. Two answers come from the same draws, and the
more careful one counts: the share of draws in which the gain is not more than the margin (percentile), and the share in
which the draws' own t is at least that of the gain (studentized), which sees losses that lean to one side. `mcnemar`:
the exact test of McNemar, over the examples on which just one of the two was right. The draws follow a seed made of
digests, so the same input gives the same verdict on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from retrain.errors import ConfigError
from retrain.events import JsonValue

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 2000
AT_ONCE = 4_000_000
"""Draws held in memory at the same time: 32 MB."""
LEAST = {"bootstrap": 100, "mcnemar": 20}
"""Fewer examples are not judged: of 30 losses that lean far to one side a bootstrap lets noise through 8 times in 100,
and of rare ones 40 times, at a confidence of 0.95. McNemar's test is exact."""


@dataclass(frozen=True, slots=True)
class Tested:
    """What a test found. `gain`: the mean by which the candidate is better; `low`, `high`: its interval."""

    n: int
    gain: float
    p: float
    low: float | None
    high: float | None
    figures: dict[str, JsonValue]


def seed_of(*digests: str | None) -> int:
    """A seed that follows from what is compared."""
    return int.from_bytes(sha256("\n".join(one or "-" for one in digests).encode()).digest()[:8])


def bootstrap(gains: Sequence[float], margin: float, confidence: float, seed: int) -> Tested:
    """Test whether the mean gain is more than `margin` (non-inferiority: a negative one).

    `p` counts draws at the margin as not more, and itself as one of the draws, so it is never 0. The interval is
    one-sided on each end: below `low` lies the mean with a chance of 1 - confidence; None where there is no bound.

    Raises:
        ConfigError: numpy is not installed.
    """
    np = _numpy()
    sample = np.asarray(gains, dtype=np.float64)
    means, spreads = _draws(np, sample, seed)
    # What is equal but for rounding is equal: without this, 0.1 + 0.2 would beat a margin of 0.3.
    slack = 1e-12 * max(1.0, float(np.abs(sample).max()))
    mean, spread = float(sample.mean()), float(sample.std())
    percentile = _share(means <= margin + slack)
    low, high = (float(np.quantile(means, share)) for share in (1 - confidence, confidence))
    if spread <= slack:  # all the same: nothing to divide by
        found = Tested(len(gains), mean, percentile, _round(low), _round(high), {})
    else:
        ts = _ts(np, means - mean, spreads, slack)
        studentized = _share(ts >= (mean - margin - slack) / spread)
        lower, upper = (mean - _quantile(np, ts, share) * spread for share in (confidence, 1 - confidence))
        p = max(percentile, studentized)
        found = Tested(len(gains), mean, p, _round(min(low, lower)), _round(max(high, upper)), {})
    figures: dict[str, JsonValue] = {"resamples": RESAMPLES, "seed": str(seed)}
    return replace(found, figures=figures)


def _share(counted: NDArray[Any]) -> float:
    return (1 + int(counted.sum())) / (RESAMPLES + 1)


def _ts(np: Any, offs: NDArray[Any], spreads: NDArray[Any], slack: float) -> NDArray[Any]:
    """Each draw's mean, off from the sample's, in its own spreads; infinite where it has none."""
    flat = spreads <= slack
    scaled = offs / np.where(flat, 1.0, spreads)
    beyond = np.where(offs > slack, np.inf, np.where(offs < -slack, -np.inf, 0.0))
    return np.where(flat, beyond, scaled)


def _quantile(np: Any, values: NDArray[Any], share: float) -> float:
    """A quantile that is one of the values: between an infinite one and another lies nothing."""
    return float(np.quantile(values, share, method="higher" if share > 0.5 else "lower"))


def _draws(np: Any, sample: NDArray[Any], seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and spread of each draw. Only raw bits are taken from numpy: those are the same in all of its versions."""
    bits, n = np.random.PCG64(seed), len(sample)
    rows = max(1, AT_ONCE // n)
    parts: list[Any] = []
    for first in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - first)
        drawn = (bits.random_raw(count * n) >> np.uint64(32)) * np.uint64(n) >> np.uint64(32)
        picked = sample[drawn.reshape(count, n)]
        parts.append((picked.mean(axis=1), picked.std(axis=1)))
    return tuple(np.concatenate(one) for one in zip(*parts, strict=True))


def mcnemar(candidate: Sequence[bool], champion: Sequence[bool]) -> Tested:
    """Test whether the candidate is right more often; exact, one-sided."""
    won = sum(mine and not other for mine, other in zip(candidate, champion, strict=True))
    lost = sum(other and not mine for mine, other in zip(candidate, champion, strict=True))
    figures: dict[str, JsonValue] = {"won": won, "lost": lost}
    return Tested(len(candidate), (won - lost) / len(candidate), upper_tail(won, won + lost), None, None, figures)


def upper_tail(won: int, n: int) -> float:
    """The chance of `won` heads or more in `n` throws of a fair coin."""
    if won <= 0:
        return 1.0
    logs = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2) for k in range(won, n + 1)
    ]
    return min(1.0, math.fsum(math.exp(one) for one in logs))


def _round(value: float) -> float | None:
    return float(f"{value:.10g}") if math.isfinite(value) else None


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise ConfigError("test: bootstrap needs numpy; install retrain[gates], or write test: mcnemar") from error
    return numpy
