"""Firings that are over though their lanes do not know: who was to tell it died, or the log lost it.

Looked for once, when the log has been read to its end and nothing waits to be published: what is still to be told is no
loss, and lets the next one go at the time at which it arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from retrain.store import cells, firings, runs
from retrain.store.runs import OPEN
from sensors.core.cells import Lane
from sensors.host.batch import Place, Turn
from sensors.host.memory import cell_of

Over = Mapping[tuple[str, str], Sequence[str]]
"""(sensor, trigger) -> ids of firings that are over."""


def find_over(connection: Connection, sensors: Iterable[str]) -> Over:
    """Of the firings that these sensors take for active, those that are not: ended or gone, without an open run."""
    found: dict[tuple[str, str], list[str]] = {}
    for sensor in sensors:
        for row in cells.of_sensor(connection, sensor, kinds=("lane",)):
            lane = cell_of(connection, row)
            active = [one.firing for one in lane.active] if isinstance(lane, Lane) else []
            if over := [one for one in active if _is_over(connection, one)]:
                found[sensor, row.part] = over
    return found


def _is_over(connection: Connection, firing_id: str) -> bool:
    row = firings.get(connection, firing_id)
    if row is not None and row.state in firings.OPEN:
        return False
    return all(run.phase not in OPEN for run in runs.of_firings(connection, [firing_id]))


def let_go(turn: Turn, over: Over, places: Mapping[str, Place], now: datetime) -> None:
    """Take them out of their lanes; what these hold goes on."""
    for (name, trigger), ids in over.items():
        place = places.get(name)
        if place is not None:
            sensor = place.sensor
            turn.run(sensor, None, lambda s=sensor, t=trigger, i=ids: s.over(turn.look(s.name), t, i, now, turn.load))
