"""`POST /api/v1/events`: CloudEvents in all three HTTP forms; 202 once the bus has them all, and not before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from time import perf_counter

import structlog

from eventsources.http.answers import Refusal
from eventsources.http.cloudevents import read_events
from eventsources.http.reading import Gone, read_whole
from retrain.bus import Bus, Published
from retrain.clock import Clock
from retrain.errors import EventError, Permanent, Transient
from retrain.events import Event
from retrain.identity import ACTOR, Principal
from retrain.serving import Headers, Receive, Scope, Send, answer
from retrain.telemetry import meters
from retrain.telemetry.ids import of_headers
from retrain.web.access import principal

log = structlog.get_logger()

Told = Callable[[Principal, Sequence[Event]], Awaitable[None]]
RETRY = ((b"retry-after", b"1"),)


class Intake:
    """Takes events from whoever may speak to the API. `told`: hears who has sent which, before it is answered."""

    def __init__(self, bus: Bus, clock: Clock, max_body: int, told: Told | None = None) -> None:
        self._bus = bus
        self._told = told
        self._clock = clock
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_whole(scope["headers"], receive, self._max_body)
            sent = [one.with_time(self._clock.now()) for one in read_events(scope["headers"], body)]
            trace = of_headers(scope["headers"])
            events = _signed([one.with_extensions(trace) for one in sent], principal(scope))
            started = perf_counter()
            published = await self._bus.publish_many(events)
            meters.took_in("api", "api", [one.duplicate for one in published], perf_counter() - started)
            if self._told is not None:
                await self._told(principal(scope), events)
        except Gone:  # the client has no answer, so nothing is taken
            return
        except Refusal as refusal:
            await _refuse(send, refusal.status, {"error": refusal.text}, refusal.headers)
        except EventError as error:
            await _refuse(send, 400, {"error": str(error), "attribute": error.attribute})
        except Permanent as error:
            await _refuse(send, 413, {"error": str(error)})
        except Transient as error:
            log.warning("intake.bus_away", error=str(error))
            await _refuse(send, 503, {"error": str(error)}, RETRY)
        else:
            await answer(send, 202, {"accepted": [_receipt(e, p) for e, p in zip(events, published, strict=True)]})


async def _refuse(send: Send, status: int, body: dict[str, str], headers: Headers = ()) -> None:
    meters.EVENTS_REFUSED.add("api", "api")
    await answer(send, status, body, headers)


def _signed(events: Sequence[Event], who: Principal) -> list[Event]:
    """The events with who has sent them, where their own token says so. Nobody may say it of themselves."""
    if not who.verified:
        return list(events)
    return [replace(one, extensions={**one.extensions, ACTOR: who.name}) for one in events]


def _receipt(event: Event, published: Published) -> dict[str, object]:
    return {"id": event.id, "position": published.position, "duplicate": published.duplicate}
