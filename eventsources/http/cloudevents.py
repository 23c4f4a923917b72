"""The cloudevents source (retrain.dev/v1): an endpoint for CloudEvents in all three HTTP forms.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from anyio.abc import TaskStatus

from eventsources.fields import Filter, Limits, Path, WebhookContext
from eventsources.http.answers import Refusal
from eventsources.http.doorway import Doorway, Taken, check_guarded, check_hook, route_of
from eventsources.http.request import Request
from eventsources.port import SourceContext, SourceState
from retrain.errors import EventError
from retrain.events import OBJECT, OWN_SOURCE, Event, batch_from_json, from_binary, from_json
from retrain.manifests import Problem
from retrain.manifests.argo import Shape
from retrain.serving import Headers

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
CONTENT_TYPE = "content-type"


class CloudEvents(WebhookContext):
    """An endpoint that takes CloudEvents as they are: id, source, type, time, data and extensions are kept.

    `sources`: which sources may be claimed, exact or with `*` at the end; none means any. `renamed`: the events get the
    EventSource's name as source and the entry's as subject, and their own as the extensions `cesource`, `cesubject`.
    `metadata` goes into `data` where that is an object.
    """

    sources: tuple[str, ...] = ()
    renamed: bool = False
    filter: Filter | None = None
    limits: Limits | None = None

    def routes(self) -> list[tuple[str, str, str]]:
        """The requests that it wants."""
        return [route_of(self)]


def check(path: Path, spec: CloudEvents, ours: bool) -> Iterator[Problem]:
    """What is wrong with one cloudevents source."""
    yield from check_hook(path, spec, ours, ("POST",))
    yield from check_guarded(path, spec, ours)
    for index, source in enumerate(spec.sources):
        if not source or "*" in source[:-1]:
            message = f"{source!r} is no source, nor the beginning of one with * at its end"
            yield Problem((*path, "sources", index), "wrong-value", message)


class CloudEventsSource:
    """One entry of `spec.cloudevents`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, CloudEvents)
        self._context = context
        self._renamed = spec.renamed
        self._exact = frozenset(one for one in spec.sources if not one.endswith("*"))
        self._begins = tuple(one[:-1] for one in spec.sources if one.endswith("*"))
        self._doorway = Doorway(spec, context, self._take)

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        await self._doorway.run(task_status=task_status)

    async def _take(self, request: Request) -> Taken:
        try:
            # All are read before the first is sent on: a batch is taken whole, or not at all.
            return [self._ours(event) for event in read_events(request.headers, request.body)]
        except EventError as error:
            if error.attribute != CONTENT_TYPE:
                raise
            raise Refusal(415, str(error), (b"accept-post", f"{STRUCTURED}, {BATCH}".encode())) from error

    def _ours(self, event: Event) -> Event:
        if (self._exact or self._begins) and not (
            event.source in self._exact or (self._begins and event.source.startswith(self._begins))
        ):
            raise Refusal(403, f"source {event.source[:200]!r} is none of those that this endpoint takes")
        context = self._context
        data = event.data
        if context.metadata and isinstance(data, dict):
            data = {**data, "metadata": dict(context.metadata)}
        event = replace(event.with_time(context.clock.now()), data=data)
        if not self._renamed:
            return replace(event, subject=event.subject or context.name)
        named = {"cesource": event.source, **({"cesubject": event.subject} if event.subject else {})}
        return replace(
            event,
            id=context.id_of(f"{event.source}#{event.id}"),
            source=context.source,
            subject=context.name,
            extensions={**event.extensions, **named},
        )


def read_events(headers: Headers, body: bytes) -> list[Event]:
    """The events of one request: structured, batched or binary, as its content type and `ce-` headers say.

    Raises:
        EventError: it is none of the three forms (its `attribute` is CONTENT_TYPE), or one of the events is wrong, or
            tells what only the platform itself may tell; nothing is taken then.
    """
    named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    content_type = next((value for name, value in named if name == "content-type"), "").partition(";")[0].strip()
    match content_type.lower():
        case "application/cloudevents-batch+json":
            events = batch_from_json(body)
        case "application/cloudevents+json":
            events = [from_json(body)]
        case _ if any(name.startswith("ce-") for name, _ in named):
            events = [from_binary(named, body)]
        case _:
            text = (
                f"{content_type[:80]!r} without ce- headers is no CloudEvent; send {STRUCTURED}, {BATCH} or ce- headers"
            )
            raise EventError(CONTENT_TYPE, text)
    return [_outside(event) for event in events]


def _outside(event: Event) -> Event:
    """The event, if it is one that somebody else may send: what the platform did, only the platform tells."""
    if event.source == OWN_SOURCE:
        raise EventError("source", f"{OWN_SOURCE!r} is the platform's own; name another source")
    reserved = sorted(name for name in event.extensions if name.startswith(OWN_SOURCE) and name != OBJECT)
    if reserved:
        raise EventError(reserved[0], "is an attribute that only the platform sets")
    return event
