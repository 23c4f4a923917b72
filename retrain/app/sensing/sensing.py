"""What the platform says of its sensors: what each waits for, by key and page by page, what is held and what runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection

from retrain.app.looking.queries import stamp
from retrain.app.projects.catalog import Item
from retrain.app.sensing.limits import limits_of
from retrain.errors import ConfigError, NotFound, Refused
from retrain.events import Event
from retrain.store import Store, cells, outbox
from retrain.store import sensors as memories
from sensors import SensorDocument
from sensors.core.cells import IDLE, Cell, CellId, Lane, Silence
from sensors.core.outcome import HeldMatch, Waiting
from sensors.core.step import Sensor
from sensors.host.loop import SensorHost
from sensors.host.memory import cell_of, read_cells

Json = dict[str, Any]

KEYED = ("batch", "join", "silence")
"""Kinds of cells that there is one of for each key: as many as there are keys."""

LANES = ("held", "lane")
MOST_HELD = 500
"""Matches that are held back, of all sensors, that are shown."""


@dataclass(frozen=True, slots=True)
class Sensing:
    """Answers for the doors. `items`: the project's sensors as they are now."""

    store: Store
    host: SensorHost | None
    items: Callable[[], Sequence[Item]]

    def rows(self) -> list[Json]:
        """Every sensor of the project, in short."""
        counts = self.host.counts() if self.host is not None else {}
        state = self.host.state() if self.host is not None else None
        rows: list[Json] = []
        for item in self.items():
            document: SensorDocument = item.model
            kinds = counts.get(document.name, {})
            rows.append(
                {
                    "name": document.name,
                    "file": item.document.file,
                    "line": item.document.line,
                    "mode": document.mode,
                    "dependencies": [one.name for one in document.spec.dependencies],
                    "triggers": [one.template.name for one in document.spec.triggers if one.template],
                    "open": kinds.get("join", 0) + kinds.get("batch", 0),
                    "held": kinds.get("held", 0),
                    "behind": state is not None and document.name in state.behind,
                }
            )
        return rows

    async def removed(self) -> Json:
        """What sensors and parts of sensors left that no manifest has any more. It can come back for some days."""
        return {"items": await self.store.read(_aside), "next": None}

    async def show(self, name: str, cursor: str | None, limit: int) -> Json:
        """One sensor with what it waits for: `limit` keys behind `cursor`, and `next` for those after them.

        Raises:
            NotFound: the project has no such sensor.
            ConfigError: the cursor is none that an earlier page gave.
        """
        row = next((one for one in self.rows() if one["name"] == name), None)
        if row is None:
            raise NotFound(f"{name}: no such sensor; `retrain sensors list` shows the names")
        if self.host is None:
            return {**row, "waiting": [], "silences": [], "lanes": [], "limits": [], "next": None}
        sensor, after = self.host.sensor(name), _parse(cursor)
        now = self.host.state().now
        page = await self.store.read(lambda c: _page(c, sensor, after, limit))
        limits = limits_of(self._document(name), page.lanes, now or self.host.clock.now())
        waiting = sensor.waiting(page.cells.items(), now) if now is not None else []
        silences = [_silence(where, cell) for where, cell in page.cells.items() if isinstance(cell, Silence)]
        lanes = [_lane(where, cell) for where, cell in page.cells.items() if isinstance(cell, Lane)]
        keys = {kind: n for kind, n in sorted(self.host.counts().get(name, {}).items()) if n}
        shown = {"waiting": [_waiting(one) for one in waiting], "silences": silences, "lanes": lanes, "limits": limits}
        return {**row, "keys": keys, **shown, "next": page.next}

    def _document(self, name: str) -> SensorDocument:
        return next(one.model for one in self.items() if one.model.name == name)

    async def held(self) -> list[Json]:
        """Matches that are held back, those that ask for an approval first, then the oldest first:
        `{"firing", "sensor", "trigger", "key", "gate", "reason", "since", "asks", "approved"}`."""
        if self.host is None:
            return []
        names = [name for name, kinds in self.host.counts().items() if kinds.get("held")]
        return await self.store.read(lambda c: _all_held(c, names))

    async def answer(self, firing_id: str, *, granted: bool, reason: str, actor: str) -> Json:
        """Approve or reject a firing that waits for that; the sensor hears of it by an event.

        Raises:
            NotFound: no firing of that id is held.
            Refused: it is held, and waits for something else.
        """
        if self.host is None:
            raise Refused("this process runs no sensors; ask one that does")
        names = [name for name, kinds in self.host.counts().items() if kinds.get("held")]
        now = self.host.clock.now()

        def write(connection: Connection) -> Json:
            sensor, trigger, key = _find_held(connection, names, firing_id)
            verdict = "granted" if granted else "rejected"
            firing = {"id": firing_id, "sensor": sensor, "trigger": trigger, "key": key}
            event = Event(
                id=f"{firing_id}.{verdict}",
                source="retrain",
                type=f"dev.retrain.approval.{verdict}",
                subject=f"approval.{verdict}",
                time=now,
                data={"firing": firing, "reason": reason, "actor": actor},
                extensions={
                    "retraincause": firing_id,
                    "retrainsensor": sensor,
                    "retraintrigger": trigger,
                    "retrainfiring": firing_id,
                },
            )
            outbox.add(connection, [event], now)
            return {"firing": firing_id, "sensor": sensor, "trigger": trigger, "event": event.id, "verdict": verdict}

        told = await self.store.write(write)
        self.store.signals.notify("outbox")
        return told


