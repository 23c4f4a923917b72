"""Which firing acts next: a lane for each trigger, taken in turn: a slow receiver holds up itself only. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from triggers.port import Firing

Name = tuple[str, str]
"""Sensor and trigger."""


@dataclass(slots=True)
class _Lane:
    waiting: deque[Firing] = field(default_factory=lambda: deque[Firing]())
    acting: int = 0
    queued: bool = False


class Lanes:
    """Firings that wait for a place. Every operation costs the same however many wait.

    Inside a lane the oldest goes first; as several act at once, they may still end in another order.
    """

    def __init__(self, per_lane: int, in_all: int) -> None:
        self._per_lane = per_lane
        self._in_all = in_all
        self._lanes: dict[Name, _Lane] = {}
        self._turns: deque[Name] = deque()
        self.acting = 0

    def push(self, firing: Firing) -> None:
        """Let a firing wait for its turn."""
        name = (firing.sensor, firing.trigger)
        lane = self._lanes.setdefault(name, _Lane())
        lane.waiting.append(firing)
        self._enqueue(name, lane)

    def pop(self) -> Firing | None:
        """The firing that acts now; None if all places are taken or nothing waits. `finish` gives its place back."""
        if self.acting >= self._in_all or not self._turns:
            return None
        name = self._turns.popleft()
        lane = self._lanes[name]
        lane.queued = False
        firing = lane.waiting.popleft()
        lane.acting += 1
        self.acting += 1
        self._enqueue(name, lane)
        return firing

    def finish(self, firing: Firing) -> None:
        """Give the place of a firing back."""
        name = (firing.sensor, firing.trigger)
        lane = self._lanes[name]
        lane.acting -= 1
        self.acting -= 1
        if lane.acting or lane.waiting:
            self._enqueue(name, lane)
        else:
            del self._lanes[name]

    def clear(self) -> None:
        """Forget what waits; what acts is not touched."""
        self._turns.clear()
        for lane in self._lanes.values():
            lane.waiting.clear()
            lane.queued = False

    def _enqueue(self, name: Name, lane: _Lane) -> None:
        if lane.waiting and not lane.queued and lane.acting < self._per_lane:
            lane.queued = True
            self._turns.append(name)
