"""Locks and memos on the store: across runs, restarts and processes.

A wish that waits is granted in the transaction of whoever gives the lock back. If that is another process, the one that
waits finds it at its next look.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import anyio
from sqlalchemy import Connection

from pipelines.core.happenings import LockNews, LockWish, Memo, MemoNews, MemoWish
from pipelines.host.keepers import Told
from pipelines.host.remembered import Known, MemoCheck, is_fresh, known_in, no_config_maps, nothing_missing
from retrain import faults
from retrain.clock import Clock
from retrain.errors import Transient
from retrain.log import get_logger
from retrain.store import Store, locks, memos
from retrain.store.locks import Blocked, Holder, Moment, Wish
from retrain.store.memos import MemoRow

POLL_S = 1.0
"""Seconds between two looks for what other processes have given."""
RETRY_S = 1.0
"""Seconds until a write is tried again that the store did not take."""
STALE_S = 120.0
"""Seconds that the locks of a run are kept after its lease ran out: its platform died, and will mostly come back."""

T = TypeVar("T")

log = get_logger()


@dataclass(frozen=True, slots=True)
class KeeperOptions:
    """`poll_s` and `stale_s`, see the constants; the defaults are for everybody but tests."""

    poll_s: float = POLL_S
    stale_s: float = STALE_S


class StoreKeepers:
    """`Keepers` on the store. Get one from `open_keepers`. A run must be in the store, claimed by its lease."""

    def __init__(
        self, store: Store, clock: Clock, check: MemoCheck, config_maps: Known, options: KeeperOptions
    ) -> None:
        self._store = store
        self._clock = clock
        self._check = check
        self._config_maps = config_maps
        self._options = options
        self._opened = clock.now()
        self._told: dict[str, Told] = {}
        self._asking: dict[Holder, int] = {}
        """Who is being asked for just now: a grant that comes first is the answer."""
        self._early: set[Holder] = set()
        self._waiting: set[Holder] = set()

    def watch(self, run_id: str, told: Told) -> None:
        self._told[run_id] = told

    def unwatch(self, run_id: str) -> None:
        self._told.pop(run_id, None)
        self._waiting = {one for one in self._waiting if one[0] != run_id}

    async def acquire(self, run_id: str, wish: LockWish) -> LockNews:
        me = (run_id, wish.holder)
        limits = {lock.name: lock.limit for lock in wish.locks}
        asked = Wish(run_id, wish.holder, limits, wish.priority, wish.created)
        self._asking[me] = self._asking.get(me, 0) + 1
        moment = self._moment()
        try:
            blocked, others = await self._patiently(lambda c: locks.ask(c, asked, moment))
            self._tell(others)
            return self._answer(me, blocked)
        finally:
            self._asking[me] -= 1
            if not self._asking[me]:
                del self._asking[me]
                self._early.discard(me)

    async def release(self, run_id: str, holders: Sequence[str]) -> None:
        if holders:
            self._waiting -= {(run_id, holder) for holder in holders}
            await self._give_back(run_id, list(holders))

    async def release_run(self, run_id: str) -> None:
        self._waiting = {one for one in self._waiting if one[0] != run_id}
        await self._give_back(run_id, None)

    async def look_up(self, wish: MemoWish) -> MemoNews:
        row = await self._patiently_read(lambda c: memos.get(c, wish.cache, wish.key))
        outputs, created = (row.outputs, row.created) if row else known_in(self._config_maps, wish)
        now = self._clock.now()
        if outputs is None or not is_fresh(wish, created, now) or not await self._check(outputs):
            return MemoNews(wish.node_id, None)
        if row is not None:
            await self._patiently(lambda c: memos.hit(c, wish.cache, wish.key, now))
        return MemoNews(wish.node_id, outputs)

    async def remember(self, memo: Memo) -> None:
        row = MemoRow(memo.cache, memo.key, memo.node_id, memo.outputs, self._clock.now())
        await self._patiently(lambda c: memos.put(c, row))
        faults.point("keepers.after_remember")

    async def look(self) -> None:
        """Tell those who wait here what other processes, or the death of a run, have given them."""
        if not self._waiting:
            return
        runs = sorted({run_id for run_id, _ in self._waiting})
        self._tell(await self._store.read(lambda c: locks.granted_of(c, runs)))
        names, moment = await self._store.read(lambda c: locks.names_of(c, runs)), self._moment()
        if names:
            self._tell(await self._patiently(lambda c: locks.grant(c, sorted(names), moment)))

    async def poll(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await anyio.sleep(self._options.poll_s)
            try:
                await self.look()
            except Transient as error:
                log.warning("keepers.store_away", reason=str(error))

    def _moment(self) -> Moment:
        now = self._clock.now()
        stale = timedelta(seconds=self._options.stale_s)
        # Who was away as long as we were may only be about to come back, as we have.
        return Moment(now, now - stale if now - self._opened > stale else None)

    async def _give_back(self, run_id: str, holders: Sequence[str] | None) -> None:
        moment = self._moment()
        self._tell(await self._patiently(lambda c: locks.release(c, run_id, holders, moment)))
        faults.point("keepers.after_release")

    def _answer(self, me: Holder, blocked: Blocked | None) -> LockNews:
        faults.point("keepers.after_acquire")
        if blocked is None or me in self._early:
            self._waiting.discard(me)
            return LockNews(me[1], granted=True)
        self._waiting.add(me)
        status = f"{blocked.free}/{blocked.limit}"
        return LockNews(me[1], granted=False, waiting_for=blocked.name, status=status)

    def _tell(self, granted: Sequence[Holder]) -> None:
        for one in granted:
            if one in self._asking:
                self._early.add(one)
            elif one in self._waiting:
                self._waiting.discard(one)
                if told := self._told.get(one[0]):
                    told(LockNews(one[1], granted=True))

    async def _patiently(self, work: Callable[[Connection], T]) -> T:
        while True:
            try:
                return await self._store.write(work)
            except Transient as error:
                await self._wait(error)

    async def _patiently_read(self, work: Callable[[Connection], T]) -> T:
        while True:
            try:
                return await self._store.read(work)
            except Transient as error:
                await self._wait(error)

    async def _wait(self, error: Transient) -> None:
        log.warning("keepers.store_away", reason=str(error), retry_in_s=RETRY_S)
        await anyio.sleep(RETRY_S)


@asynccontextmanager
async def open_keepers(
    store: Store,
    clock: Clock,
    check: MemoCheck = nothing_missing,
    config_maps: Known = no_config_maps,
    options: KeeperOptions | None = None,
) -> AsyncGenerator[StoreKeepers]:
    """The keepers of a platform. `check`: see `artifact_check`; `config_maps`: those that there are now."""
    keepers = StoreKeepers(store, clock, check, config_maps, options or KeeperOptions())
    async with anyio.create_task_group() as group:
        group.start_soon(keepers.poll)
        try:
            yield keepers
        finally:
            group.cancel_scope.cancel()
