"""`sensors replay`: the platform's recorded log through a sensor of its own or one that is handed in, side by side with
another. In a process of its own, which only reads: the platform does not notice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import anyio
from anyio import to_process
from sqlalchemy import Connection, select

from retrain.app.looking.queries import stamp
from retrain.app.projects.catalog import Item
from retrain.app.projects.known import without_collecting
from retrain.app.sensing.explaining import refuse, sensor_of
from retrain.errors import ConfigError, NotFound, Refused, Transient
from retrain.events import OWN_SOURCE, EventKey, parse_time
from retrain.manifests import load_text
from retrain.store import events, firings, history, reading
from retrain.store.tables import firings as firing_table
from retrain.store.tables import runs as run_table
from sensors import Sensor, SensorDocument
from sensors.core.outcome import Fired, Waiting
from sensors.replay import Difference, Recorded, Replayed, differ, replay

Json = dict[str, Any]

MOST_SHOWN = 1000
"""Firings of an answer. How many there are in all is told besides."""
AT_ONCE = 2
"""Replays that are at work at one time; whoever comes then is told to come again."""
LONGEST_S = 600.0
"""Seconds after which a replay is given up. The command line and programs may have a log of any length."""
REMEMBERED = 200_000
"""Events of which it is kept what a sensor said of them, to tell why firings differ."""
MOST_REASONS = 3
NICENESS = 10
"""How far a replay stands back behind the platform, where there is too little processor for both."""
LIFECYCLE = (
    *("firing.done", "firing.failed", "firing.redriven", "run.succeeded", "run.failed"),
    *("approval.granted", "approval.rejected"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `sensor`: the name of one that runs here; `manifest`: the text of a file with one, called `name`
    where it holds several. `diff`: the name of the one to compare with. `limit`: events of the log at most, the newest
    of them; what is left out is told."""

    sensor: str | None = None
    manifest: str | None = None
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    diff: str | None = None
    limit: int | None = None


def read_request(body: Json) -> Request:
    """What a body asks for.

    Raises:
        ConfigError: a field is unknown or wrong.
    """
    known = {"sensor", "manifest", "name", "from", "to", "diff", "limit"}
    if unknown := sorted(set(body) - known):
        raise ConfigError(f"unknown field {unknown[0]!r}; there are {', '.join(sorted(known))}")
    texts: dict[str, str | None] = {}
    for field in known:
        value = body.get(field)
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{field} is text, not {type(value).__name__}")
        texts[field] = value
    if (texts["sensor"] is None) == (texts["manifest"] is None):
        raise ConfigError("either sensor (a name) or manifest (a file's text) says what to replay")
    since, until = _time("from", texts["from"]), _time("to", texts["to"])
    limit = _limit(texts["limit"])
    return Request(texts["sensor"], texts["manifest"], texts["name"], since, until, texts["diff"], limit)


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and int(text[:12]) > 0):
        raise ConfigError(f"limit {text[:40]!r}: how many events of the log at most, a number from 1 on, as text")
    return int(text[:12])


