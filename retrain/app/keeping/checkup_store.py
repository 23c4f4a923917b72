"""What the store can say of how things go: bounded questions, for `retrain.app.keeping.checks` to judge."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select

from retrain.store import forgetting
from retrain.store.firings import PARKED
from retrain.store.history import positions_between
from retrain.store.promotions import OPEN as OPEN_PROMOTIONS
from retrain.store.runs import OPEN as OPEN_RUNS
from retrain.store.tables import deadletters, events, firings, leases, outbox, promotions, runs, tokens

Json = dict[str, Any]

LATE = timedelta(minutes=10)
"""How long after its time something counts as stuck."""
FORGOTTEN = timedelta(hours=1)
"""How long after its end a lease is worth a word."""
MOST = 1000
"""Things of one kind that are counted."""
NAMED = 3
LAST = 20
"""Events of a source whose pauses are looked at."""
QUICK_S = 2.0
"""Seconds for a look at the store's pages."""


def facts(connection: Connection, now: datetime) -> Json:
    """All figures that need no more than the store."""
    first, end = positions_between(connection, now - timedelta(days=1), None)
    found = forgetting.pages(connection)
    return {
        "eventsEver": max(0, end - _first(connection)),
        "eventsOfDay": max(0, end - first),
        "letters": _letters(connection),
        "stuck": {
            "firings": _stuck(connection, firings, *_late_firings(now)),
            "runs": _stuck(connection, runs, *_late_runs(now)),
            "promotions": _stuck(connection, promotions, *_late_promotions(now)),
            "outbox": _stuck(connection, outbox, outbox.c.created < now - LATE),
        },
        "leases": _forgotten(connection, now),
        "pages": found.all,
        "freePages": found.free,
        "shrinks": found.shrinks,
    }


def _forgotten(connection: Connection, now: datetime) -> list[str]:
    query = select(leases.c.name).where(leases.c.until < now - FORGOTTEN).order_by(leases.c.name).limit(10)
    return list(connection.execute(query).scalars())


def _first(connection: Connection) -> int:
    return connection.execute(select(func.min(events.c.position))).scalar() or 0


def _late_firings(now: datetime) -> tuple[ColumnElement[bool], ...]:
    late = now - LATE
    due = (firings.c.state == "pending") & (firings.c.next_attempt < late) & (firings.c.next_attempt != PARKED)
    left = (firings.c.state == "running") & (firings.c.lease_until < late)
    return (or_(due, left),)


def _late_runs(now: datetime) -> tuple[ColumnElement[bool], ...]:
    late = now - LATE
    nobody = or_(runs.c.owner.is_(None), runs.c.lease_until < late)
    asleep = (runs.c.parked == 1) & or_(runs.c.wake.is_(None), runs.c.wake > late)
    # Pending ones may wait for a place or a lock, however long; nobody has begun them.
    return runs.c.phase.in_([one for one in OPEN_RUNS if one != "Pending"]), nobody, ~asleep, runs.c.created < late


def _late_promotions(now: datetime) -> tuple[ColumnElement[bool], ...]:
    late = now - LATE
    nobody = or_(promotions.c.owner.is_(None), promotions.c.lease_until < late)
    return promotions.c.state.in_(OPEN_PROMOTIONS), promotions.c.next_attempt < late, nobody


def _stuck(connection: Connection, table: Table, *where: ColumnElement[bool]) -> Json:
    ids = list(connection.execute(select(table.c.id).where(*where).limit(MOST)).scalars())
    return {"count": len(ids), "ids": [str(one) for one in ids[:NAMED]]}


def _letters(connection: Connection) -> Json:
    left = deadletters.c.redriven.is_(None)
    query = select(deadletters.c.created).where(left).order_by(deadletters.c.created).limit(MOST)
    found = list(connection.execute(query).scalars())
    return {"count": len(found), "oldest": f"{found[0]:%Y-%m-%d %H:%M} UTC" if found else None}


def pauses(connection: Connection, names: Sequence[tuple[str, str]]) -> list[Json]:
    """Of each source and event: when it came last, and the longest pause (seconds) among its last events; None where
    they are too few to tell."""
    found: list[Json] = []
    for source, event in names:
        query = select(events.c.received).where(events.c.source == source, events.c.subject == event)
        times = list(connection.execute(query.order_by(events.c.position.desc()).limit(LAST)).scalars())
        if times:
            gaps = [(late - early).total_seconds() for late, early in pairwise(times)]
            usual = max(gaps) if len(gaps) >= 5 else None
            found.append({"name": f"{source}/{event}", "last": times[0], "usual": usual})
    return found


def ending_tokens(connection: Connection, before: datetime) -> list[tuple[str, datetime]]:
    """Tokens in use that end before then, and ended a week before now at most: what they are called, and when."""
    query = select(tokens.c.label, tokens.c.owner, tokens.c.expires).where(tokens.c.revoked.is_(None))
    rows = connection.execute(query.where(tokens.c.expires < before).order_by(tokens.c.expires.desc()).limit(100))
    return [(f"token {row.label or 'without a label'} of {row.owner}", row.expires) for row in rows]


def integrity(path: Path, limit_s: float = QUICK_S) -> str | None:
    """`ok`, or what is wrong with the database's pages; None if there was no time to look at all of them."""
    deadline = time.monotonic() + limit_s
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.set_progress_handler(lambda: int(time.monotonic() > deadline), 100_000)
        try:
            return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                return None
            raise
        except sqlite3.DatabaseError as error:
            return str(error)
