"""When one attempt at a promotion came how far: what is written down for its spans."""

from __future__ import annotations

from typing import Literal

from retrain.clock import Clock
from retrain.events import JsonValue


class Timings:
    """Times of one attempt, which begins now. `asked`: when its gates were asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked = clock.now()
        self.known: dict[str, JsonValue] = {"begun": self.asked.isoformat()}

    def note(self, name: Literal["judged", "pushing", "pushed"]) -> None:
        """It has come so far."""
        self.known[name] = self._clock.now().isoformat()
