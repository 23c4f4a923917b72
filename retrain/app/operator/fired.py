"""What sensors have done: firings as they come and as they end, read from the store in passing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select

from retrain.store import Store
from retrain.store.firings import OPEN
from retrain.store.tables import firings

MANY = 500
"""Firings of one look; more are seen at the next."""
BACK = timedelta(seconds=2)
"""How far back a look goes once more: firings of one moment are not written in the order of their times."""
MOST_OPEN = 2000

_COLUMNS = (
    *(firings.c.id, firings.c.sensor, firings.c.trigger, firings.c.state, firings.c.result, firings.c.error),
    *(firings.c.created, firings.c.finished, firings.c.attempts),
)
_NEW = (
    select(*_COLUMNS)
    .where(firings.c.created > bindparam("after", type_=firings.c.created.type))
    .order_by(firings.c.created)
    .limit(MANY)
)
_THESE = select(*_COLUMNS).where(firings.c.id.in_(bindparam("ids", expanding=True)))
_LAST = select(*_COLUMNS).where(firings.c.sensor == bindparam("sensor")).order_by(firings.c.created.desc()).limit(1)


@dataclass(frozen=True, slots=True)
class LastFiring:
    """A firing for people. `time`: when it ended, else when it came. `result`: what came of it, in words."""

    id: str
    sensor: str
    trigger: str
    state: str
    created: datetime
    time: datetime
    result: str = ""
    error: str = ""
    attempts: int = 0

    @property
    def open(self) -> bool:
        return self.state in OPEN


@dataclass(slots=True)
class Fired:
    """Firings, followed. `last`: of each sensor the newest."""

    store: Store
    since: datetime
    last: dict[str, LastFiring] = field(default_factory=dict[str, LastFiring])
    _open: dict[str, str] = field(default_factory=dict[str, str])
    _seen: dict[str, datetime] = field(default_factory=dict[str, datetime])

    async def look(self, sensors: Iterable[str]) -> list[LastFiring]:
        """Firings that have ended, or have failed once more, since the last look."""
        new = [name for name in sensors if name not in self.last]
        open_ids = list(self._open)

        def read(connection: Connection) -> tuple[list[LastFiring], list[LastFiring], list[LastFiring]]:
            fresh = [_of(row) for row in connection.execute(_NEW, {"after": self.since - BACK})]
            known = [_of(row) for row in connection.execute(_THESE, {"ids": open_ids})] if open_ids else []
            rows = (connection.execute(_LAST, {"sensor": name}).first() for name in new)
            return fresh, known, [_of(row) for row in rows if row is not None]

        fresh, known, older = await self.store.read(read)
        for one in older:
            self.last[one.sensor] = one
            if one.open:
                self._open[one.id] = one.error
        told = [one for one in fresh if one.id not in self._seen and self._take(one)]
        self.since = max([self.since, *(one.created for one in fresh)])
        told += [one for one in known if self._again(one)]
        self._forget()
        return told

    def _take(self, one: LastFiring) -> bool:
        self._seen[one.id] = one.created
        self.last[one.sensor] = one
        if one.open and len(self._open) < MOST_OPEN:
            self._open[one.id] = one.error
        return not one.open or bool(one.error)

    def _again(self, one: LastFiring) -> bool:
        """A firing that was open; whether there is something to tell."""
        if self.last.get(one.sensor, one).id == one.id:
            self.last[one.sensor] = one
        if not one.open:
            self._open.pop(one.id, None)
            return True
        before, self._open[one.id] = self._open[one.id], one.error
        return bool(one.error) and one.error != before

    def _forget(self) -> None:
        for id_, time in list(self._seen.items()):
            if time < self.since - 2 * BACK:
                del self._seen[id_]


def _of(row: Any) -> LastFiring:
    return LastFiring(
        row.id,
        row.sensor,
        row.trigger,
        row.state,
        row.created,
        row.finished or row.created,
        result_in_words(row.result),
        row.error or "",
        row.attempts,
    )


def result_in_words(result: Any) -> str:
    """What an action gave, as far as it is a name: never a payload."""
    if not isinstance(result, dict):
        return ""
    named = ("kind", "name", "namespace", "run", "status", "promotion")
    return " ".join(f"{name} {result[name]}" for name in named if isinstance(result.get(name), str | int))
