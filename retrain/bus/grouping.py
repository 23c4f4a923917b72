"""Group commit: one flush to the disk for many events.

A server that flushes before each acknowledgement confirms about a thousand messages a second, however many come. What
comes while one group is under way makes the next, and goes as one atomic batch of JetStream (ADR-50, server >= 2.12),
which is flushed as a whole: some 15 ms, whether it has two messages or five hundred. So a few go one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from nats.errors import Error as NatsError

from retrain.bus.connection import Connection
from retrain.bus.port import Published

log = structlog.get_logger()

WORTH = 12
"""So many single messages take as long as a batch does, measured."""

MOST = 1000
"""What JetStream takes as one batch."""

MOST_BYTES = 4 * 1024 * 1024
GATHER_S = 0.01
"""Those who were just told that their event is safe may have the next one: how long a group waits for as many again."""

HEADER_BYTES = 256
"""Room for a batch's headers beside a body: the server counts both against max_payload."""

BATCH = "batch-"
"""How the token of a batch's answer begins; an event's is a number."""

DUPLICATE = 10201
"""JetStream: atomic publish batch contains duplicate message id."""


@dataclass(slots=True)
class Waiting:
    """An event that the server has not confirmed yet."""

    ack: asyncio.Future[Published]
    deadline: float
    subject: str
    key: str
    body: bytes


class Groups:
    """Sends over one connection what waits, group after group, in the order in which it came.

    `send` sends one message by itself, `settle` takes its outcome; `waiting` is the publisher's own.
    """

    def __init__(
        self,
        connection: Connection,
        inbox: str,
        waiting: Mapping[str, Waiting],
        send: Callable[[str, Waiting], Awaitable[None]],
        settle: Callable[[str, Published], None],
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._waiting = waiting
        self._send = send
        self._settle = settle
        self._ready: deque[str] = deque(waiting)
        self._came = asyncio.Event()
        self._out: dict[str, None] = {}  # what is under way, in order
        self._landed = asyncio.Event()
        self._batches = 0
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._last = 0
        self._task = asyncio.create_task(self._run(), name="retrain.bus.groups")

    def add(self, token: str) -> None:
        """Take one more."""
        self._ready.append(token)
        self._came.set()

    def gone(self, token: str) -> None:
        """It was confirmed, or given up."""
        self._out.pop(token, None)
        if not self._out:
            self._landed.set()

    def answered(self, token: str, body: bytes) -> None:
        """The server's word on a batch, which may be one that was given up since."""
        if token == self._token and self._answer is not None and not self._answer.done():
            self._answer.set_result(_read(body))

    def close(self) -> None:
        """Send no more."""
        self._task.cancel()

    @property
    def _token(self) -> str:
        return f"{BATCH}{self._batches}"

    async def _run(self) -> None:
        while not self._connection.lost:
            group = await self._gather()
            self._out = dict.fromkeys(group)
            self._landed.clear()
            self._last = len(group)
            if len(group) < WORTH or not await self._together(group):
                for token in group:
                    if (waiting := self._waiting.get(token)) is not None:
                        await self._send(token, waiting)
            if any(token in self._waiting for token in group):
                await self._landed.wait()

    async def _gather(self) -> list[str]:
        """The next group: at least one."""
        group: list[str] = []
        while not group:
            await self._more(1)
            if self._last >= WORTH:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GATHER_S):
                        await self._more(self._last)
            else:
                await asyncio.sleep(0)  # whatever else this round of the loop brings
            group = self._take()
        return group

    async def _more(self, count: int) -> None:
        while len(self._ready) < count:
            self._came.clear()
            await self._came.wait()

    def _take(self) -> list[str]:
        """What goes out together: no key twice, which a batch must not have; a message without room goes alone."""
        group: list[str] = []
        keys: set[str] = set()
        room = MOST_BYTES
        while self._ready and len(group) < MOST:
            waiting = self._waiting.get(self._ready[0])
            if waiting is not None and not waiting.ack.done():  # else it was given up
                room -= len(waiting.body)
                big = len(waiting.body) + HEADER_BYTES > self._connection.max_payload
                if group and (big or room < 0 or waiting.key in keys):
                    break
                group.append(self._ready[0])
                keys.add(waiting.key)
                if big:
                    self._ready.popleft()
                    break
            self._ready.popleft()
        return group

    async def _together(self, group: list[str]) -> bool:
        """Send them as one batch. False: it was refused as a whole, and nothing was added."""
        self._batches += 1
        self._answer = asyncio.get_running_loop().create_future()
        name = uuid.uuid4().hex
        messages = [self._waiting[token] for token in group]
        try:
            for number, waiting in enumerate(messages, 1):
                headers = {"Nats-Msg-Id": waiting.key, "Nats-Batch-Id": name, "Nats-Batch-Sequence": str(number)}
                reply = ""
                if number == len(messages):
                    headers["Nats-Batch-Commit"] = "1"
                    reply = f"{self._inbox}.{self._token}"
                await self._connection.client.publish(waiting.subject, waiting.body, reply=reply, headers=headers)
        except NatsError:
            return not self._connection.client.is_connected  # if it is not they wait for the next connection
        # Without an answer the events' own deadlines end the wait.
        landed = asyncio.ensure_future(self._landed.wait())
        try:
            await asyncio.wait({self._answer, landed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            landed.cancel()
        if not self._answer.done():
            return True
        answer = self._answer.result()
        if answer.get("count") != len(group):
            if answer.get("error", {}).get("err_code") != DUPLICATE:
                log.warning("bus.batch_refused", events=len(group), answer=answer)
            return False
        first = int(answer["seq"]) - len(group) + 1
        for position, token in enumerate(group, first):
            if token in self._waiting:
                self._settle(token, Published(position, duplicate=False))
        return True


def _read(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    return answer if isinstance(answer, dict) else {"error": {"description": "no acknowledgement"}}
