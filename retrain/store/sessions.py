"""Who is logged in at the page: the digest of each cookie, never the cookie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from retrain.store.tables import sessions


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session. `stands_for`: what it began with (`user <digest>`, `token <id>`, `login <name>`), which ends it.

    `seen` is known to the minute; after `expires` it is over however much it is used.
    """

    id: str
    digest: str
    person: str
    stands_for: str
    origin: str
    agent: str
    created: datetime
    seen: datetime
    expires: datetime


def begin(connection: Connection, row: SessionRow, most: int) -> None:
    """Keep a new one; of somebody's sessions over `most`, those that were longest not seen end."""
    connection.execute(insert(sessions).values({name: getattr(row, name) for name in SessionRow.__dataclass_fields__}))
    theirs = select(sessions.c.id).where(sessions.c.person == row.person).order_by(sessions.c.seen.desc())
    over = [one.id for one in connection.execute(theirs.offset(most))]
    if over:
        connection.execute(delete(sessions).where(sessions.c.id.in_(over), sessions.c.id != row.id))


def by_digest(connection: Connection, digest: str) -> SessionRow | None:
    """The session of this cookie."""
    row = connection.execute(select(sessions).where(sessions.c.digest == digest)).first()
    return _row(row) if row else None


def touch(connection: Connection, session_id: str, now: datetime) -> None:
    """It was used."""
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(seen=now))


def of(connection: Connection, person: str, now: datetime) -> list[SessionRow]:
    """Somebody's sessions that are not over, last seen first."""
    query = select(sessions).where(sessions.c.person == person, sessions.c.expires > now)
    return [_row(row) for row in connection.execute(query.order_by(sessions.c.seen.desc()))]


def end(connection: Connection, *, digest: str = "", person: str = "", session_id: str = "") -> list[SessionRow]:
    """End the session of a cookie, or one or all of somebody's; those that were there."""
    fits: ColumnElement[bool] = sessions.c.digest == digest if digest else sessions.c.person == person
    if session_id:
        fits = fits & (sessions.c.id == session_id)
    return _end(connection, fits)


def end_of(connection: Connection, stands_for: Sequence[str]) -> list[SessionRow]:
    """End the sessions that stand for one of these."""
    return _end(connection, sessions.c.stands_for.in_(list(stands_for)))


def forget(connection: Connection, now: datetime, idle_since: datetime) -> int:
    """Drop those that are over, or were not seen since; how many."""
    over = (sessions.c.expires <= now) | (sessions.c.seen < idle_since)
    return connection.execute(delete(sessions).where(over)).rowcount


def _end(connection: Connection, fits: ColumnElement[bool]) -> list[SessionRow]:
    found = [_row(row) for row in connection.execute(select(sessions).where(fits))]
    connection.execute(delete(sessions).where(fits))
    return found


def _row(row: Row[Any]) -> SessionRow:
    return SessionRow(**{name: getattr(row, name) for name in SessionRow.__dataclass_fields__})
