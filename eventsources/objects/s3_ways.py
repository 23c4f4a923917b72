"""Notifications that a server sends to a place of ours or of a broker's: a webhook, a stream of JetStream, a queue.

The other kinds of source receive them, each with its own promises; here their messages become notices of objects
instead of events. A message is acknowledged when what it tells of is safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import anyio
import orjson
from anyio.abc import TaskStatus

from eventsources.fields import WebhookContext
from eventsources.http.answers import Reply
from eventsources.http.doorway import Doorway, Taken
from eventsources.http.request import Request, json_of
from eventsources.objects.s3_buckets import Buckets
from eventsources.objects.s3_records import Notice, notices_of
from eventsources.port import SourceContext, Status
from retrain.events import Event, JsonValue


class WayStatus(Status):
    """How the way is doing. While it is not open, the buckets are listed all the time, and the state says why."""

    def __init__(self, buckets: Buckets, context: SourceContext) -> None:
        super().__init__(context.status.kind, context.status.name, context.clock)
        self._buckets = buckets
        self._whole = context.status

    def listening(self, note: str | None = None) -> None:
        super().listening(note)
        self._buckets.heard(None)

    def waiting(self, reason: str) -> None:
        super().waiting(reason)
        self._buckets.heard(self.clean(reason))

    def failed(self, reason: str | None = None) -> None:
        super().failed(reason)
        self._whole.failed(reason)

    def lag(self, count: int | None) -> None:
        self._whole.lag(count)

    def conceal(self, secret: str) -> None:
        super().conceal(secret)
        self._whole.conceal(secret)


async def by_queue(kind: str, spec: Any, name: str, buckets: Buckets, context: SourceContext) -> None:
    """Notifications as the messages of another kind of source (`jetstream`, `sqs`), until cancelled."""
    from eventsources.kinds import BUILT_IN  # which knows this kind, too

    async def take(events: Sequence[Event]) -> None:
        await buckets.take([notice for event in events for notice in notices_in(_body(event))])

    inner = replace(context, status=WayStatus(buckets, context), deliver=take, alone=True)
    source = BUILT_IN[kind](name, spec, inner)
    async with anyio.create_task_group() as tasks:
        await tasks.start(_run, source)


async def by_webhook(hook: WebhookContext, buckets: Buckets, context: SourceContext) -> None:
    """Notifications that the server posts, until cancelled."""

    async def take(request: Request) -> Taken:
        await buckets.take(notices_in(json_of(request.body)))
        return Reply(200)

    doorway = Doorway(hook, replace(context, status=WayStatus(buckets, context)), take)
    async with anyio.create_task_group() as tasks:
        await tasks.start(_run, doorway)


class _Runs(Protocol):
    async def run(self, *, task_status: TaskStatus[None]) -> None: ...


async def _run(what: _Runs, *, task_status: TaskStatus[None]) -> None:
    await what.run(task_status=task_status)


def _body(event: Event) -> JsonValue:
    return event.data.get("body") if isinstance(event.data, dict) else None


def notices_in(body: JsonValue) -> list[Notice]:
    """The notices in a message's body, which may be wrapped by SNS: a JSON text within JSON."""
    for _ in range(2):
        if isinstance(body, dict) and isinstance(body.get("Message"), str):
            body = body["Message"]
        if isinstance(body, str | bytes):
            try:
                body = orjson.loads(body)
            except orjson.JSONDecodeError:
                return []
    return list(notices_of(body))
