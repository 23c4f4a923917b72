"""Where in the log a sensor begins or goes on, and whether the log is the one that was read before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog

from retrain.bus import Bounds, Bus
from retrain.errors import ConfigError
from retrain.store.sensors import SensorRow
from sensors.core.step import Sensor
from sensors.host.adopting import Newcomer, Standing
from sensors.host.batch import Place

log = structlog.get_logger()


def check_log(bounds: Bounds, reached: int) -> None:
    """Say what the log lacks.

    Raises:
        ConfigError: it is not the log that was read up to `reached`.
    """
    if bounds.last < reached:
        # To wait for its positions to come back would pass over every event until then.
        raise ConfigError(
            f"the bus has events up to {bounds.last}, the sensors have read up to {reached}: this is another log. "
            "Give the bus its data back, or start with an empty data directory"
        )
    if bounds.first - 1 > reached:
        log.warning("sensors.gap", read=reached, first=bounds.first, lost=bounds.first - 1 - reached)


async def position_at(bus: Bus, bounds: Bounds, moment: datetime) -> int:
    """The position before the first record that arrived at `moment` or later; the log's end where there is none.

    Asks the bus for about 20 single records in a log of a million.

    Raises:
        BusError: the bus cannot be read now.
    """
    before, after = bounds.first - 1, bounds.last
    while before < after:
        middle = (before + after) // 2
        found = await bus.read(middle, limit=1)
        if not found or found[0].position > after or found[0].received >= moment:
            after = middle
        else:
            before = found[0].position
    return before


@dataclass(frozen=True, slots=True)
class Reached:
    """Where all are: up to `position` of a log with these bounds. `now`: the time of the log there; `wall`: of day."""

    position: int
    bounds: Bounds
    now: datetime | None
    wall: datetime


async def newcomer(bus: Bus, sensor: Sensor, row: SensorRow | None, reached: Reached) -> Newcomer:
    """Where a sensor stands that is to run: a new one at its start, any other where it was.

    Raises:
        BusError: the bus cannot be read now.
    """
    since = sensor.start if isinstance(sensor.start, datetime) else None
    if row is None:
        position = await _start_of(bus, sensor, reached)
        now = await _time_at(bus, position, reached)
        now = max(now, since) if since is not None else now
    else:
        position = max(row.position, reached.position) if row.joined else row.position
        now = row.now or reached.now or reached.wall
    standing = Standing.PAST if position < reached.position else Standing.LIVE
    if sensor.mode == "suspended":
        standing = Standing.STILL
    return Newcomer(Place(sensor, position, since), standing, now, row)


async def _start_of(bus: Bus, sensor: Sensor, reached: Reached) -> int:
    """The position after which a new sensor begins. Never beyond what all have read, for what lies between is still to
    come; only `now` leaves that out."""
    bounds = reached.bounds
    if sensor.start == "now":
        return max(reached.position, bounds.last)
    if isinstance(sensor.start, datetime):
        return min(await position_at(bus, bounds, sensor.start), reached.position)
    return min(bounds.first - 1, reached.position)


async def _time_at(bus: Bus, position: int, reached: Reached) -> datetime:
    if position >= reached.position:
        return reached.wall
    found = await bus.read(position, limit=1)
    return found[0].received if found else reached.wall