def _time(field: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_time(text if "T" in text.upper() else f"{text}T00:00:00Z")
    except ValueError as error:
        raise ConfigError(f"{field}: {error}") from error


async def replay_aside(
    store: Path, request: Request, items: Sequence[Item], now: datetime, longest_s: float = LONGEST_S
) -> Json:
    """Replay in another process, and say what would have been. Ended with the caller, and after `longest_s` seconds.

    Raises:
        ConfigError: the manifest is wrong.
        NotFound: no sensor has the name.
        Transient: as many are at work already as may be at once.
        Refused: it takes too long.
    """
    document = _find(items, request.sensor) if request.sensor else _parse(request.manifest or "", request.name)
    other = _find(items, request.diff) if request.diff else None
    with AT_WORK.one(), anyio.move_on_after(longest_s):
        return await to_process.run_sync(_run_behind, store, request, (document, other), now, cancellable=True)
    raise Refused(f"the replay has not ended after {longest_s:g} s; take a shorter time of the log, or a lower limit")


class AtWork:
    """How many replays are at work in this process of the platform."""

    def __init__(self) -> None:
        self._count = 0

    @contextmanager
    def one(self) -> Generator[None]:
        if self._count >= AT_ONCE:
            raise Transient(f"{AT_ONCE} replays are at work already, and not more are at once; try again soon")
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1


AT_WORK = AtWork()
"""Those of this process."""


def run(store: Path, request: Request, documents: tuple[SensorDocument, SensorDocument | None], now: datetime) -> Json:
    """What the log would have made of the first of the sensors, and what is different from the second.

    Raises:
        ConfigError: a sensor cannot be compiled.
    """
    document, other = documents
    sensor, against = Sensor(document), None if other is None else Sensor(other)
    began = time.perf_counter()
    until = min(now, request.until or now)
    with without_collecting(), reading(store) as connection:
        first, end = history.positions_between(connection, request.since, request.until)
        start = first if request.limit is None else max(first, end - request.limit)
        part = _Part(start, end, until, REMEMBERED if against is not None else 0)
        replayed = _replay(connection, sensor, part)
        answer: Json = {
            "sensor": sensor.name,
            "from": stamp(request.since),
            "to": stamp(until),
            "log": {"events": end - start, "left": start - first},
            **_describe(replayed),
        }
        if against is not None:
            before = _replay(connection, against, part)
            names = {**before.names, **replayed.names}
            found = differ(before.firings, replayed.firings)
            told = _Told(names, before, replayed)
            answer["diff"] = {"with": against.name, **_describe_difference(found, told), "before": _counted(before)}
    return answer | {"tookSeconds": round(time.perf_counter() - began, 3)}


def _run_behind(
    store: Path, request: Request, documents: tuple[SensorDocument, SensorDocument | None], now: datetime
) -> Json:
    """In a process that does nothing but replays, and stands back behind the platform."""
    if (left := NICENESS - os.nice(0)) > 0:
        os.nice(left)
    return run(store, request, documents, now)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the log: positions from `first` on, before `end`; timers run on up to `until`."""

    first: int
    end: int
    until: datetime
    remember: int


@dataclass(frozen=True, slots=True)
class _Told:
    """What two sensors said of the same log. `names`: ids of events by key."""

    names: dict[str, str]
    before: Replayed
    after: Replayed


def _find(items: Sequence[Item], name: str | None) -> SensorDocument:
    for item in items:
        if item.model.name == name:
            return item.model
    raise NotFound(f"{name}: no such sensor; `retrain sensors list` shows the names")


def _parse(text: str, name: str | None) -> SensorDocument:
    documents, findings = load_text(text, "manifest")
    refuse(findings)
    return sensor_of(documents, Path("manifest"), name)


def _replay(connection: Connection, sensor: Sensor, part: _Part) -> Replayed:
    addresses = None
    if not sensor.matchers:
        addresses = sensor.addresses | {(OWN_SOURCE, name) for name in LIFECYCLE}
    # Its own connection reads events by key while the log is read on.
    with connection.engine.connect() as beside:
        known = Recorded(_made(beside, sensor.name), _run_time(beside, sensor.name), _loader(beside))
        records = history.read(connection, part.first, part.end, addresses)
        return replay(sensor, records, part.until, known, remember=part.remember)


def _loader(connection: Connection) -> Callable[[EventKey], Any]:
    def load(key: EventKey) -> Any:
        found = events.get_many(connection, [key])
        if key not in found:
            raise NotFound(f"event {key} is not in the store any more")
        return found[key]

    return load


def _made(connection: Connection, sensor: str) -> frozenset[str]:
    acted = (firings.FiringState.SHADOW, firings.FiringState.CANCELLED)
    query = select(firing_table.c.id).where(firing_table.c.sensor == sensor, firing_table.c.state.not_in(acted))
    return frozenset(connection.execute(query).scalars())


def _run_time(connection: Connection, sensor: str) -> timedelta:
    """How long a run of the sensor takes: the median of the last hundred."""
    query = (
        select(run_table.c.started, run_table.c.finished)
        .join(firing_table, firing_table.c.id == run_table.c.firing_id)
        .where(firing_table.c.sensor == sensor, run_table.c.finished.is_not(None), run_table.c.started.is_not(None))
        .order_by(run_table.c.finished.desc())
        .limit(100)
    )
    took = [(row.finished - row.started).total_seconds() for row in connection.execute(query)]
    return timedelta(seconds=median(took)) if took else timedelta()


def _describe(came: Replayed) -> Json:
    return {
        **_counted(came),
        "firings": [_firing(one, came.names) for one in came.firings[:MOST_SHOWN]],
        "waiting": [_waiting(one) for one in came.waiting[:MOST_SHOWN]],
        "assumed": came.assumed,
    }


def _counted(came: Replayed) -> Json:
    return {"events": came.events, "outcomes": dict(sorted(came.outcomes.items())), "count": len(came.firings)}


def _describe_difference(found: Difference, told: _Told) -> Json:
    """Of firings that only one of them makes, `why` says what the other one made of their events."""
    return {
        "same": found.same,
        "added": [{**_firing(one, told.names), "why": _why(one, told.before)} for one in found.added[:MOST_SHOWN]],
        "removed": [{**_firing(one, told.names), "why": _why(one, told.after)} for one in found.removed[:MOST_SHOWN]],
        "moved": [
            {"from": _firing(one, told.names), "to": _firing(other, told.names)}
            for one, other in found.moved[:MOST_SHOWN]
        ],
        "counts": {"added": len(found.added), "removed": len(found.removed), "moved": len(found.moved)},
    }


def _why(fired: Fired, other: Replayed) -> str:
    """What the other sensor said of the events of a firing that it does not make."""
    reasons = list(dict.fromkeys(other.said[key] for key in fired.events if key in other.said))
    if not reasons and len(other.said) >= REMEMBERED:
        return f"not known: of the first {REMEMBERED} events only it is kept what was said of them"
    if not reasons:
        return "none of its events concerns it" if fired.events else "its timer does not come to that"
    return "; ".join(reasons[:MOST_REASONS]) + (
        f"; and {len(reasons) - MOST_REASONS} more" * (len(reasons) > MOST_REASONS)
    )


def _firing(one: Fired, names: dict[str, str]) -> Json:
    return {
        "id": one.id,
        "trigger": one.trigger,
        "key": one.key,
        "at": stamp(one.created),
        "events": [names.get(key, key) for key in one.events],
        "error": one.error,
    }


def _waiting(one: Waiting) -> Json:
    return {"trigger": one.trigger, "key": one.key, "have": list(one.have), "need": list(one.need)}
