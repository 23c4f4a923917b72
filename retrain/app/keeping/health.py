"""How the platform is: its parts and since when, how far behind it is, how full. For page, API and doctor."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import anyio
from sqlalchemy import Connection, select

from retrain import __version__
from retrain.app.keeping import measures
from retrain.app.keeping.settings_shown import changed
from retrain.app.looking.queries import log_cursor, stamp
from retrain.app.parts import PartState, ready
from retrain.app.services import Services
from retrain.bus import Bounds, Usage
from retrain.errors import BusError, Transient
from retrain.store.schema import revision
from retrain.store.tables import sensors

Json = dict[str, Any]

BUS_PATIENCE_S = 1.0
"""Seconds that the bus has to say how it is."""
LISTED = 100
"""Sensors that read by themselves, and sources that are not ready, that are named."""

_OWN_WAY = (
    select(sensors.c.name, sensors.c.position)
    .where(sensors.c.joined == 0, sensors.c.removed.is_(None))
    .order_by(sensors.c.position)
    .limit(LISTED)
)


async def health(services: Services, patience_s: float = 5.0) -> Json:
    """Everything; None is what is not known now. `patience_s`: how long the first measure of the store is waited for.

    `status`: `waiting` while a vital part is away, `degraded` while another is, else `ready`.
    """
    parts, kept = await _parts(services)
    bounds, usage = await _bus(services)
    read, behind = kept if kept is not None else (None, [])
    now = services.clock.now()
    return {
        "status": status_of(parts),
        "at": stamp(now),
        "started": stamp(services.started),
        "versions": _versions(usage),
        "parts": [part(one) for one in parts],
        "log": _log(services, bounds, read, now),
        "sensors": [_behind(one, bounds) for one in behind],
        "sensorCount": len(services.sensing.items()),
        "sources": _sources(services),
        "store": await _store(services, patience_s),
        "bus": _kept(services, usage),
        "disk": _disk(services),
        "runner": runner(services.slots()),
        "settings": changed(services.settings),
    }


def status_of(parts: Sequence[PartState]) -> str:
    """In one word. Pure."""
    if not ready(parts):
        return "waiting"
    return "ready" if all(one.ready for one in parts) else "degraded"


def part(one: PartState) -> Json:
    """A part as JSON has it."""
    return {
        "name": one.name,
        "ready": one.ready,
        "vital": one.vital,
        "waitingFor": one.waiting_for,
        "since": stamp(one.since),
    }


def runner(slots: Any) -> Json | None:
    """What steps have taken of this machine; None where no runner is. Pure."""
    if not slots:
        return None
    runs, of = slots["runs"]
    places = [{"name": name, "used": one[0], "of": one[1]} for name, one in slots.items() if name != "runs"]
    return {"slots": places, "runs": runs, "runsOf": of}


async def _parts(services: Services) -> tuple[list[PartState], tuple[int, list[Json]] | None]:
    """The parts, the store first; and what it says of readers of the log."""
    try:
        kept = await services.ask(_readers)
    except Transient as error:
        return [PartState("store", ready=False, waiting_for=str(error), vital=True), *services.states()], None
    return [PartState("store", ready=True, vital=True, since=services.started), *services.states()], kept


def _readers(connection: Connection) -> tuple[int, list[Json]]:
    own = [{"name": row.name, "position": row.position} for row in connection.execute(_OWN_WAY)]
    return log_cursor(connection), own


async def _bus(services: Services) -> tuple[Bounds | None, Usage | None]:
    with anyio.move_on_after(BUS_PATIENCE_S):
        try:
            return await services.bus.bounds(), await services.bus.usage()
        except BusError:
            return None, None
    return None, None


def _versions(usage: Usage | None) -> Json:
    return {
        "retrain": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "bus": usage.server if usage else None,
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores",
    }


def _log(services: Services, bounds: Bounds | None, read: int | None, now: datetime) -> Json:
    lag = max(0, bounds.last - read) if bounds is not None and read is not None else None
    behind = services.figures().now
    seconds = max(0.0, (now - behind).total_seconds()) if lag and behind is not None else 0.0
    return {
        "first": bounds.first if bounds else None,
        "last": bounds.last if bounds else None,
        "read": read,
        "lag": lag,
        "lagSeconds": None if lag is None else round(seconds, 3),
    }


def _behind(one: Json, bounds: Bounds | None) -> Json:
    lag = max(0, bounds.last - one["position"]) if bounds is not None else None
    return {**one, "lag": lag, "behind": True}


def _sources(services: Services) -> Json:
    rows = services.sources()
    away = [one for one in rows if one["state"] not in {"listening", "standby"}]
    named = [
        {
            "name": f"{one['source']}/{one['event']}",
            **{field: one[field] for field in ("state", "waitingFor", "since", "lastError")},
        }
        for one in away[:LISTED]
    ]
    return {"count": len(rows), "notReady": named}


async def _store(services: Services, patience_s: float) -> Json:
    try:
        found = await services.ask(revision)
    except Transient:
        found = None
    sizes = await services.measures.latest(patience_s) if services.measures is not None else measures.NONE
    return {"revision": found, **measures.files(services.store.path), **sizes}


def _kept(services: Services, usage: Usage | None) -> Json:
    return {
        "kind": "embedded" if services.settings.bus.url is None else "server",
        "messages": usage.events if usage else None,
        "bytes": usage.bytes if usage else None,
        "keepsSeconds": services.settings.bus.max_age_s,
    }


def _disk(services: Services) -> Json:
    try:
        found = shutil.disk_usage(services.data)
    except OSError:
        return {"free": None, "total": None}
    return {"free": found.free, "total": found.total}
