"""The timers of one batch: those that the store knows to be due, and those that the batch itself sets, in one order."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import datetime

from retrain.store.cells import Name
from sensors.core.cells import EXPIRES

MOST = 2000
"""Timers of one batch at most: a transaction is to stay short."""


class Timers:
    """Cells by when they are due. A cell that has changed meanwhile is given all the same: look at it first."""

    def __init__(self, stored: Sequence[tuple[datetime, Name]] = (), *, whole: bool = True, most: int = MOST) -> None:
        """`stored`: the first that the store has, in order. `whole`: it has no others that matter to the batch."""
        self._heap = list(stored)
        heapq.heapify(self._heap)
        self._known_until = None if whole or not stored else stored[-1][0]
        self._rest = most

    def push(self, due: datetime, name: Name) -> None:
        """A cell got a time at which a timer is to look at it."""
        if name[1] != EXPIRES:
            heapq.heappush(self._heap, (due, name))

    def pop(self, until: datetime) -> tuple[datetime, Name] | None:
        """The next cell that is due until then; None if there is none, or if the batch has had enough."""
        heap = self._heap
        if not heap or heap[0][0] > until or self._rest <= 0:
            return None
        if self._known_until is not None and heap[0][0] > self._known_until:
            return None  # the store may have others before it
        self._rest -= 1
        return heapq.heappop(heap)

    def left(self, until: datetime) -> bool:
        """Whether timers are due until then that `pop` has not given."""
        if self._known_until is not None and self._known_until <= until:
            return True
        return bool(self._heap) and self._heap[0][0] <= until
