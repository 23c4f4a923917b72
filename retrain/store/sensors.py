"""What each sensor waits for: its state, the digest of the spec that made it, and its place in the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from retrain.events import JsonValue
from retrain.store.rows import upsert
from retrain.store.tables import sensors


@dataclass(frozen=True, slots=True)
class SensorRow:
    """A sensor's memory. `position`: the last place in the log that is part of `state`."""

    name: str
    digest: str
    position: int
    state: JsonValue
    updated: datetime


def load(connection: Connection) -> dict[str, SensorRow]:
    """All sensors that were ever run here, by name."""
    rows = connection.execute(select(sensors))
    return {row.name: SensorRow(row.name, row.digest, row.position, row.state, row.updated) for row in rows}


def save(connection: Connection, rows: Sequence[SensorRow]) -> None:
    """Keep the sensors' memory, over what was kept before."""
    upsert(
        connection,
        sensors,
        [
            {"name": r.name, "digest": r.digest, "position": r.position, "state": r.state, "updated": r.updated}
            for r in rows
        ],
    )
