"""Places where a test may kill this process, as `kill -9` or a power cut would.

A promise such as "no acknowledged event is lost" is worth what its worst moment is worth, so the worst moments have
names: `faults.point("host.before_commit")`. Nothing happens there unless the app armed that name at its start.
"""

from __future__ import annotations

import os
import signal
from itertools import count

from retrain.errors import ConfigError

POINTS = frozenset(
    {
        "source.before_publish",
        "source.after_publish",
        "host.before_commit",
        "host.after_commit",
        "trigger.before_act",
        "trigger.after_act",
        "runner.after_start",
        "runner.before_finish",
        "runner.after_finish",
        "runner.before_save",
        "runner.after_save",
        "runner.before_keepers",
        "runner.after_keepers",
        "keepers.after_acquire",
        "keepers.after_release",
        "keepers.after_remember",
        "cron.before_commit",
        "cron.after_commit",
        "binding.before_commit",
        "binding.after_commit",
        "cluster.before_create",
        "cluster.after_create",
        "cluster.before_place",
        "cluster.after_place",
        "cluster.before_mirror",
        "cluster.after_mirror",
        "outbox.before_publish",
        "outbox.after_publish",
        "promotion.before_commit",
        "promotion.before_push",
        "promotion.after_push",
        "promotion.before_publish",
        "promotion.after_publish",
        "promotion.after_open",
        "promotion.before_merge",
        "promotion.after_merge",
        "promotion.before_next",
        "promotion.before_verdict",
        "promotion.before_step",
        "promotion.after_mark",
        "promotion.before_hold_push",
        "promotion.after_hold_push",
        "approval.before_commit",
        "verification.after_save",
    }
)

_armed: dict[str, tuple[int, count[int]]] = {}


def arm(spec: str | None) -> None:
    """Arm one point: `name`, or `name:N` for its N-th pass (from 1). None or an empty text disarms all.

    Raises:
        ConfigError: there is no such point, or N is no positive number.
    """
    _armed.clear()
    if not spec:
        return
    name, _, passes = spec.partition(":")
    if name not in POINTS:
        raise ConfigError(f"no fault point is named {name!r}; there are {', '.join(sorted(POINTS))}")
    if passes and not (passes.isdecimal() and int(passes) > 0):
        raise ConfigError(f"{spec!r}: the pass is a number from 1")
    _armed[name] = (int(passes or 1), count(1))


def point(name: str) -> None:
    """Die here by SIGKILL if this is the pass that was armed. Costs one lookup otherwise."""
    if name in _armed:
        nth, passes = _armed[name]
        if next(passes) == nth:
            os.kill(os.getpid(), signal.SIGKILL)
