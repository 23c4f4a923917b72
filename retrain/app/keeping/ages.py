"""Since when the parts of the platform are as they are: nobody but who looks all the time can say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import anyio
from anyio.abc import TaskStatus

from retrain.app.parts import PartState
from retrain.clock import Clock

LOOK_S = 2.0
"""Seconds between two looks: so far off a `since` may be."""


class Ages:
    """Remembers when each part became ready, or ceased to be. What is older than the process is as old as that."""

    def __init__(self, clock: Clock, look: Callable[[], list[PartState]]) -> None:
        self._clock = clock
        self._look = look
        self._known: dict[str, tuple[bool, datetime]] = {}

    def states(self) -> list[PartState]:
        """The parts as they are now, each with its `since`."""
        states = self._look()
        self._known = told(self._known, states, self._clock.now())
        return [replace(one, since=self._known[one.name][1]) for one in states]

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Look until cancelled."""
        task_status.started()
        while True:
            self.states()
            await anyio.sleep(LOOK_S)


def told(
    known: dict[str, tuple[bool, datetime]], states: Sequence[PartState], now: datetime
) -> dict[str, tuple[bool, datetime]]:
    """What is known after another look. Pure; a part that is gone is forgotten."""
    found: dict[str, tuple[bool, datetime]] = {}
    for one in states:
        before = known.get(one.name)
        found[one.name] = before if before is not None and before[0] == one.ready else (one.ready, now)
    return found
