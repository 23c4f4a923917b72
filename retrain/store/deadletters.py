"""What could not be dealt with: kept whole, with the reason, until a person looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select, update

from retrain.store.rows import Page, insert_new, page
from retrain.store.tables import deadletters


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`kind`: firing, message or event; `origin`: the sensor/trigger or source it comes from; `body`: the raw bytes."""

    id: str
    kind: str
    origin: str
    reason: str
    body: bytes
    created: datetime
    redriven: datetime | None = None


def add(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Keep dead letters; one whose id is known stays as it was."""
    insert_new(
        connection,
        deadletters,
        [
            {
                "id": one.id,
                "kind": one.kind,
                "origin": one.origin,
                "reason": one.reason,
                "body": one.body,
                "created": one.created,
            }
            for one in letters
        ],
    )


def get(connection: Connection, letter_id: str) -> DeadLetter | None:
    """One dead letter."""
    row = connection.execute(select(deadletters).where(deadletters.c.id == letter_id)).first()
    return DeadLetter(*row) if row else None


def mark_firing_redriven(connection: Connection, firing_id: str, now: datetime) -> None:
    """Note that a firing got another chance, on every letter about it."""
    unmarked = (_about(firing_id), deadletters.c.redriven.is_(None))
    connection.execute(update(deadletters).where(*unmarked).values(redriven=now))


def count_about(connection: Connection, firing_id: str) -> int:
    """How often a firing has died."""
    query = select(func.count()).select_from(deadletters).where(_about(firing_id))
    return connection.execute(query).scalar_one()


def _about(firing_id: str) -> ColumnElement[bool]:
    # A range of the primary key, which has an index: the letters of a firing are `d-<its digits>-<when, in hex>`.
    start = f"d-{firing_id.removeprefix('f-')}-"
    return deadletters.c.id.between(f"{start}0", f"{start}g")


def listing(connection: Connection, *, cursor: str | None = None, limit: int = 50) -> Page[DeadLetter]:
    """Dead letters, newest first."""
    query = select(deadletters)
    rows, following = page(connection, query, (deadletters.c.created, deadletters.c.id), cursor, limit)
    return Page([DeadLetter(*row) for row in rows], following)


def count(connection: Connection) -> int:
    """How many dead letters nobody has redriven."""
    query = select(func.count()).select_from(deadletters).where(deadletters.c.redriven.is_(None))
    return connection.execute(query).scalar_one()
