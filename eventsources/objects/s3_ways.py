"""Notifications that a server sends to a place of ours or of a broker's: a webhook, a stream of JetStream, a queue.

The other kinds of source receive them, each with its own promises; here their messages become notices of objects
instead of events. A message is acknowledged when what it tells of is safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import anyio
import orjson
from anyio.abc import TaskStatus

from eventsources.fields import WebhookContext
from eventsources.http.answers import Reply
from eventsources.http.doorway import Doorway, Taken
from eventsources.http.request import Request, json_of
from eventsources.objects.s3_buckets import Buckets
from eventsources.objects.s3_records import Notice, is_notification, notices_of
from eventsources.port import SourceContext, Status
from eventsources.queues.jetstream import JetStream
from eventsources.queues.sqs import LONGEST_S, Sqs
from eventsources.queues.sqs_message import SqsMessage, s3_records, unwrap
from eventsources.trying import keep_trying
from retrain.errors import ConfigError
from retrain.events import Event, JsonValue

NONE = "this is no notification of S3 or MinIO"


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


async def by_jetstream(spec: JetStream, name: str, buckets: Buckets, context: SourceContext) -> None:
    """Notifications as the messages of a stream, until cancelled."""
    from eventsources.queues.jetstream_source import JetStreamSource

    async def take(events: Sequence[Event]) -> None:
        notices: list[Notice] = []
        for event in events:
            data: JsonValue = event.data
            body = data["body"]
            if is_notification(body):
                notices += notices_of(body)
            else:
                raw = body.encode() if isinstance(body, str) else orjson.dumps(body)
                await context.bury(event.id, raw, NONE)
        await buckets.take(notices)

    inner = replace(context, status=WayStatus(buckets, context), deliver=take, metadata={})
    await _run(JetStreamSource(name, spec, inner))


async def by_sqs(spec: Sqs, buckets: Buckets, context: SourceContext) -> None:
    """Notifications as the messages of a queue, as S3 sends them or by way of SNS or EventBridge, until cancelled."""
    from eventsources.queues import sqs_reader
    from eventsources.queues.sqs_client import Login

    inner = replace(context, status=WayStatus(buckets, context))

    async def take(messages: Sequence[SqsMessage]) -> Sequence[SqsMessage]:
        notices: list[Notice] = []
        for message in messages:
            records = s3_records(unwrap(message.body))
            if records is None:
                await context.bury(message.id, message.body.encode("utf-8", "surrogatepass"), NONE)
            else:
                notices += notices_of({"Records": records})
        await buckets.take(notices)
        return messages

    def login() -> Login:
        read = inner.read
        return Login(
            queue=spec.queue,
            region=spec.region,
            account=spec.queue_account_id,
            endpoint=spec.endpoint,
            access_key=read(spec.access_key),
            secret_key=read(spec.secret_key),
            session_token=read(spec.session_token),
            role_arn=spec.role_arn,
        )

    async def attempt() -> None:
        await sqs_reader.read(login, inner.status, take, wait_s=spec.wait_time_seconds or LONGEST_S)

    await keep_trying(inner, attempt)


async def by_webhook(hook: WebhookContext, buckets: Buckets, context: SourceContext) -> None:
    """Notifications that the server posts, until cancelled."""

    async def take(request: Request) -> Taken:
        body = json_of(request.body)
        if not is_notification(body):
            raise ConfigError(NONE)
        await buckets.take(list(notices_of(body)))
        return Reply(200)

    await _run(Doorway(hook, replace(context, status=WayStatus(buckets, context)), take))


class _Runs(Protocol):
    async def run(self, *, task_status: TaskStatus[None]) -> None: ...


async def _run(what: _Runs) -> None:
    """Run something that tells when it has begun, which nobody waits for here."""

    async def run(*, task_status: TaskStatus[None]) -> None:
        await what.run(task_status=task_status)

    async with anyio.create_task_group() as tasks:
        await tasks.start(run)
