"""Deleting what is old, a few rows at a time, and never a row that another one refers to.

Each function does one piece and is called again until there is nothing left, with pauses in which others write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, or_, select

from retrain.store.cells import SEEN
from retrain.store.firings import OPEN
from retrain.store.history import positions_between
from retrain.store.lineage import led_to_promotions
from retrain.store.tables import (
    audit,
    deadletters,
    decisions,
    event_refs,
    events,
    firing_events,
    firings,
    promotions,
    runs,
    sensor_cells,
    sensor_members,
    sensors,
    to_microseconds,
)


class Old(NamedTuple):
    """Rows that may go, and where the next look begins; `next` None: that was all."""

    ids: list[str]
    next: tuple[Any, ...] | None


# --- firings ---------------------------------------------------------------------------------------------------------


def old_firings(connection: Connection, before: datetime, after: tuple[Any, ...] | None, most: int) -> Old:
    """Firings that were over before then, but for those whose run or letter is there and those that led to a promotion:
    a run that is there keeps its firing, and what came of it need not be looked at."""
    over = and_(firings.c.state.not_in(OPEN), func.coalesce(firings.c.finished, firings.c.created) < before)
    query = select(firings.c.created, firings.c.id).where(firings.c.created < before, over, ~_referred())
    if after is not None:
        created, id_ = after
        query = query.where(or_(firings.c.created > created, and_(firings.c.created == created, firings.c.id > id_)))
    rows = connection.execute(query.order_by(firings.c.created, firings.c.id).limit(most)).all()
    found = [row.id for row in rows]
    kept = led_to_promotions(connection, [("firing", one) for one in found])
    kept |= {("firing", one) for one in _with_letters(connection, found)}
    ends = (rows[-1].created, rows[-1].id) if len(rows) == most else None
    return Old([one for one in found if ("firing", one) not in kept], ends)


def forget_firings(connection: Connection, ids: Collection[str]) -> int:
    """Delete these, but for those that are open again or that a run or a promotion refers to; how many went."""
    query = select(firings.c.id).where(firings.c.id.in_(ids), firings.c.state.not_in(OPEN), ~_referred())
    gone = list(connection.execute(query).scalars())
    if gone:
        connection.execute(delete(firing_events).where(firing_events.c.firing_id.in_(gone)))
        connection.execute(delete(firings).where(firings.c.id.in_(gone)))
    return len(gone)


def _referred() -> ColumnElement[bool]:
    """Whether a run or a promotion refers to a firing."""
    runs_of = exists().where(runs.c.firing_id == firings.c.id)
    return or_(runs_of, exists().where(promotions.c.firing_id == firings.c.id))


def _with_letters(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Those that died and whose letter is still there: a redrive needs them."""
    dead = select(firings.c.id).where(firings.c.id.in_(ids), firings.c.state == "dead")
    found: set[str] = set()
    for one in connection.execute(dead).scalars():
        start = f"d-{one.removeprefix('f-')}-"
        letter = select(deadletters.c.id).where(deadletters.c.id.between(f"{start}0", f"{start}g")).limit(1)
        if connection.execute(letter).first() is not None:
            found.add(one)
    return found


def promotions_mark(connection: Connection) -> tuple[Any, ...]:
    """What changes with every new promotion: what was found out about chains before holds while it is the same."""
    return tuple(connection.execute(select(func.count(), func.max(promotions.c.created))).one())


# --- events ----------------------------------------------------------------------------------------------------------


def end_of_events(connection: Connection, before: datetime) -> int:
    """The position of the first event that arrived at `before` or later: those that lie below are old."""
    return positions_between(connection, None, before)[1]


def old_events(connection: Connection, end: int, after: int, most: int) -> tuple[list[str], int | None]:
    """Keys of events between these positions that no firing and no run refers to; from where to go on, None: all seen.

    Decisions about an event go with it, and no sensor's memory is looked at here (`waited_for`).
    """
    lies = select(events.c.key, events.c.position).where(events.c.position > after, events.c.position < end)
    rows = connection.execute(lies.order_by(events.c.position).limit(most)).all()
    used = _used(connection, [row.key for row in rows])
    goes_on = rows[-1].position if len(rows) == most else None
    return [row.key for row in rows if row.key not in used], goes_on