@dataclass(frozen=True, slots=True)
class _Page:
    cells: dict[CellId, Cell]
    lanes: dict[str, Lane]
    next: str | None


def _page(connection: Connection, sensor: Sensor, after: tuple[str, str, str] | None, limit: int) -> _Page:
    rows = cells.of_sensor(connection, sensor.name, kinds=KEYED, after=after, limit=limit + 1)
    more = len(rows) > limit
    found = read_cells(connection, rows[:limit])
    if after is None:  # what is held comes with the first page
        found.update(read_cells(connection, cells.of_sensor(connection, sensor.name, kinds=LANES, limit=limit)))
    last = rows[limit - 1] if more else None
    lanes = {row.part: _lane_of(connection, row) for row in cells.of_sensor(connection, sensor.name, kinds=("lane",))}
    return _Page(found, lanes, _format(last.kind, last.part, last.key) if last is not None else None)


def _lane_of(connection: Connection, row: cells.CellRow) -> Lane:
    lane = cell_of(connection, row)
    return lane if isinstance(lane, Lane) else IDLE


def _all_held(connection: Connection, names: Sequence[str]) -> list[Json]:
    found = [
        {
            "firing": one.firing,
            "sensor": sensor,
            "trigger": row.part,
            "key": one.match_key,
            "gate": one.gate,
            "reason": one.why,
            "since": stamp(one.since),
            "asks": one.asks,
            "approved": one.approved,
        }
        for sensor in names
        for row in cells.of_sensor(connection, sensor, kinds=("lane",))
        for one in _lane_of(connection, row).queue
    ]
    found.sort(key=lambda one: (not one["asks"], one["since"] or ""))
    return found[:MOST_HELD]


def _aside(connection: Connection) -> list[Json]:
    """What is set aside, by sensor."""
    removed = {row.name: row.removed for row in memories.removed(connection)}
    found: dict[str, Json] = {}
    for one in cells.retired(connection):
        whole = one.sensor in removed
        entry = {"name": one.sensor, "removed": whole, "since": stamp(one.since), "cells": {}}
        found.setdefault(one.sensor, entry)["cells"][one.part] = one.cells
    return list(found.values())


def _find_held(connection: Connection, names: Sequence[str], firing_id: str) -> tuple[str, str, str]:
    for sensor in names:
        for row in cells.of_sensor(connection, sensor, kinds=("lane",)):
            for one in _lane_of(connection, row).queue:
                if one.firing != firing_id:
                    continue
                if not one.asks:
                    raise Refused(f"{firing_id} waits for no approval, but: {one.why}")
                return sensor, row.part, one.match_key
    raise NotFound(f"{firing_id}: no such firing is held; `retrain sensors show NAME` shows those that are")


def _waiting(one: Waiting) -> Json:
    return {
        "trigger": one.trigger,
        "key": one.key,
        "have": list(one.have),
        "need": list(one.need),
        "until": stamp(one.until),
        "opened": stamp(one.opened),
        "count": one.count,
        "progress": one.progress,
        "held": [_held(match) for match in one.held],
    }


def _held(one: HeldMatch) -> Json:
    return {"firing": one.firing, "reason": one.reason, "since": stamp(one.since), "asks": one.asks}


def _silence(where: CellId, cell: Silence) -> Json:
    return {
        "dependency": where.part,
        "key": where.key,
        "since": stamp(cell.since),
        "last": cell.last,
        "due": stamp(cell.due),
    }


def _lane(where: CellId, lane: Lane) -> Json:
    active = [
        {"firing": one.firing, "key": one.lane_key, "since": stamp(one.since), "run": one.run, "stopping": one.stopping}
        for one in lane.active
    ]
    spent = sum(one.amount for one in lane.spent)
    return {
        "trigger": where.part,
        "active": active,
        "held": len(lane.queue),
        "spent": spent,
        "firings": len(lane.fired),
        "due": stamp(lane.due),
    }


def _format(*where: str) -> str:
    return orjson.dumps(where).decode()


def _parse(cursor: str | None) -> tuple[str, str, str] | None:
    if cursor is None:
        return None
    try:
        kind, part, key = orjson.loads(cursor)
    except (ValueError, TypeError):
        raise ConfigError(f"cursor {cursor!r} is none that a page gave; leave it out to start at the first") from None
    return str(kind), str(part), str(key)
