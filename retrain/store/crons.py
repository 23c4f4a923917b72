"""What is remembered of CronWorkflows: how far each has come, and how its runs ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from retrain.store.rows import insert_new, values_of
from retrain.store.runs import OPEN
from retrain.store.tables import crons, runs

PARENT = "CronWorkflow/"
"""What `RunRow.parent` of a cron's run begins with; its namespace and its name follow."""


@dataclass(frozen=True, slots=True)
class CronRow:
    """One CronWorkflow. `since`: when it was first seen; ticks up to `looked` are dealt with, and the newest that
    became a run is `last_scheduled`. `phase`: Active, or Stopped by its stopStrategy. `message`: why its last tick
    became no run. `digest`: of its schedules, as they were when it was looked at. `suspended_by`: whoever has suspended
    it, whatever its document says. `skipped`: the newest tick that became no run, for the reason `skipped_why`."""

    namespace: str
    name: str
    since: datetime
    looked: datetime
    last_scheduled: datetime | None = None
    phase: str = "Active"
    succeeded: int = 0
    failed: int = 0
    message: str = ""
    digest: str = ""
    suspended_by: str | None = None
    skipped: datetime | None = None
    skipped_why: str = ""


_ONE = select(crons).where(crons.c.namespace == bindparam("in_namespace"), crons.c.name == bindparam("called"))


def get(connection: Connection, namespace: str, name: str) -> CronRow | None:
    """One cron; None if it was never seen."""
    row = connection.execute(_ONE, {"in_namespace": namespace, "called": name}).first()
    return _cron(row) if row else None


def called(connection: Connection, name: str) -> list[CronRow]:
    """Those of this name, in whatever namespace."""
    return [_cron(row) for row in connection.execute(select(crons).where(crons.c.name == name))]


def add(connection: Connection, row: CronRow) -> None:
    """Begin to remember a cron; one that is known stays as it was."""
    insert_new(connection, crons, [values_of(row)])


def move(connection: Connection, row: CronRow, **changes: Any) -> bool:
    """Change what is remembered; False (and nothing changed) if somebody else has dealt with its ticks meanwhile."""
    mine = (crons.c.namespace == row.namespace, crons.c.name == row.name, crons.c.looked == row.looked)
    return connection.execute(update(crons).where(*mine).values(**changes)).rowcount == 1


def suspend(connection: Connection, namespace: str, name: str, by: str | None) -> bool:
    """Note who has suspended a cron; None: nobody any more. False if that is so already, or there is no such cron."""
    mine = (crons.c.namespace == namespace, crons.c.name == name)
    before = crons.c.suspended_by.is_not(None) if by is None else crons.c.suspended_by.is_(None)
    return connection.execute(update(crons).where(*mine, before).values(suspended_by=by)).rowcount == 1


def count(connection: Connection, parent: str | None, *, succeeded: bool) -> bool:
    """Count the end of a run, if it is a cron's; whether it is."""
    if parent is None or not parent.startswith(PARENT):
        return False
    namespace, _, name = parent.removeprefix(PARENT).partition("/")
    column = crons.c.succeeded if succeeded else crons.c.failed
    mine = (crons.c.namespace == namespace, crons.c.name == name)
    connection.execute(update(crons).where(*mine).values({column: column + 1}))
    return True


@dataclass(frozen=True, slots=True)
class CronRun:
    """A run of a cron, without what it runs."""

    id: str
    name: str
    phase: str
    created: datetime
    parent: str


_RUNS = select(runs.c.id, runs.c.name, runs.c.phase, runs.c.created, runs.c.parent)


def active(connection: Connection, parent: str | None = None) -> list[CronRun]:
    """The runs of a cron that are not over, oldest first; those of all crons if none is said."""
    mine = runs.c.parent.startswith(PARENT) if parent is None else runs.c.parent == parent
    query = _RUNS.where(mine, runs.c.phase.in_(OPEN)).order_by(runs.c.created, runs.c.id)
    return [CronRun(*row) for row in connection.execute(query)]


def newest(connection: Connection, parent: str, most: int) -> list[CronRun]:
    """The newest runs of a cron."""
    query = _RUNS.where(runs.c.parent == parent).order_by(runs.c.created.desc(), runs.c.id.desc())
    return [CronRun(*row) for row in connection.execute(query.limit(most))]


def listing(connection: Connection) -> list[CronRow]:
    """All that were ever seen."""
    return [_cron(row) for row in connection.execute(select(crons).order_by(crons.c.namespace, crons.c.name))]


def let_expire(connection: Connection, parent: str, kept: tuple[int, int], now: datetime) -> int:
    """Let the runs of a cron go that are more than are `kept` of those that succeeded and that failed; how many."""
    gone: list[str] = []
    for most, ended in zip(kept, (runs.c.phase == "Succeeded", runs.c.phase.in_(("Failed", "Error"))), strict=True):
        query = select(runs.c.id, runs.c.expires).where(runs.c.parent == parent, ended)
        rows = connection.execute(query.order_by(runs.c.created.desc(), runs.c.id.desc())).all()
        gone += [row.id for row in rows[max(0, most) :] if row.expires is None or row.expires > now]
    if gone:
        connection.execute(update(runs).where(runs.c.id.in_(gone)).values(expires=now))
    return len(gone)


def _cron(row: Row[Any]) -> CronRow:
    return CronRow(**{name: getattr(row, name) for name in CronRow.__dataclass_fields__})
