"""Locks and memos of one process, for as long as it lives."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any

from pipelines.core.happenings import LockNews, LockWish, Memo, MemoNews, MemoWish
from pipelines.host.keepers import Told
from pipelines.host.remembered import Known, MemoCheck, is_fresh, known_in, no_config_maps, nothing_missing
from retrain.clock import Clock

Holder = tuple[str, str]
_Place = tuple[int, datetime, int, Holder]
"""Where one stands in a queue: priority (negative, so that the highest comes first), the workflow's age, his turn."""


@dataclass(slots=True)
class _Lock:
    limit: int = 1
    holders: set[Holder] = field(default_factory=set)
    queue: list[_Place] = field(default_factory=list)

    def add(self, place: _Place) -> None:
        insort(self.queue, place)

    def remove(self, place: _Place) -> None:
        at = bisect_left(self.queue, place)
        if at < len(self.queue) and self.queue[at] == place:
            del self.queue[at]


@dataclass(frozen=True, slots=True)
class _Wish:
    names: tuple[str, ...]
    place: _Place
    granted: bool = False


class MemoryKeepers:
    """`Keepers` in memory."""

    def __init__(self, clock: Clock, check: MemoCheck = nothing_missing, config_maps: Known = no_config_maps) -> None:
        """`check` says whether the artifacts of remembered outputs are there; see `pipelines.host.remembered`."""
        self._clock = clock
        self._check = check
        self._config_maps = config_maps
        self._locks: dict[str, _Lock] = {}
        self._wishes: dict[Holder, _Wish] = {}
        self._of_run: dict[str, set[str]] = {}
        self._told: dict[str, Told] = {}
        self._turns = count()
        self._memos: dict[tuple[str, str], tuple[Mapping[str, Any], datetime]] = {}

    def watch(self, run_id: str, told: Told) -> None:
        self._told[run_id] = told

    def unwatch(self, run_id: str) -> None:
        self._told.pop(run_id, None)

    async def acquire(self, run_id: str, wish: LockWish) -> LockNews:
        me = (run_id, wish.holder)
        names = tuple(dict.fromkeys(lock.name for lock in wish.locks))
        known = self._wishes.get(me)
        if known is not None and set(known.names) != set(names):
            self._tell(self._drop([me]))
            known = None
        for lock in wish.locks:
            self._locks.setdefault(lock.name, _Lock()).limit = lock.limit
        if known is None:
            place = (-wish.priority, wish.created, next(self._turns), me)
            self._wishes[me] = _Wish(names, place)
            self._of_run.setdefault(run_id, set()).add(wish.holder)
            for name in names:
                self._locks[name].add(place)
        self._tell([one for one in self._grant(names) if one != me])
        return self._news(me)

    async def release(self, run_id: str, holders: Sequence[str]) -> None:
        self._tell(self._drop([(run_id, holder) for holder in holders]))

    async def release_run(self, run_id: str) -> None:
        await self.release(run_id, sorted(self._of_run.get(run_id, ())))

    async def look_up(self, wish: MemoWish) -> MemoNews:
        outputs, created = self._memos.get((wish.cache, wish.key)) or known_in(self._config_maps, wish)
        if outputs is None or not is_fresh(wish, created, self._clock.now()) or not await self._check(outputs):
            return MemoNews(wish.node_id, None)
        return MemoNews(wish.node_id, outputs)

    async def remember(self, memo: Memo) -> None:
        self._memos[memo.cache, memo.key] = (memo.outputs, self._clock.now())

    def _news(self, me: Holder) -> LockNews:
        wish = self._wishes[me]
        if wish.granted:
            return LockNews(me[1], granted=True)
        for name in wish.names:
            lock = self._locks[name]
            free = max(0, lock.limit - len(lock.holders))
            if not free or lock.queue[0] != wish.place:
                return LockNews(me[1], granted=False, waiting_for=name, status=f"{free}/{lock.limit}")
        raise AssertionError("a wish whose locks are all free was not granted")

    def _grant(self, names: Sequence[str]) -> list[Holder]:
        """Serve the fronts of these queues; who got his locks."""
        granted: list[Holder] = []
        waiting = list(names)
        while waiting:
            lock = self._locks.get(waiting.pop())
            while lock is not None and lock.queue and self._is_next(front := lock.queue[0]):
                wish = self._wishes[front[3]]
                for name in wish.names:
                    self._locks[name].remove(front)
                    self._locks[name].holders.add(front[3])
                self._wishes[front[3]] = replace(wish, granted=True)
                granted.append(front[3])
                waiting += wish.names
        return granted

    def _is_next(self, place: _Place) -> bool:
        """Whether he is at the front of all his queues, and there is room in all of them."""
        locks = [self._locks[name] for name in self._wishes[place[3]].names]
        return all(lock.queue[0] == place and len(lock.holders) < lock.limit for lock in locks)

    def _drop(self, holders: Sequence[Holder]) -> list[Holder]:
        """Forget what these hold and wait for; who got locks by it."""
        names: dict[str, None] = {}
        for one in holders:
            if (wish := self._wishes.pop(one, None)) is None:
                continue
            for name in wish.names:
                self._locks[name].remove(wish.place)
                self._locks[name].holders.discard(one)
                names[name] = None
            of_run = self._of_run[one[0]]
            of_run.discard(one[1])
            if not of_run:
                del self._of_run[one[0]]
        granted = self._grant(list(names))
        for name in names:
            if not self._locks[name].holders and not self._locks[name].queue:
                del self._locks[name]
        return granted

    def _tell(self, granted: Sequence[Holder]) -> None:
        for run_id, holder in granted:
            if told := self._told.get(run_id):
                told(LockNews(holder, granted=True))
