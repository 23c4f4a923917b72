"""Who holds mutexes and semaphores, and who waits for them: across the runs and the processes of one store.

A wish is for several locks, all or none of which are granted. Queues are strict: nobody overtakes who waits before him
for the same lock, so that a wish for many is not starved by wishes for one. Whose run is over holds nothing; whose
platform died keeps what it holds for a while, because it will mostly come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, insert, not_, or_, select, update

from retrain.store.runs import OPEN
from retrain.store.tables import locks, runs

CHUNK = 300
"""Runs of one `IN (...)`."""

Holder = tuple[str, str]
"""A run's id and the id of one of its nodes, or "" for the run itself."""


@dataclass(frozen=True, slots=True)
class Wish:
    """All of `locks` (name -> limit) for a holder, or none."""

    run_id: str
    holder: str
    locks: Mapping[str, int]
    priority: int
    created: datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """`now`; and what crashed before `dead_before` (its lease ran out) is given up. None: nothing is."""

    now: datetime
    dead_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """The first lock of a wish that cannot be had: how many of how many are free."""

    name: str
    free: int
    limit: int


_THIS = (locks.c.name == bindparam("this_lock"),)
_MINE = (locks.c.run_id == bindparam("this_run"), locks.c.holder == bindparam("this_holder"))
_ALIVE = and_(
    runs.c.phase.in_(OPEN),
    runs.c.owner.is_not(None),
    or_(runs.c.lease_until.is_(None), runs.c.lease_until >= bindparam("now", type_=runs.c.lease_until.type)),
)
_KEPT = and_(
    runs.c.phase.in_(OPEN),
    or_(
        runs.c.owner.is_(None),
        runs.c.lease_until.is_(None),
        runs.c.lease_until >= bindparam("dead_before", type_=runs.c.lease_until.type),
    ),
)
_ROWS = select(locks).where(*_MINE)
_FRONT = (
    select(locks)
    .join(runs, runs.c.id == locks.c.run_id)
    .where(*_THIS, locks.c.granted.is_(None), _ALIVE)
    .order_by(locks.c.priority.desc(), locks.c.created, locks.c.asked, locks.c.run_id, locks.c.holder)
    .limit(1)
)
_HELD = select(func.count()).where(*_THIS, locks.c.granted.is_not(None))
_BURY = delete(locks).where(
    *_THIS,
    locks.c.granted.is_not(None),
    not_(select(runs.c.id).where(runs.c.id == locks.c.run_id, _KEPT).exists()),
)
_INSERT = insert(locks)
_GRANT = update(locks).where(*_MINE).values(granted=bindparam("at"))
_DROP = delete(locks).where(*_MINE)
_WAITING_LIMIT = select(locks.c.lock_limit).where(*_THIS, locks.c.granted.is_(None)).limit(1)
_RESIZE = update(locks).where(*_THIS, locks.c.granted.is_(None)).values(lock_limit=bindparam("size"))


def ask(connection: Connection, wish: Wish, moment: Moment) -> tuple[Blocked | None, list[Holder]]:
    """Grant the wish or put it into the queues; what blocks it (None: granted), and who else got a lock by it.

    Who asks again keeps what he holds and his place. A wish for other locks than before gives the old ones up.
    """
    mine = _this(wish.run_id, wish.holder)
    rows = connection.execute(_ROWS, mine).all()
    had = {row.name: row for row in rows}
    if had.keys() == wish.locks.keys() and all(row.granted is not None for row in rows):
        return None, []
    for name, size in wish.locks.items():
        # All who wait for a lock have the same limit in their rows: one of them tells whether it has changed.
        if connection.execute(_WAITING_LIMIT, {"this_lock": name}).scalar() not in (None, size):
            connection.execute(_RESIZE, {"this_lock": name, "size": size})
    if had.keys() != wish.locks.keys() or any(row.granted is not None for row in rows):
        if rows:
            connection.execute(_DROP, mine)
        asked = min((row.asked for row in rows), default=moment.now)
        values = {"run_id": wish.run_id, "holder": wish.holder, "priority": wish.priority, "created": wish.created}
        values |= {"asked": asked, "granted": None}
        connection.execute(_INSERT, [{**values, "name": n, "lock_limit": size} for n, size in wish.locks.items()])
    granted = grant(connection, [*wish.locks, *had], moment)
    if (me := (wish.run_id, wish.holder)) in granted:
        return None, [one for one in granted if one != me]
    return _blocked(connection, wish, moment), granted


