"""What sensors have done: firings as they come and as they end, read from the store in passing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select, tuple_

from retrain.store import Store
from retrain.store.firings import OPEN
from retrain.store.tables import firings

MANY = 500
"""Firings of one page."""
PAGES = 20
"""Pages of one look; more are seen at the next."""
BACK = timedelta(seconds=2)
"""How far back a look goes once more: firings of one moment are not written in the order of their times."""
MOST_OPEN = 2000

_COLUMNS = (
    *(firings.c.id, firings.c.sensor, firings.c.trigger, firings.c.state, firings.c.result, firings.c.error),
    *(firings.c.created, firings.c.finished, firings.c.attempts),
)
_NEW = (
    select(*_COLUMNS)
    .where(
        tuple_(firings.c.created, firings.c.id)
        > tuple_(bindparam("after", type_=firings.c.created.type), bindparam("id"))
    )
    .order_by(firings.c.created, firings.c.id)
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
    """Firings, followed. `last`: of each sensor the newest. `since`: the time of the newest that was seen; with an id
    in `_at` that is where the next look goes on, for more were there than one look takes."""

    store: Store
    since: datetime
    last: dict[str, LastFiring] = field(default_factory=dict[str, LastFiring])
    _at: str = ""
    _asked: set[str] = field(default_factory=set[str])
    _open: dict[str, str] = field(default_factory=dict[str, str])
    _seen: dict[str, datetime] = field(default_factory=dict[str, datetime])

    async def look(self, sensors: Iterable[str]) -> list[LastFiring]:
        """Firings that have ended, or have failed once more, since the last look."""
        new = [name for name in sensors if name not in self._asked]
        open_ids = list(self._open)

        def read(connection: Connection) -> tuple[list[LastFiring], list[LastFiring], list[LastFiring]]:
            fresh = list(self._fresh(connection))
            known = [_of(row) for row in connection.execute(_THESE, {"ids": open_ids})] if open_ids else []
            rows = (connection.execute(_LAST, {"sensor": name}).first() for name in new)
            return fresh, known, [_of(row) for row in rows if row is not None]

        fresh, known, older = await self.store.read(read)
        self._asked.update(new)
        for one in older:
            self.last[one.sensor] = one
            if one.open:
                self._open[one.id] = one.error
        told = [one for one in fresh if one.id not in self._seen and self._take(one)]
        self.since = max([self.since, *(one.created for one in fresh)])
        self._at = fresh[-1].id if len(fresh) == MANY * PAGES else ""
        told += [one for one in known if self._again(one)]
        self._forget()
        return told

    def _fresh(self, connection: Connection) -> Iterator[LastFiring]:
        """What has come, page by page: those of one moment may be more than a page."""
        after, id_ = (self.since, self._at) if self._at else (self.since - BACK, "")
        for _ in range(PAGES):
            page = [_of(row) for row in connection.execute(_NEW, {"after": after, "id": id_})]
            yield from page
            if len(page) < MANY:
                return
            after, id_ = page[-1].created, page[-1].id

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