def forget_events(connection: Connection, keys: Collection[str]) -> int:
    """Delete these with the names of things they tell of and the decisions about them, but for those that are used;
    how many went."""
    gone = sorted(set(keys) - _used(connection, keys))
    if not gone:
        return 0
    for table, column in ((event_refs, event_refs.c.event_key), (decisions, decisions.c.event_key)):
        connection.execute(delete(table).where(column.in_(gone)))
    return connection.execute(delete(events).where(events.c.key.in_(gone))).rowcount


def _used(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those that a firing or a run refers to."""
    made = select(firing_events.c.event_key).where(firing_events.c.event_key.in_(keys))
    found = set(connection.execute(made).scalars())
    began = select(runs.c.parent).where(runs.c.parent.in_([f"Event/{key}" for key in keys]))
    return found | {one.partition("/")[2] for one in connection.execute(began).scalars()}


def waited_for(connection: Connection, before: datetime) -> set[str]:
    """Keys of the events that arrived before then and that sensors still have in mind, of windows that are open, of
    matches that are held. Reads all cells, so it is asked once for a whole round."""
    found = set[str]()
    limit = to_microseconds(before)
    query = select(sensor_cells.c.kind, sensor_cells.c.body, sensor_cells.c.members).where(sensor_cells.c.kind != SEEN)
    rows = connection.execution_options(stream_results=True).execute(query.execution_options(yield_per=1000))
    for kind, body, members in rows:
        if kind == "silence":
            last = orjson.loads(body).get("last")
            found.update([last] if isinstance(last, str) else ())
        if members is not None:
            found.update(_members(members, limit))
    for body in connection.execute(select(sensor_members.c.body).execution_options(yield_per=1000)).scalars():
        found.update(_members(body, limit))
    for state in connection.execute(select(sensors.c.state).where(sensors.c.state.is_not(None))).scalars():
        found.update(_texts(state))
    return found


def _members(text: str, limit: int) -> Iterator[str]:
    """Keys of a list of members, as `sensors.core.cell_text` writes them, that came before `limit`."""
    return (row[1] for row in orjson.loads(text) if row[2] is None or row[2] < limit)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)


# --- what nothing refers to ------------------------------------------------------------------------------------------


def forget_deadletters(connection: Connection, before: datetime, most: int) -> int:
    """Delete the oldest dead letters that came before then, redriven or not; how many."""
    return _forget(connection, deadletters, deadletters.c.created, before, most)


def forget_deeds(connection: Connection, before: datetime, most: int) -> int:
    """Delete the oldest lines of the audit that were written before then; how many."""
    return _forget(connection, audit, audit.c.at, before, most)


def _forget(connection: Connection, table: Table, time: Any, before: datetime, most: int) -> int:
    old = select(table.c.id).where(time < before).order_by(time).limit(most)
    ids = list(connection.execute(old).scalars())
    return connection.execute(delete(table).where(table.c.id.in_(ids))).rowcount if ids else 0


# --- the file --------------------------------------------------------------------------------------------------------


class Pages(NamedTuple):
    """Pages of the store's file: how many there are, and how many of them are empty. `shrinks`: they can be given
    back to the file system."""

    all: int
    free: int
    shrinks: bool


def pages(connection: Connection) -> Pages:
    """How full the file is. SQLite only."""
    words = ("page_count", "freelist_count", "auto_vacuum")
    count, free, mode = (int(connection.exec_driver_sql(f"PRAGMA {word}").scalar_one()) for word in words)
    return Pages(count, free, mode == 2)


def give_back(connection: Connection, most: int) -> int:
    """Give up to `most` empty pages back to the file system; how many."""
    free = pages(connection).free
    # Each step of the statement gives back one page, in a row without columns, which SQLAlchemy would not step through.
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"PRAGMA incremental_vacuum({int(most)})")
        cursor.fetchall()
    finally:
        cursor.close()
    return free - pages(connection).free
