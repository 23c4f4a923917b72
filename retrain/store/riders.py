"""What goes along with a write of somebody else, in the same transaction: a deed with what it has changed."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection


class Rider:
    """Goes along with the first write of an action. `look`: how things are, before and after; `told` gets both, and
    what the write gave."""

    def __init__(self, look: Callable[[Connection], Any], told: Callable[[Connection, Any, Any, Any], None]) -> None:
        self._look = look
        self._told = told
        self.away = False
        """Whether it has gone along with a write."""

    def mount(self, work: Callable[[Connection], Any]) -> Callable[[Connection], Any]:
        """The write with its rider. A write that is tried again takes it along again."""
        self.away = True

        def both(connection: Connection) -> Any:
            before = self._look(connection)
            result = work(connection)
            self._told(connection, before, self._look(connection), result)
            return result

        return both


RIDER: ContextVar[Rider | None] = ContextVar("rider", default=None)
"""Who waits for the first write of what is being done."""


def mounted(work: Callable[[Connection], Any]) -> Callable[[Connection], Any]:
    """The write as it is to be done: with a rider, if one waits."""
    rider = RIDER.get()
    return work if rider is None or rider.away else rider.mount(work)
