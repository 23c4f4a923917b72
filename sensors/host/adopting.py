"""Taking sensors in: new ones at their start, changed ones with what the old ones kept in mind, lost ones back again.

All of it happens in the transaction that writes the sensors' digests.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from retrain.store import cells
from retrain.store import sensors as memories
from retrain.store.cells import LIVE, PAST
from retrain.store.sensors import SensorRow
from sensors.core import cell_text
from sensors.core.cells import Cell, CellId
from sensors.core.routing import Routes
from sensors.core.step import Sensor
from sensors.host.batch import Batch, Place, Setting, Turn
from sensors.host.memory import Desk, Memory, named, read_cells, write_out
from sensors.host.timers import Timers


class Standing(StrEnum):
    """How a sensor reads the log: with the cursor, behind it, or not at all for now."""

    LIVE = "live"
    PAST = "past"
    STILL = "still"


TIMELINES: Mapping[Standing, int | None] = {Standing.LIVE: LIVE, Standing.PAST: PAST, Standing.STILL: None}


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A sensor that comes in, with what is known of it. `now`: the time of the log where it stands."""

    place: Place
    standing: Standing
    now: datetime
    row: SensorRow | None

    @property
    def sensor(self) -> Sensor:
        return self.place.sensor

    @property
    def is_news(self) -> bool:
        """Whether there is anything to write down."""
        row = self.row
        if row is None or row.removed is not None or row.state is not None or row.digest != self.sensor.digest:
            return True
        return bool(row.joined) != (self.standing is Standing.LIVE)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What came of it: what is to be written down besides, and how many cells each of the sensors has now."""

    batch: Batch
    counts: Mapping[str, Mapping[str, int]]


def admit(connection: Connection, newcomers: Sequence[Newcomer], setting: Setting) -> Admitted:
    """Take the sensors in, and write down their rows and cells. Decisions, firings and events are the caller's."""
    scratch = Memory(sys.maxsize)
    desk = Desk(scratch, connection)
    turn = Turn((Routes(), {}), (desk, Timers()), setting)
    timelines = {one.sensor.name: TIMELINES[one.standing] for one in newcomers}
    retired: dict[str, set[tuple[str, str]]] = {}
    known: list[str] = []
    for one in newcomers:
        name, row = one.sensor.name, one.row
        if row is None:
            scratch.fill(name, {})
            turn.run(one.sensor, None, lambda s=one.sensor, now=one.now: s.begin(now))
            continue
        known.append(name)
        found = _recall(connection, one, row)
        if found is not None:
            scratch.fill(name, found)
            retired[name] = _adopt(turn, desk, one, found)
    write_out(desk.changes, timelines.__getitem__).carry_out(connection)
    for timeline in set(timelines.values()):
        cells.set_timeline(connection, [name for name in known if timelines[name] == timeline], timeline)
    for name, parts in retired.items():
        cells.retire(connection, name, setting.wall, parts=sorted(parts))
    memories.save(connection, [row_of(one, setting.wall) for one in newcomers])
    return Admitted(turn.batch, cells.counts(connection, known))


def _recall(connection: Connection, one: Newcomer, row: SensorRow) -> dict[CellId, Cell] | None:
    """Take back what of the sensor was set aside and has a meaning again; all its cells, None if nothing changed."""
    name = one.sensor.name
    back = [two for two in cells.retired_parts(connection, name) if one.sensor.owns(CellId(*two, ""))]
    cells.restore(connection, name, TIMELINES[one.standing], parts=back)
    if row.digest == one.sensor.digest and row.state is None:
        return None
    return read_cells(connection, cells.of_sensor(connection, name))


def _adopt(turn: Turn, desk: Desk, one: Newcomer, found: dict[CellId, Cell]) -> set[tuple[str, str]]:
    """Let a changed sensor judge what it had. The (kind, part) of cells that have no meaning any more."""
    sensor, row = one.sensor, one.row
    assert row is not None
    shape = row.shape
    if isinstance(row.state, dict):
        kept = cell_text.read_version_0(row.state.get("waiting"), row.updated)
        for cell_id, cell in kept.items():
            desk.put(named(sensor.name, cell_id), cell)
        found, shape = {**found, **kept}, None
    step = turn.run(sensor, None, lambda: sensor.adopt(shape, found.items(), one.now, turn.load))
    return {(cell_id.kind, cell_id.part) for cell_id in step.retired} if step is not None else set()


def row_of(one: Newcomer, wall: datetime) -> SensorRow:
    """A sensor's row, once it is taken in."""
    sensor, joined = one.sensor, one.standing is Standing.LIVE
    return SensorRow(
        sensor.name,
        sensor.digest,
        one.place.position,
        wall,
        joined=int(joined),
        shape=sensor.shape(one.row.shape if one.row else None),
        now=None if joined else one.now,
    )
