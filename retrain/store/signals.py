"""Wake-ups inside one process: what a commit has made ready is taken up at once, not at the next poll."""

from __future__ import annotations

from collections import defaultdict

import anyio


class Signals:
    """Named wake-ups. A notice is never lost: `wait` returns at once if one came since the caller's last `wait`.

    One waiter for each topic; a second one waits for `topic/its own name`, which hears of all that `topic` hears.
    Call from the event loop only.
    """

    def __init__(self) -> None:
        self._events: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)

    def notify(self, topic: str) -> None:
        """Say that something new of this topic is committed."""
        self._events[topic].set()
        below = f"{topic}/"
        for name, event in self._events.items():
            if name.startswith(below):
                event.set()

    async def wait(self, topic: str, timeout_s: float) -> bool:
        """Wait for the next notice, at most `timeout_s` seconds; True if there was one.

        Other processes on the same store give no notice here, hence the timeout.
        """
        event = self._events[topic]
        with anyio.move_on_after(timeout_s):
            await event.wait()
        noticed = event.is_set()
        if noticed:
            self._events[topic] = anyio.Event()
        return noticed
