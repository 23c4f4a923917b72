"""What can be set of the sensor host, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sensors.host.memory import BOUND
from sensors.host.upkeep import Keep


@dataclass(frozen=True, slots=True)
class HostSettings:
    """`batch`: records of one transaction at most. `max_depth`: of lineage, where a loop of events is cut. `cells`: of
    the sensors' memory at hand. `clock_s`: how often the clock is looked at while timers wait; it may jump."""

    batch: int = 500
    max_depth: int = 16
    cells: int = BOUND
    backoff_s: float = 0.1
    max_backoff_s: float = 5.0
    clock_s: float = 5.0
    keep: Keep = field(default_factory=Keep)


@dataclass(frozen=True, slots=True)
class HostState:
    """For `/readyz`: what is waited for, None if it works. `behind`: sensors that still read the past; `still`: those
    that are suspended. `now`: how far the time of the log has come."""

    ready: bool
    waiting_for: str | None
    position: int
    behind: tuple[str, ...] = ()
    still: tuple[str, ...] = ()
    now: datetime | None = None
