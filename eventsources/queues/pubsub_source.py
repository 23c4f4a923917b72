"""Runs a source on Pub/Sub: messages, safe on the bus, then acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anyio.abc import TaskStatus

from eventsources.bodies import body_of
from eventsources.gotime import go_time
from eventsources.port import SourceContext, SourceState
from eventsources.queues import pubsub_reader
from eventsources.queues.pubsub import PubSub
from eventsources.trying import keep_trying
from retrain.errors import Permanent
from retrain.events import Event, JsonValue, format_time
from retrain.manifests.argo import Shape

if TYPE_CHECKING:
    from eventsources.queues.pubsub_client import PubSubMessage


class PubSubSource:
    """One entry of `spec.pubSub`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - the context has it
        assert isinstance(spec, PubSub)
        self._spec = spec
        self._context = context

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, lambda: pubsub_reader.read(self._context, self._spec, self._take))

    async def _take(self, messages: Sequence[PubSubMessage]) -> None:
        events: list[Event] = []
        for message in messages:
            try:
                data = data_of(message, self._spec.json_body, ours=self._context.ours)
            except Permanent as error:
                await self._context.bury(thing_of(message), message.raw, str(error))
            else:
                time = message.published if self._context.ours else None
                events.append(self._context.event(thing_of(message), data, time=time))
        await self._context.deliver(events)


def thing_of(message: PubSubMessage) -> str:
    """What no other message is named: an emulator that was started again counts its messages anew, hence the time."""
    return f"{message.id}@{format_time(message.published)}"


def data_of(message: PubSubMessage, json_body: bool | None, *, ours: bool) -> dict[str, JsonValue]:
    """The data of its event. `orderingKey` is of retrain.dev/v1, where `publishTime` is RFC 3339; upstream's is Go's.

    Raises:
        Permanent: the body must be JSON, and is not.
    """
    attributes: JsonValue = dict(message.attributes)
    data: dict[str, JsonValue] = {
        "id": message.id,
        "attributes": attributes or (attributes if ours else None),
        "publishTime": format_time(message.published) if ours else go_time(message.published),
    }
    if ours and message.ordering_key:
        data["orderingKey"] = message.ordering_key
    return data | body_of(message.raw, json_body, ours=ours)
