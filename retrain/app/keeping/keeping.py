"""Keeping the store small: what is older than the settings want goes, piece by piece, and its room is given back.

Runs are deleted by `pipelines.host.retention`, decisions and what sensors have in mind by `sensors.host.upkeep`. Here
goes the rest: firings first, then the events that nothing refers to any more, letters, the audit, remembered outputs.
What led to a promotion stays as long as the promotion, and promotions stay: they say what must not be done again.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskStatus
from sqlalchemy import Connection

from retrain.app.settings import StoreGroup
from retrain.clock import Clock
from retrain.errors import Transient
from retrain.log import get_logger
from retrain.store import Store, forgetting, memos

T = TypeVar("T")

EVERY_S = 1800.0
PIECE = 100
"""Rows of one transaction: some milliseconds."""
LOOKED_AT = 500
"""Rows of one look at what may go."""
REST = 3.0
"""Pauses are so many times as long as the piece before them took: others write then."""
SLACK = 0.1
"""Part of the file that may be empty: what comes next needs room as well."""
PAGES = 64
"""Pages that are given back in one transaction, at 4 KiB each."""

log = get_logger()


@dataclass(frozen=True, slots=True)
class Keep:
    """How long things are kept; None: for ever."""

    events: timedelta | None = timedelta(days=365)
    firings: timedelta | None = timedelta(days=365)
    deadletters: timedelta | None = timedelta(days=365)
    audit: timedelta | None = None
    memos: timedelta | None = timedelta(days=90)

    @classmethod
    def of(cls, settings: StoreGroup) -> Keep:
        """As the settings say."""
        names = cls.__dataclass_fields__
        return cls(**{name: _days(getattr(settings, f"{name}_days")) for name in names})


class Keeping:
    """Deletes what is old. One of several processes on a store is enough; more of them find nothing left."""

    name = "keeping"

    def __init__(self, store: Store, clock: Clock, keep: Keep, *, rest: float = REST) -> None:
        self._store = store
        self._clock = clock
        self._keep = keep
        self._rest = rest
        self.trouble: str | None = None
        """Why the last round was not finished."""

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Make a round now and then until cancelled."""
        task_status.started()
        while True:
            try:
                gone = await self.round()
                self.trouble = None
                if any(gone.values()):
                    log.info("store.kept_small", **gone)
            except Transient as error:
                self.trouble = str(error)
                log.warning("store.not_kept_small", reason=self.trouble)
            await anyio.sleep(EVERY_S)

    async def round(self) -> Mapping[str, int]:
        """Delete all that may go; how many of each, and how many pages of the file were given back.

        Raises:
            Transient: the store cannot be used now. What is gone is gone.
        """
        now, keep = self._clock.now(), self._keep
        letters = await self._rows(forgetting.forget_deadletters, now, keep.deadletters)
        return {
            "deadletters": letters,
            "firings": await self._firings(now - keep.firings) if keep.firings else 0,
            "events": await self._events(now - keep.events) if keep.events else 0,
            "audit": await self._rows(forgetting.forget_deeds, now, keep.audit),
            "memos": await self._write(partial(memos.forget, unused_since=now - keep.memos)) if keep.memos else 0,
            "pages": await self._pages(),
        }

    async def _firings(self, before: datetime) -> int:
        gone, after, more = 0, None, True
        while more:
            mark, old = await self._store.read(partial(_marked, before=before, after=after))
            for piece in _pieces(old.ids):
                gone += await self._write(partial(_unless_promoted, mark, piece))
            after, more = old.next, old.next is not None
        return gone

    async def _events(self, before: datetime) -> int:
        end = await self._store.read(partial(forgetting.end_of_events, before=before))
        gone, after, waited = 0, 0, None
        while after is not None:
            look = partial(forgetting.old_events, end=end, after=after, most=LOOKED_AT)
            keys, after = await self._store.read(look)
            if keys and waited is None:
                waited = await self._store.read(partial(forgetting.waited_for, before=before))
            for piece in _pieces([key for key in keys if key not in (waited or ())]):
                gone += await self._write(partial(forgetting.forget_events, keys=piece))
        return gone

    async def _rows(self, forget: Callable[..., int], now: datetime, keep: timedelta | None) -> int:
        if keep is None:
            return 0
        return await self._drain(lambda: self._write(partial(forget, before=now - keep, most=PIECE)))

    async def _pages(self) -> int:
        """Give back what is empty beyond the slack."""
        found = await self._store.read(forgetting.pages)
        left = found.free - int(found.all * SLACK) if found.shrinks else 0
        gone = 0
        while left > 0 and (some := await self._write(partial(forgetting.give_back, most=min(left, PAGES)))) > 0:
            gone, left = gone + some, left - some
        return gone

    async def _drain(self, piece: Callable[[], Awaitable[int]]) -> int:
        gone = 0
        while (more := await piece()) > 0:
            gone += more
        return gone

    async def _write(self, work: Callable[[Connection], T]) -> T:
        begin = time.monotonic()
        done = await self._store.write(work)
        await anyio.sleep((time.monotonic() - begin) * self._rest)
        return done


def _marked(
    connection: Connection, before: datetime, after: tuple[Any, ...] | None
) -> tuple[tuple[Any, ...], forgetting.Old]:
    mark = forgetting.promotions_mark(connection)
    return mark, forgetting.old_firings(connection, before, after, LOOKED_AT)


def _unless_promoted(mark: tuple[Any, ...], ids: list[str], connection: Connection) -> int:
    """Delete these firings, unless a promotion came meanwhile, perhaps of one of them: the next round will know."""
    return forgetting.forget_firings(connection, ids) if forgetting.promotions_mark(connection) == mark else 0


def _pieces(ids: list[str]) -> list[list[str]]:
    return [ids[at : at + PIECE] for at in range(0, len(ids), PIECE)]


def _days(days: int) -> timedelta | None:
    return timedelta(days=days) if days else None
