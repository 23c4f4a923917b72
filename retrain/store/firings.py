"""Firings: the outbox between a decision and its action. A row is written with the decision and acted on apart.

pending --claim--> running --done--> done
   |  ^               |  \\--dead--> dead --redrive--> pending
   |  +-----retry-----+
   +--cancel--> cancelled            shadow: written down so, and never acted on

An `ordered` firing is acted on after the earlier ones of its sensor, trigger and key: while one of them is open, it is
parked (due at `PARKED`), and whoever settles that one makes it due.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, literal_column, or_, select, text, update

from retrain.events import JsonValue
from retrain.store.rows import Page, insert_new, page
from retrain.store.tables import firing_events, firings
from retrain.store.windows import LOOKED_AT, by, few, window

PARKED = datetime(9000, 1, 1, tzinfo=UTC)
"""When an ordered firing is due that waits for an earlier one."""

# Built once: these are part of every event's way, and building one takes longer than carrying it out.
_KNOWN = select(firings.c.id).where(firings.c.id.in_(bindparam("ids", expanding=True)))
_HELD = _KNOWN.where(firings.c.owner == bindparam("holder"))
_SETTLE = (
    update(firings)
    .where(firings.c.id == bindparam("which"), firings.c.owner == bindparam("holder"))
    .values(
        state=bindparam("to"),
        attempts=bindparam("tried"),
        result=bindparam("gave"),
        error=bindparam("why"),
        next_attempt=func.coalesce(bindparam("again", type_=firings.c.next_attempt.type), firings.c.next_attempt),
        finished=bindparam("at"),
        owner=None,
        lease_until=None,
    )
)


class FiringState(StrEnum):
    """Where a firing is on its way."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    SHADOW = "shadow"
    CANCELLED = "cancelled"


OPEN = (FiringState.PENDING, FiringState.RUNNING)
"""States of firings that are still to act, or do so now."""

