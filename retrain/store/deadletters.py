"""What could not be dealt with: kept whole, with the reason, until a person looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, LargeBinary, Row, Select, func, select, update

from retrain.store.rows import Page, insert_new, page
from retrain.store.tables import deadletters


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`kind`: firing, message or event; `origin`: the sensor/trigger or source it comes from; `body`: the raw bytes.

    `size`: of the whole body, where only its beginning was asked for.
    """

    id: str
    kind: str
    origin: str
    reason: str
    body: bytes
    created: datetime
    redriven: datetime | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters of a list to show; None means any. `origin`: all of it, or a sensor of which any trigger is meant.

    `text` is looked for in the reason. `redriven`: whether somebody has redriven it. Times are of `created`; `until` is
    not in it.
    """

    kind: str | None = None
    origin: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    redriven: bool | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """As the database reads them."""
        column, found = deadletters.c, list[ColumnElement[bool]]()
        if self.kind is not None:
            found.append(column.kind == self.kind)
        if self.origin is not None:
            # A range of an index, which LIKE is not: what begins with it and a slash.
            below = (column.origin > f"{self.origin}/") & (column.origin < f"{self.origin}0")
            found.append((column.origin == self.origin) | below)
        if self.text is not None:
            found.append(column.reason.contains(self.text, autoescape=True))
        if self.since is not None:
            found.append(column.created >= self.since)
        if self.until is not None:
            found.append(column.created < self.until)
        if self.redriven is not None:
            found.append(column.redriven.is_not(None) if self.redriven else column.redriven.is_(None))
        return found


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


def get(connection: Connection, letter_id: str, *, head: int | None = None) -> DeadLetter | None:
    """One dead letter; with `head` so many bytes of its body."""
    row = connection.execute(_letters(head).where(deadletters.c.id == letter_id)).first()
    return _letter(row) if row else None


def _letters(head: int | None) -> Select[*tuple[Any, ...]]:
    column = deadletters.c
    body = column.body if head is None else func.substr(column.body, 1, head, type_=LargeBinary).label("body")
    size = func.length(column.body).label("size")
    return select(column.id, column.kind, column.origin, column.reason, body, column.created, column.redriven, size)


def _letter(row: Row[Any]) -> DeadLetter:
    return DeadLetter(**{name: getattr(row, name) for name in DeadLetter.__dataclass_fields__})


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


def listing(
    connection: Connection,
    which: LetterFilter | None = None,
    *,
    cursor: str | None = None,
    limit: int = 50,
    head: int | None = None,
) -> Page[DeadLetter]:
    """Dead letters, newest first; with `head` so many bytes of each body."""
    query = _letters(head).where(*(which or LetterFilter()).conditions)
    rows, following = page(connection, query, (deadletters.c.created, deadletters.c.id), cursor, limit)
    return Page([_letter(row) for row in rows], following)


def count_of(connection: Connection, which: LetterFilter, most: int = 10_000) -> int:
    """How many letters match; so many at most."""
    some = select(deadletters.c.id).where(*which.conditions).limit(most).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def waiting_firings(connection: Connection, which: LetterFilter, limit: int) -> list[str]:
    """The letters about firings that match and that nobody has redriven, oldest first."""
    mine = (*which.conditions, deadletters.c.kind == "firing", deadletters.c.redriven.is_(None))
    query = select(deadletters.c.id).where(*mine).order_by(deadletters.c.created, deadletters.c.id)
    return list(connection.execute(query.limit(limit)).scalars())


def kinds(connection: Connection) -> list[str]:
    """The kinds that there are."""
    return sorted(connection.execute(select(deadletters.c.kind).distinct()).scalars())


def count(connection: Connection) -> int:
    """How many dead letters nobody has redriven."""
    query = select(func.count()).select_from(deadletters).where(deadletters.c.redriven.is_(None))
    return connection.execute(query).scalar_one()
