"""`POST /api/v1/events`: CloudEvents in all three HTTP forms; 202 once the bus has them all, and not before."""

from __future__ import annotations

import anyio
import structlog

from retrain.bus import Bus, Published
from retrain.clock import Clock
from retrain.errors import EventError, Permanent, Transient
from retrain.events import Event, batch_from_json, from_binary, from_json
from retrain.serving import Receive, Scope, Send, TooLarge, answer, read_body
from retrain.store.events import OBJECT

log = structlog.get_logger()

RETRY = ((b"retry-after", b"1"),)
CLOSE = ((b"connection", b"close"),)
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
PLATFORM = "retrain"
PATIENCE_S = 30.0
"""Seconds in which a whole body must come."""


class Intake:
    """Takes events from whoever may speak to the API."""

    def __init__(self, bus: Bus, clock: Clock, max_body: int) -> None:
        self._bus = bus
        self._clock = clock
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"]]
        try:
            with anyio.fail_after(PATIENCE_S):
                body = await read_body(scope["headers"], receive, self._max_body)
            if body is None:  # the client is gone and has no answer, so nothing is taken
                return
            events = [_outside(one).with_time(self._clock.now()) for one in parse(headers, body)]
            published = await self._bus.publish_many(events)
        except TooLarge as error:
            await answer(send, 413, {"error": str(error)}, CLOSE)
        except TimeoutError:
            await answer(send, 408, {"error": f"the body did not come within {PATIENCE_S:.0f} s"}, CLOSE)
        except EventError as error:
            await answer(send, 400, {"error": str(error), "attribute": error.attribute})
        except Permanent as error:
            await answer(send, 413, {"error": str(error)})
        except Transient as error:
            log.warning("intake.bus_away", error=str(error))
            await answer(send, 503, {"error": str(error)}, RETRY)
        else:
            await answer(send, 202, {"accepted": [_receipt(e, p) for e, p in zip(events, published, strict=True)]})


def parse(headers: list[tuple[str, str]], body: bytes) -> list[Event]:
    """The events of one request: structured, batched or binary, as its content type and `ce-` headers say.

    Raises:
        EventError: there is no event in it, or one of them is wrong; nothing is taken then.
    """
    content_type = next((value for name, value in headers if name == "content-type"), "").partition(";")[0].strip()
    if content_type.lower() == BATCH:
        return batch_from_json(body)
    if content_type.lower() == STRUCTURED:
        return [from_json(body)]
    if any(name.startswith("ce-") for name, _ in headers):
        return [from_binary(headers, body)]
    raise EventError(
        "content-type",
        f"{content_type!r} without ce- headers is no CloudEvent; send {STRUCTURED}, {BATCH} or ce- headers",
    )


def _outside(event: Event) -> Event:
    """The event, if it is one that somebody else may send: what the platform did, only the platform tells."""
    if event.source == PLATFORM:
        raise EventError("source", f"{PLATFORM!r} is the platform's own; name another source")
    reserved = sorted(name for name in event.extensions if name.startswith(PLATFORM) and name != OBJECT)
    if reserved:
        raise EventError(reserved[0], "is an attribute that only the platform sets")
    return event


def _receipt(event: Event, published: Published) -> dict[str, object]:
    return {"id": event.id, "position": published.position, "duplicate": published.duplicate}