_LANE = (
    # Said as it stands in the index, or SQLite does not use it.
    text("firings.ordered <> 0"),
    firings.c.sensor == bindparam("lane_sensor"),
    firings.c.trigger == bindparam("lane_trigger"),
    firings.c.key == bindparam("lane_key"),
)
_LATEST = select(firings.c.created, firings.c.state).where(*_LANE).order_by(firings.c.created.desc()).limit(1)
_FOLLOWING = (
    select(firings.c.id, firings.c.next_attempt)
    .where(*_LANE, firings.c.created > bindparam("after"), firings.c.state.in_(OPEN))
    .order_by(firings.c.created)
    .limit(1)
)
_FIRST = firings.c.priority.desc(), firings.c.next_attempt
_DUE = (
    select(firings)
    .where(firings.c.state == FiringState.PENDING, firings.c.next_attempt <= bindparam("now"))
    .order_by(*_FIRST)
    .limit(bindparam("most"))
)
_ABANDONED = (
    select(firings)
    .where(
        firings.c.state == FiringState.RUNNING,
        or_(firings.c.lease_until.is_(None), firings.c.lease_until < bindparam("now")),
    )
    .order_by(*_FIRST)
    .limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class FiringRow:
    """One firing. `events`: keys of the events that made it, in the order of the dependencies.

    `owner` and `lease_until`: who acts on it now. A row may be written as owned already, by a process that will act on
    it at once; when it dies, the lease runs out and anybody may claim the row. `tracked`: its end is told as an event.
    `priority`: a higher one is claimed first. `ordered`: see the top of this file.
    """

    id: str
    sensor: str
    trigger: str
    key: str
    events: tuple[str, ...]
    action: JsonValue
    created: datetime
    depth: int = 0
    state: FiringState = FiringState.PENDING
    attempts: int = 0
    next_attempt: datetime | None = None
    owner: str | None = None
    lease_until: datetime | None = None
    result: JsonValue = None
    error: str | None = None
    finished: datetime | None = None
    tracked: bool = False
    priority: int = 0
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """How one attempt ended: `done`, or `dead` (`error` says why), or `pending` again at `next_attempt`."""

    id: str
    state: FiringState
    attempts: int
    result: JsonValue = None
    error: str | None = None
    next_attempt: datetime | None = None
    finished: datetime | None = None


@dataclass(frozen=True, slots=True)
class FiringFilter:
    """Which firings of a list to show; None means any. Made from `since` on (included) up to `until` (left out)."""

    sensor: str | None = None
    state: str | None = None
    states: tuple[str, ...] = ()
    trigger: str | None = None
    key: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def add(connection: Connection, rows: Sequence[FiringRow]) -> None:
    """Write firings down; one whose id is known stays as it was. Ordered ones are lined up."""
    rows = lined_up(connection, rows)
    insert_new(connection, firings, [_values(row) for row in rows])
    links = [{"firing_id": row.id, "event_key": key, "ordinal": i} for row in rows for i, key in enumerate(row.events)]
    insert_new(connection, firing_events, links)


def lined_up(connection: Connection, rows: Sequence[FiringRow]) -> list[FiringRow]:
    """The rows, where each ordered one stands behind those of its lane: later by its `created`, and parked while an
    earlier one is open. Doing so twice changes nothing."""
    lanes: dict[_Lane, tuple[datetime, bool] | None] = {}
    return [_behind(connection, row, lanes) if row.ordered and row.state in OPEN else row for row in rows]


_Lane = tuple[str, str, str]
"""Sensor, trigger and key."""


def _behind(connection: Connection, row: FiringRow, lanes: dict[_Lane, tuple[datetime, bool] | None]) -> FiringRow:
    lane = (row.sensor, row.trigger, row.key)
    if lane not in lanes:
        latest = connection.execute(_LATEST, _words(*lane)).first()
        # Those of a lane act one after the other, so when the latest is over all of them are.
        lanes[lane] = (latest.created, latest.state in OPEN) if latest else None
    before = lanes[lane]
    if before is not None:
        created = max(row.created, before[0] + timedelta(microseconds=1))
        row = replace(row, created=created, next_attempt=PARKED if before[1] else row.next_attempt)
    lanes[lane] = (row.created, True)
    return row


def _words(sensor: str, trigger: str, key: str) -> dict[str, str]:
    return {"lane_sensor": sensor, "lane_trigger": trigger, "lane_key": key}


def release_next(connection: Connection, firing_id: str, now: datetime) -> bool:
    """Make the firing due that waited for this ordered one, which is over; False if none did."""
    over = connection.execute(select(firings).where(firings.c.id == firing_id)).one()
    lane = _words(over.sensor, over.trigger, over.key)
    following = connection.execute(_FOLLOWING, {**lane, "after": over.created}).first()
    # One that is due or acts already does not wait for this one: this one was redriven.
    if following is None or following.next_attempt != PARKED:
        return False
    connection.execute(update(firings).where(firings.c.id == following.id).values(next_attempt=now))
    return True


def unknown(connection: Connection, rows: Sequence[FiringRow]) -> list[FiringRow]:
    """Those whose id is not written down yet, each once, in their order."""
    fresh = {row.id: row for row in reversed(rows)}
    ids = list(fresh)
    for start in range(0, len(ids), 500):
        for firing_id in connection.execute(_KNOWN, {"ids": ids[start : start + 500]}).scalars().all():
            del fresh[firing_id]
    return list(reversed(fresh.values()))


def _values(row: FiringRow) -> dict[str, object]:
    return {
        "id": row.id,
        "sensor": row.sensor,
        "trigger": row.trigger,
        "key": row.key,
        "state": row.state,
        "attempts": row.attempts,
        "depth": row.depth,
        "action": row.action,
        "created": row.created,
        "next_attempt": row.next_attempt or row.created,
        "owner": row.owner,
        "lease_until": row.lease_until,
        "error": row.error,
        "tracked": int(row.tracked),
        "priority": row.priority,
        "ordered": int(row.ordered),
    }


def claim(
    connection: Connection, owner: str, now: datetime, lease_until: datetime, limit: int = 100
) -> list[FiringRow]:
    """Take up to `limit` firings that are due, or whose lease has run out: by priority, then the older first."""
    rows = list(connection.execute(_DUE, {"now": now, "most": limit}).all())
    if len(rows) < limit:
        rows += connection.execute(_ABANDONED, {"now": now, "most": limit - len(rows)}).all()
    if not rows:
        return []
    taken = (
        update(firings)
        .where(firings.c.id == bindparam("which"))
        .values(state=FiringState.RUNNING, owner=owner, lease_until=lease_until)
    )
    connection.execute(taken, [{"which": row.id} for row in rows])
    return _with_events(connection, rows)


def renew(connection: Connection, owner: str, ids: Iterable[str], lease_until: datetime) -> None:
    """Keep the firings that `owner` still works on."""
    statement = (
        update(firings)
        .where(firings.c.id == bindparam("which"), firings.c.owner == owner)
        .values(lease_until=lease_until)
    )
    rows = [{"which": one} for one in ids]
    if rows:
        connection.execute(statement, rows)


def release(connection: Connection, owner: str) -> None:
    """Give back what `owner` holds and has not settled: a process that starts takes its dead predecessor's."""
    connection.execute(
        update(firings)
        .where(firings.c.owner == owner, firings.c.state.in_(OPEN))
        .values(state=FiringState.PENDING, owner=None, lease_until=None)
    )


def held(connection: Connection, owner: str, ids: Iterable[str]) -> set[str]:
    """Which of these firings `owner` still holds."""
    wanted = list(ids)
    found: set[str] = set()
    for start in range(0, len(wanted), 500):
        found.update(connection.execute(_HELD, {"ids": wanted[start : start + 500], "holder": owner}).scalars())
    return found


def settle(connection: Connection, owner: str, settled: Sequence[Settled]) -> None:
    """Record how attempts ended. A firing that `owner` no longer holds is left alone: someone else took it."""
    if not settled:
        return
    connection.execute(_SETTLE, [{"holder": owner, **_settled(one)} for one in settled])


def _settled(one: Settled) -> dict[str, object]:
    return {
        "which": one.id,
        "to": one.state,
        "tried": one.attempts,
        "gave": one.result,
        "why": one.error,
        "again": one.next_attempt,
        "at": one.finished,
    }


def redrive(connection: Connection, firing_id: str, now: datetime) -> bool:
    """Let a dead firing try again from its first attempt; False if it is not dead."""
    statement = (
        update(firings)
        .where(firings.c.id == firing_id, firings.c.state == FiringState.DEAD)
        .values(state=FiringState.PENDING, attempts=0, next_attempt=now, error=None, finished=None)
    )
    return connection.execute(statement).rowcount == 1


def cancel(
    connection: Connection, ids: Iterable[str], now: datetime, *, reason: str, in_hand: Collection[str] = ()
) -> list[FiringRow]:
    """Take firings back that have not acted: those that are cancelled now. The others stay as they are.

    `reason` becomes their error.
    `in_hand`: kinds of which also a claimed one is taken back, because whoever holds it looks before it acts.
    """
    rows = connection.execute(select(firings).where(firings.c.id.in_(list(ids)), firings.c.state.in_(OPEN))).all()
    idle = [row for row in rows if row.state == FiringState.PENDING or (row.action or {}).get("kind") in in_hand]
    if not idle:
        return []
    which = firings.c.id.in_([row.id for row in idle])
    values = {"state": FiringState.CANCELLED, "error": reason, "finished": now, "owner": None, "lease_until": None}
    connection.execute(update(firings).where(which).values(**values))
    for row in idle:
        if row.ordered and row.next_attempt != PARKED:
            release_next(connection, row.id, now)
    return [replace(one, state=FiringState.CANCELLED, error=reason) for one in _with_events(connection, idle)]


def wake(connection: Connection, firing_id: str, now: datetime) -> bool:
    """Let a firing that waits for its next attempt have it now; False if it does not wait."""
    waits = (firings.c.id == firing_id, firings.c.state == FiringState.PENDING, firings.c.next_attempt != PARKED)
    return connection.execute(update(firings).where(*waits).values(next_attempt=now)).rowcount == 1


def origin(connection: Connection, firing_id: str) -> tuple[str, str] | None:
    """The sensor and the trigger of a firing."""
    row = connection.execute(select(firings.c.sensor, firings.c.trigger).where(firings.c.id == firing_id)).first()
    return (row.sensor, row.trigger) if row else None


def get(connection: Connection, firing_id: str) -> FiringRow | None:
    """One firing with its events."""
    rows = connection.execute(select(firings).where(firings.c.id == firing_id)).all()
    return _with_events(connection, rows)[0] if rows else None


def of_events(connection: Connection, keys: Iterable[str]) -> dict[str, list[str]]:
    """Ids of the firings that these events made: event key -> firing ids."""
    found: dict[str, list[str]] = {}
    query = select(firing_events.c.event_key, firing_events.c.firing_id)
    for row in connection.execute(query.where(firing_events.c.event_key.in_(list(keys)))):
        found.setdefault(row.event_key, []).append(row.firing_id)
    return found


def listing(
    connection: Connection, which: FiringFilter, *, cursor: str | None = None, limit: int = 50
) -> Page[FiringRow]:
    """Firings, newest first."""
    way = _way(connection, which)
    query = by(select(firings), firings, way.index).where(*way.base, *way.sieve)
    if which.since is not None:
        query = query.where(firings.c.created >= which.since)
    if which.until is not None:
        query = query.where(firings.c.created < which.until)
    order = (firings.c.created, firings.c.id)
    if not way.sieve:
        rows, following = page(connection, query, order, cursor, limit)
        return Page(_with_events(connection, rows), following)
    base = (*way.base, *((firings.c.created < which.until,) if which.until is not None else ()))
    rows, following, searched = window(connection, query, order, cursor, limit, most=LOOKED_AT, base=base)
    return Page(_with_events(connection, rows), following, searched)


@dataclass(frozen=True, slots=True)
class _Way:
    """Along which index a list is walked: `base` is what that has, `sieve` is asked of each row."""

    index: str
    base: tuple[ColumnElement[bool], ...] = ()
    sieve: tuple[ColumnElement[bool], ...] = ()


def _way(connection: Connection, which: FiringFilter) -> _Way:
    states = (which.state,) if which.state is not None else which.states
    pairs = ((firings.c.trigger, which.trigger), (firings.c.key, which.key))
    sieve = tuple(column == wanted for column, wanted in pairs if wanted is not None)
    of_sensor = () if which.sensor is None else (firings.c.sensor == which.sensor,)
    in_state = (firings.c.state.in_(states),) if states else ()
    if states and few(connection, firings, *in_state):
        # Sorted, and no row but those is looked at.
        return _Way("ix_firings_state_next_attempt", (*in_state, *of_sensor, *sieve))
    if of_sensor:
        return _Way("ix_firings_sensor_created", of_sensor, (*in_state, *sieve))
    if len(states) == 1 and states[0] not in (*OPEN, FiringState.DONE):
        # Said as it stands in the index, or SQLite does not use it.
        ended: ColumnElement[bool] = literal_column("firings.state NOT IN ('pending', 'running', 'done')")
        return _Way("ix_firings_ended", (firings.c.state == states[0], ended), sieve)
    return _Way("ix_firings_created", (), (*in_state, *sieve))


def counts(connection: Connection) -> dict[str, int]:
    """How many firings are in each state."""
    query = select(firings.c.state, func.count().label("n")).group_by(firings.c.state)
    return {row.state: row.n for row in connection.execute(query)}


def _with_events(connection: Connection, rows: Sequence[Row[Any]]) -> list[FiringRow]:
    links: dict[str, list[str]] = {row.id: [] for row in rows}
    ids = list(links)
    for start in range(0, len(ids), 500):
        query = select(firing_events).where(firing_events.c.firing_id.in_(ids[start : start + 500]))
        for link in connection.execute(query.order_by(firing_events.c.ordinal)):
            links[link.firing_id].append(link.event_key)
    return [_firing(row, tuple(links[row.id])) for row in rows]


def _firing(row: Row[Any], events: tuple[str, ...]) -> FiringRow:
    return FiringRow(
        id=row.id,
        sensor=row.sensor,
        trigger=row.trigger,
        key=row.key,
        events=events,
        action=row.action,
        created=row.created,
        depth=row.depth,
        state=FiringState(row.state),
        attempts=row.attempts,
        next_attempt=row.next_attempt,
        owner=row.owner,
        lease_until=row.lease_until,
        result=row.result,
        error=row.error,
        finished=row.finished,
        tracked=bool(row.tracked),
        priority=row.priority,
        ordered=bool(row.ordered),
    )
