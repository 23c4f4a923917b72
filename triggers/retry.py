"""When to try again: a trigger's `retryStrategy`, read once for each failure. Pure.

The fields and their defaults are those of Argo's `Backoff`. Upstream applies it only with `atLeastOnce: true`; here it
always holds, and a trigger without one gets five attempts, 1 s apart and doubling.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from retrain.errors import ConfigError
from retrain.events import JsonValue

MAX_DELAY_S = 3600.0
"""No wait between two attempts is longer: a factor grows without bound."""

_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Backoff:
    """`steps` attempts in all; the first wait is `duration_s`, each further one `factor` times the last.

    A wait is lengthened by up to `jitter` times itself, at random, so that firings which failed together do not all
    come back together.
    """

    steps: int = 5
    duration_s: float = 1.0
    factor: float = 2.0
    jitter: float = 0.1

    def delay_s(self, failed: int, chance: Callable[[], float] = random.random) -> float:
        """Seconds to wait after `failed` attempts (from 1). `chance` gives numbers from 0 to 1."""
        try:
            growth = self.factor ** (failed - 1)
        except OverflowError:
            growth = sys.float_info.max
        return min(self.duration_s * growth * (1 + self.jitter * chance()), MAX_DELAY_S)


DEFAULT = Backoff()


def read_backoff(strategy: JsonValue) -> Backoff:
    """A `retryStrategy` as written; None is the default.

    Raises:
        ConfigError: a field is none of Argo's, or its value makes no sense.
    """
    if strategy is None:
        return DEFAULT
    if not isinstance(strategy, Mapping):
        raise ConfigError("retryStrategy must be an object with steps, duration, factor, jitter")
    if unknown := sorted(set(strategy) - {"steps", "duration", "factor", "jitter"}):
        raise ConfigError(f"retryStrategy has no field {unknown[0]!r}; it has steps, duration, factor, jitter")
    duration = strategy.get("duration")
    return Backoff(
        # A missing number is upstream's: {} and an absent `steps` mean five.
        steps=max(1, int(_number(strategy, "steps", 5))),
        duration_s=1.0 if duration is None else read_duration(duration),
        factor=_number(strategy, "factor", 1.0),
        jitter=_number(strategy, "jitter", 1.0),
    )


def _number(strategy: Mapping[str, JsonValue], name: str, default: float) -> float:
    value = strategy.get(name)
    if value is None:
        return default
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"retryStrategy.{name} must be a number, not {value!r}") from None
    if not 0 <= number < float("inf"):
        raise ConfigError(f"retryStrategy.{name} must be a number from 0, not {value!r}")
    return number


def read_duration(value: JsonValue) -> float:
    """A duration as Argo Events writes it, in seconds: text such as `1m30s`, or a number of nanoseconds.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return value / 1e9
    if isinstance(value, str) and value.isdecimal():
        return int(value) / 1e9
    if isinstance(value, str):
        parts = list(_PART.finditer(value))
        if parts and "".join(part[0] for part in parts) == value:
            return sum(float(part[1]) * _UNITS[part[2]] for part in parts)
    raise ConfigError(f"{value!r} is no duration; write one like 500ms, 3s or 1m30s")