def release(connection: Connection, run_id: str, holders: Iterable[str] | None, moment: Moment) -> list[Holder]:
    """Give back what these holders of a run hold and wait for (None: all of the run); who got a lock by it."""
    gone = locks.c.run_id == run_id
    if holders is not None:
        gone &= locks.c.holder.in_(list(holders))
    names = list(connection.execute(select(locks.c.name).where(gone).distinct()).scalars())
    if not names:
        return []
    connection.execute(delete(locks).where(gone))
    return grant(connection, names, moment)


def grant(connection: Connection, names: Iterable[str], moment: Moment) -> list[Holder]:
    """Give these locks to those who wait at the front and can have all that they wish for; who they are."""
    granted: list[Holder] = []
    waiting = list(dict.fromkeys(names))
    while waiting:
        name = waiting.pop()
        while front := _front(connection, name, moment):
            wanted = connection.execute(_ROWS, _this(front.run_id, front.holder)).all()
            if any(not _free(connection, row, moment) for row in wanted):
                break
            connection.execute(_GRANT, {**_this(front.run_id, front.holder), "at": moment.now})
            granted.append((front.run_id, front.holder))
            # Behind it somebody else may be at the front now, in each of its queues.
            waiting += [row.name for row in wanted if row.name != name and row.name not in waiting]
    return granted


def granted_of(connection: Connection, run_ids: Sequence[str]) -> list[Holder]:
    """Who in these runs holds all that he wished for."""
    found: list[Holder] = []
    for start in range(0, len(run_ids), CHUNK):
        query = select(locks.c.run_id, locks.c.holder).where(locks.c.run_id.in_(run_ids[start : start + CHUNK]))
        query = query.group_by(locks.c.run_id, locks.c.holder).having(func.count() == func.count(locks.c.granted))
        found += [(row.run_id, row.holder) for row in connection.execute(query)]
    return found


def names_of(connection: Connection, run_ids: Sequence[str]) -> set[str]:
    """The locks that somebody in these runs waits for."""
    found: set[str] = set()
    for start in range(0, len(run_ids), CHUNK):
        mine = locks.c.run_id.in_(run_ids[start : start + CHUNK])
        found.update(
            connection.execute(select(locks.c.name).where(mine, locks.c.granted.is_(None)).distinct()).scalars()
        )
    return found


def _blocked(connection: Connection, wish: Wish, moment: Moment) -> Blocked:
    """The first lock, as the wish has them, that is not free or that somebody else is to have first."""
    for name, size in wish.locks.items():
        held: int = connection.execute(_HELD, {"this_lock": name}).scalar_one()
        front = _front(connection, name, moment)
        mine = front is not None and (front.run_id, front.holder) == (wish.run_id, wish.holder)
        if held >= size or not mine:
            return Blocked(name, max(0, size - held), size)
    # Every lock is free for it, and yet it was not granted: its own run holds no lease any more.
    name, size = next(iter(wish.locks.items()))
    return Blocked(name, size, size)


def _front(connection: Connection, name: str, moment: Moment) -> Row[Any] | None:
    return connection.execute(_FRONT, {"this_lock": name, "now": moment.now}).first()


def _free(connection: Connection, row: Row[Any], moment: Moment) -> bool:
    """Whether a lock has room for the one whose row this is, and he is the first who waits for it."""
    front = _front(connection, row.name, moment)
    if front is None or (front.run_id, front.holder) != (row.run_id, row.holder):
        return False
    if connection.execute(_HELD, {"this_lock": row.name}).scalar_one() < row.lock_limit:
        return True
    # Only a lock that is taken is worth looking after the dead.
    long_ago = moment.dead_before or datetime.min.replace(tzinfo=moment.now.tzinfo)
    buried = connection.execute(_BURY, {"this_lock": row.name, "dead_before": long_ago}).rowcount
    return buried > 0 and connection.execute(_HELD, {"this_lock": row.name}).scalar_one() < row.lock_limit


def _this(run_id: str, holder: str) -> dict[str, str]:
    return {"this_run": run_id, "this_holder": holder}
