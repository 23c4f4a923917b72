"""People whom a login at a provider has named, and what its groups gave them then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from retrain.store.rows import upsert
from retrain.store.tables import people


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody. `subject` is who it is, as `issuer` tells people apart; `seen` their last login."""

    name: str
    issuer: str
    subject: str
    roles: tuple[str, ...]
    seen: datetime


def get(connection: Connection, name: str) -> Person | None:
    """Who has this name."""
    row = connection.execute(select(people).where(people.c.name == name)).first()
    return Person(row.name, row.issuer, row.subject, tuple(row.roles), row.seen) if row else None


def save(connection: Connection, one: Person) -> None:
    """Keep somebody as they logged in now."""
    values = {name: getattr(one, name) for name in Person.__dataclass_fields__}
    upsert(connection, people, [{**values, "roles": list(one.roles)}])


def forget(connection: Connection, before: datetime) -> int:
    """Drop those who have not logged in since; how many."""
    return connection.execute(delete(people).where(people.c.seen < before)).rowcount
