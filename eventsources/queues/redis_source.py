"""Runs a source on Redis' channels: a subscription, and batches of what it brings.

Redis tells once and keeps nothing: what is published while nobody is connected is gone, and so is what a process that
is killed had in its hands.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio
from anyio.abc import TaskStatus

from eventsources.bodies import body_of
from eventsources.port import SourceContext, SourceState
from eventsources.queues.redis import Redis
from eventsources.trying import keep_trying
from retrain.errors import Permanent, Transient
from retrain.events import Event, JsonValue
from retrain.manifests.argo import Shape

if TYPE_CHECKING:
    from eventsources.queues.redis_client import Link

BATCH = 500
SILENCE_S = 10.0
"""Seconds without a word after which the server is asked whether it is there."""

LAST_S = 2.0
"""Seconds for what was received before the source was told to end."""


@dataclass(frozen=True, slots=True)
class RedisMessage:
    """One message. `pattern`: what of the source's patterns its channel fits; empty without."""

    channel: str
    pattern: str
    raw: bytes


class RedisSource:
    """One entry of `spec.redis`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - it names no thing
        assert isinstance(spec, Redis)
        self._spec = spec
        self._context = context
        self._status = context.status
        self._messages: deque[RedisMessage] = deque()
        self._came = anyio.Event()
        self._room = anyio.Event()

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._receive)

    async def _receive(self) -> None:
        """Subscribe and take in messages until the connection breaks."""
        from eventsources.queues import redis_client

        spec = self._spec
        wanted = redis_client.Wanted(spec.host_address, spec.db, spec.username, spec.password, spec.tls)
        try:
            async with redis_client.dial(wanted.read(self._context)) as link:
                await self._subscribe(link)
                self._status.listening()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._tell_all)
                    await self._hear(link, redis_client.translated)
        finally:
            # No other copy of these is anywhere.
            with anyio.move_on_after(LAST_S, shield=True):
                while self._messages:
                    await self._tell()

    async def _subscribe(self, link: Link) -> None:
        for command, names in (("SUBSCRIBE", self._spec.channels), ("PSUBSCRIBE", self._spec.patterns)):
            if not names:
                continue
            await link.send(command, *names)
            for _ in names:
                self._put(await link.hear(SILENCE_S))

    async def _hear(self, link: Link, translated: Any) -> None:
        """Take what comes, as long as there is room for it. Ends by an error."""
        asked = False
        while True:
            while len(self._messages) >= 2 * BATCH:
                self._room = anyio.Event()
                await self._room.wait()
            try:
                self._put(await link.hear(SILENCE_S))
                asked = False
            except TimeoutError as error:
                if asked:
                    raise Transient(f"redis {link.where}: the server is silent") from error
                asked = True
                await link.send("PING")
            except Exception as error:
                raise translated(link.where, error) from error

    def _put(self, answer: Any) -> None:
        """What the server says: a message, or that it has heard."""
        match answer:
            case [b"message", bytes() as channel, bytes() as raw]:
                self._messages.append(RedisMessage(_text(channel), "", raw))
            case [b"pmessage", bytes() as pattern, bytes() as channel, bytes() as raw]:
                self._messages.append(RedisMessage(_text(channel), _text(pattern), raw))
            case _:
                return
        self._came.set()

    async def _tell_all(self) -> None:
        while True:
            await self._came.wait()
            await self._tell()

    async def _tell(self) -> None:
        """Make what has come safe."""
        messages = [self._messages.popleft() for _ in range(min(BATCH, len(self._messages)))]
        if not self._messages:
            self._came = anyio.Event()
        self._room.set()
        events: list[Event] = []
        for message in messages:
            thing = uuid4().hex  # a message of Redis has no name of its own
            try:
                events.append(self._context.event(thing, self._data_of(message)))
            except Permanent as error:
                await self._context.bury(thing, message.raw, str(error))
        await self._context.deliver(events)

    def _data_of(self, message: RedisMessage) -> dict[str, JsonValue]:
        """Upstream's body is text where it is not JSON, unlike that of its other kinds."""
        spec, ours = self._spec, self._context.ours
        data: dict[str, JsonValue] = {"channel": message.channel, "pattern": message.pattern}
        if not ours and not spec.json_body:
            return data | {"body": _text(message.raw)}
        return data | body_of(message.raw, spec.json_body, ours=ours)


def _text(raw: bytes) -> str:
    """As Go writes bytes into JSON that are no UTF-8."""
    return raw.decode(errors="replace")
