"""Runs a source on Cloud Storage: notifications of a topic of Pub/Sub, in the order of what they tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anyio.abc import TaskStatus

from eventsources.objects.gcs import FINALIZE, Gcs
from eventsources.objects.gcs_notice import Newest, Notice, data_of, read_notice
from eventsources.objects.minio import ObjectFilter
from eventsources.port import SourceContext, SourceState
from eventsources.queues import pubsub_reader
from eventsources.trying import keep_trying
from retrain.errors import Permanent
from retrain.events import MAX_ATTRIBUTE, OBJECT, Event
from retrain.manifests.argo import Shape

if TYPE_CHECKING:
    from eventsources.queues.pubsub_client import PubSubMessage


class GcsSource:
    """One entry of `spec.gcs`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - the context has it
        assert isinstance(spec, Gcs)
        self._spec = spec
        self._context = context
        self._filter = spec.filter or ObjectFilter()
        self._events = spec.events or (FINALIZE,)
        self._newest = Newest()

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, lambda: pubsub_reader.read(self._context, self._spec, self._take))

    async def _take(self, messages: Sequence[PubSubMessage]) -> None:
        notices: list[Notice] = []
        for message in messages:
            try:
                notices.append(read_notice(message.attributes, message.raw))
            except Permanent as error:
                await self._context.bury(message.id, message.raw, str(error))
        notices.sort(key=lambda notice: notice.rank)
        # Also what is not wanted tells what is newest: a delete says so of the upload that comes after it.
        told = [(notice, self._newest.supersedes(notice)) for notice in notices if self._is_meant(notice)]
        await self._context.deliver(
            [self._event(notice, superseded) for notice, superseded in told if notice.happened in self._events]
        )

    def _is_meant(self, notice: Notice) -> bool:
        bucket = not self._spec.bucket or notice.bucket == self._spec.bucket
        return bucket and notice.name.startswith(self._filter.prefix) and notice.name.endswith(self._filter.suffix)

    def _event(self, notice: Notice, superseded: bool) -> Event:
        return self._context.event(
            notice.id,
            data_of(notice, superseded=superseded),
            time=notice.time,
            extensions={OBJECT: notice.url[:MAX_ATTRIBUTE]},
        )
