"""Leases: who, of several processes on one store, does what only one may do. Taken, renewed, given back, run out.

A lease that was not renewed in time is anybody's. So a process that has not heard of its renewal by then must have
stopped; whoever keeps leases watches the clock himself. Clocks of machines may differ by less than a lease lasts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from retrain.store.tables import leases

CHUNK = 500
"""Names of one `IN (...)`."""


def take(connection: Connection, names: Iterable[str], holder: str, now: datetime, until: datetime) -> set[str]:
    """Take or renew these leases up to `until`, where nobody else's runs at `now`; the names of those that are held."""
    wanted = sorted(set(names))
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    for start in range(0, len(wanted), CHUNK):
        rows = [{"name": name, "holder": holder, "until": until} for name in wanted[start : start + CHUNK]]
        statement = insert(leases).values(rows)
        mine_or_over = (leases.c.holder == holder) | (leases.c.until <= now)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["name"], set_={"holder": holder, "until": until}, where=mine_or_over
            )
        )
    return held(connection, wanted, holder)


def held(connection: Connection, names: Iterable[str], holder: str) -> set[str]:
    """Which of these leases are the holder's."""
    wanted, found = sorted(set(names)), set[str]()
    for start in range(0, len(wanted), CHUNK):
        query = select(leases.c.name).where(leases.c.holder == holder)
        found.update(connection.execute(query.where(leases.c.name.in_(wanted[start : start + CHUNK]))).scalars())
    return found


def give_back(connection: Connection, names: Iterable[str], holder: str) -> None:
    """Let go of these leases, where they are the holder's."""
    connection.execute(delete(leases).where(leases.c.holder == holder, leases.c.name.in_(sorted(set(names)))))


def holder_of(connection: Connection, name: str) -> str | None:
    """Who holds or held a lease last."""
    return connection.execute(select(leases.c.holder).where(leases.c.name == name)).scalar()
