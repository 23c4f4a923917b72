"""The lines of a run's logs on their way to a client: as text, or as Server-Sent Events from which one may go on.

The `id` of a line says of every log of the stream up to where it has come: `<log>.<bytes>` with commas between. So a
client that lost its connection in the midst gets what follows, and nothing twice. Where more than AT_EACH logs speak,
the last line of each batch alone has an id: a cut may then bring up to a batch of lines again, and loses none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from time import monotonic

import orjson

from retrain.app.runs.logs import Logs, StepLine
from retrain.app.services import Services
from retrain.errors import ConfigError
from retrain.web.tail import BEAT, BEAT_S, RETRY_MS

Batches = AsyncGenerator[list[StepLine]]
AT_EACH = 32
MOST = 2000
"""Logs that an id tells of; of a stream with more it says nothing, and a client begins anew."""
LONGEST = 48 * 1024


def read_id(text: str | None) -> Mapping[str, int]:
    """The places that an id tells of.

    Raises:
        ConfigError: no line had this id.
    """
    found: dict[str, int] = {}
    for one in text.split(",") if text else ():
        log, dot, place = one.partition(".")
        if not (dot and len(log) == 10 and place.isascii() and place.isdigit() and len(place) < 20):
            raise ConfigError(f"Last-Event-ID {one[:40]!r} is none that a line of a log had")
        found[log] = int(place)
    return found


def write_id(places: Mapping[str, int]) -> bytes:
    """The id that tells of these places."""
    return b"id: %s\n" % ",".join(f"{log}.{place}" for log, place in places.items()).encode()


async def as_events(services: Services, found: Logs, places: Mapping[str, int]) -> AsyncGenerator[bytes]:
    """As Server-Sent Events: `steps` first, then lines, last `end`. `places`: where the client was before."""
    # At once, so that the client knows that it is heard.
    yield b"retry: %d\nevent: steps\ndata: %s\n\n" % (RETRY_MS, orjson.dumps(_steps(found, places)))
    known, spoke = dict(places), monotonic()
    async with aclosing(_while_up(services, found.batches)) as batches:
        async for batch in batches:
            if batch:
                spoke = monotonic()
                yield b"".join(_event(one, known, last=one is batch[-1]) for one in batch)
            elif monotonic() - spoke > BEAT_S:
                spoke = monotonic()
                yield BEAT
    if not services.closing.is_set():  # else there may be more, for whoever comes again
        yield b"event: end\ndata: {}\n\n"


def _steps(found: Logs, places: Mapping[str, int]) -> dict[str, bool]:
    """What comes. `resumed`: behind what the client has, not from the beginning."""
    return {"many": found.many, **({"resumed": True} if places else {})}


def _event(one: StepLine, known: dict[str, int], *, last: bool) -> bytes:
    known[one.log] = one.line.end
    told = len(known) <= AT_EACH or (last and len(known) <= MOST)
    return b"%sdata: %s\n\n" % (write_id(known) if told else b"", one.to_json())


async def as_text(services: Services, found: Logs, *, timestamps: bool) -> AsyncGenerator[bytes]:
    """As lines of text."""
    async with aclosing(_while_up(services, found.batches)) as batches:
        async for batch in batches:
            if batch:
                yield "".join(_line(one, prefix=found.many, timestamps=timestamps) for one in batch).encode()


async def _while_up(services: Services, batches: Batches) -> Batches:
    """The batches, until the platform stops: whoever only listens must not hold that up."""
    async with aclosing(batches):
        async for batch in batches:
            if services.closing.is_set():
                return
            yield batch


def _line(one: StepLine, *, prefix: bool, timestamps: bool) -> str:
    name = f"{one.node.get('displayName')}: " if prefix else ""
    time = f"{one.line.time.isoformat().replace('+00:00', 'Z')} " if timestamps else ""
    return f"{name}{time}{one.line.text}\n"
