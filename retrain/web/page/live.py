"""Tells open views what has changed: one look at the store for all of them, and one line for each that listens.

A view is told names of topics and asks for itself. Who reads slowly gets one line for all that it missed, and nobody
waits for it: nothing is kept for a listener but how far it has come.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from math import inf
from random import Random

import anyio

from retrain.app.looking.changes import TOPICS, Prints, Topic, fingerprints
from retrain.app.services import Services
from retrain.errors import Transient
from retrain.serving import Send
from retrain.web.tail import Tail

LOOK_S = 0.5
"""Seconds between two looks at the store while somebody listens; nobody looks for nobody."""
BEAT_S = 15.0
"""Seconds of silence after which a line is sent for its own sake."""
TOLD_PER_S = 30
"""Listeners that are told in a second, all together: each of them asks for its view anew then. Of few each is told at
once; two hundred are told in turns, each every seven seconds at most, and of all that has changed meanwhile."""


class Pulse:
    """How often something has changed since the start, and when each topic last did."""

    def __init__(self, look: Callable[[], Awaitable[Prints]]) -> None:
        self._look = look
        self._birth = secrets.token_hex(4)
        self._count = 0
        self._changed: dict[Topic, int] = dict.fromkeys(TOPICS, 0)
        self._seen: Prints | None = None
        self._driven = False
        self._turn = anyio.Event()
        self._listeners = 0

    @contextmanager
    def listening(self) -> Generator[None]:
        """While one more listens."""
        self._listeners += 1
        try:
            yield
        finally:
            self._listeners -= 1

    @property
    def spread_s(self) -> float:
        """Seconds over which all who listen are told of one change."""
        return self._listeners / TOLD_PER_S

    @property
    def name(self) -> str:
        """The name of this moment, from which somebody may listen on."""
        return f"{self._birth}-{self._count}"

    async def look(self) -> None:
        """Look at the store now, and tell everybody if there is something new."""
        found = await self._look()
        known, self._seen = self._seen, found
        # What views that are open already have not seen, at the first look, nobody knows.
        new: list[Topic] = [topic for topic in TOPICS if known is None or known[topic] != found[topic]]
        if new:
            self._count += 1
            for topic in new:
                self._changed[topic] = self._count
            turn, self._turn = self._turn, anyio.Event()
            turn.set()

    def since(self, name: str) -> list[Topic]:
        """What has changed since that moment: everything, if it is none of this process."""
        birth, _, count = name.partition("-")
        if birth != self._birth or not count.isdigit():
            return list(TOPICS)
        return [topic for topic in TOPICS if self._changed[topic] > int(count)]

    async def wait(self, name: str) -> list[Topic]:
        """What has changed since that moment, once something has. One of those who wait looks for all of them."""
        while not (found := self.since(name)):
            if self._driven:
                await self._turn.wait()
            else:
                await self._drive()
        return found

    async def _drive(self) -> None:
        self._driven = True
        try:
            before = self._count
            while self._count == before:
                await anyio.sleep(LOOK_S)
                await self.look()
        finally:
            self._driven = False
            # Another one looks from now on, where this one has gone.
            turn, self._turn = self._turn, anyio.Event()
            turn.set()


def pulse_of(services: Services) -> Pulse:
    """The pulse of a platform's store."""

    async def look() -> Prints:
        return await services.ask(fingerprints)

    return Pulse(look)


_chance = Random().random  # noqa: S311 - nothing secret: whose turn it is


def turn_s(spread_s: float, since_s: float, chance: float) -> float:
    """Seconds until it is a listener's turn: `since_s` after it was told last; `chance` from 0 to 1. Pure.

    Who was told lately waits until the others have been; of those who were not, each has some moment of the spread.
    """
    return max(0.0, spread_s - since_s) if since_s < spread_s else spread_s * chance


class Live(Tail):
    """Server-Sent Events: `changed-<topic>` for each topic that has changed, `id` the moment."""

    def __init__(self, services: Services, pulse: Pulse, after: str) -> None:
        super().__init__(services, 0)
        self._pulse = pulse
        self._after = after
        self._told = -inf

    async def _send_all(self, send: Send) -> None:
        try:
            with self._pulse.listening():
                # Between the view and this request something may have changed while nobody looked.
                await self._pulse.look()
                while True:
                    await send({"type": "http.response.body", "body": await self._next(), "more_body": True})
        except Transient as error:
            said = str(error).replace("\n", " ").encode()
            await send({"type": "http.response.body", "body": b": %s\n\n" % said, "more_body": True})

    async def _next(self) -> bytes:
        found: list[Topic] = []
        with anyio.move_on_after(BEAT_S):
            found = await self._pulse.wait(self._after)
        if not found:
            return b": nothing new\n\n"
        await anyio.sleep(turn_s(self._pulse.spread_s, anyio.current_time() - self._told, _chance()))
        found = self._pulse.since(self._after)
        self._told = anyio.current_time()
        self._after = self._pulse.name
        return b"".join(b"id: %s\nevent: changed-%s\ndata: \n\n" % (self._after.encode(), t.encode()) for t in found)
