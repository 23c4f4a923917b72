"""A sign that somebody may wait for, and mostly nobody does."""

from __future__ import annotations

import anyio
import anyio.lowlevel


class Sign:
    """An `anyio.Event` that is made only when it is waited for: a step has several, and to make one costs as much as
    its look-up in the library. On the event loop."""

    __slots__ = ("_event", "_given")

    def __init__(self) -> None:
        self._given = False
        self._event: anyio.Event | None = None

    def set(self) -> None:
        """Give the sign, for good."""
        self._given = True
        if self._event is not None:
            self._event.set()

    def is_set(self) -> bool:
        """Whether it was given."""
        return self._given

    async def wait(self) -> None:
        """Until it is given."""
        if self._given:
            await anyio.lowlevel.checkpoint()
            return
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()
