"""The loop from firing to action: takes firings, lets their kinds act, writes down how it ended.

A firing is leased while it is in this process. It is acted on at least once: a crash between act and record acts again
with the same id, and kinds that only write to the store act in the transaction that records it, so exactly once. No
order is promised, not even among the firings of one sensor, except for those that are `ordered`: of one sensor,
trigger and key they act one after the other.

Two ways in. `enlist` and `offer`: the sensor host writes its firings as owned by this process already and hands them
over in memory, so that no query lies between decision and action. And the claim loop, for what waits in the store:
retries, redrives, firings of a process that died, and whatever did not fit into memory.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any, TypeVar

import anyio
import structlog
from anyio.abc import TaskGroup, TaskStatus
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from retrain import faults
from retrain.errors import Permanent, Transient
from retrain.store import Store, firings
from retrain.store.firings import FiringRow, FiringState
from retrain.telemetry import meters
from triggers.endings import stop_made, take_back, write_endings
from triggers.lanes import Lanes
from triggers.manifest_file import write_manifest
from triggers.port import Firing, Opener, PreparedTrigger, StoreTrigger, Tools, Trigger, firing_of
from triggers.saying import say
from triggers.settings import DispatchSettings
from triggers.verdicts import Verdict, failed, succeeded

T = TypeVar("T")
TOPIC = "firings"
"""The store's signal that firings wait to be claimed."""
STORE_AGAIN_S = 1.0
"""Seconds between tries while the store takes nothing (a full disk): what is in hand is kept until it does."""

RESULTS = {FiringState.DONE: "done", FiringState.DEAD: "dead"}

WRITERS = 4
"""Manifests that are written at once."""

log = structlog.get_logger()


class Dispatcher:
    """Acts on firings. `owner` names this process in leases: under the same name, a restart takes its own back."""

    name = "dispatcher"

    def __init__(
        self,
        store: Store,
        owner: str,
        kinds: Mapping[str, Opener],
        *,
        tools: Tools | None = None,
        settings: DispatchSettings | None = None,
    ) -> None:
        self._store = store
        self._owner = owner
        self._kinds = dict(kinds)
        self._tools = tools or Tools()
        self._clock = self._tools.clock
        self._settings = settings or DispatchSettings()
        self._batch = min(self._settings.batch, self._settings.held)
        self._acting: dict[str, Trigger] = {}
        self._storing: dict[str, StoreTrigger] = {}
        self._lanes = Lanes(self._settings.per_trigger, self._settings.in_all)
        self._held: set[str] = set()
        self._preparing: set[str] = set()
        self._unwanted: set[str] = set()
        self._writing = anyio.Semaphore(WRITERS)
        self._to_store: deque[Firing] = deque()
        self._to_record: list[Verdict] = []
        self._store_ready = anyio.Event()
        self._record_ready = anyio.Event()
        self._retries: list[datetime] = []
        self._wake_at = self._clock.now()
        self._more_waits = False
        self._taking = False
        self._group: TaskGroup | None = None
        self.ended: Counter[str] = Counter()
        """How many attempts ended how: by the state that they left the firing in."""

    # ---- the way in ----

    def enlist(self, connection: Connection, rows: Sequence[FiringRow]) -> list[FiringRow]:
        """Write firings down, in the caller's transaction, as this process's own as far as it has room.

        Returns those that are new: give them to `offer` once the transaction is committed. One whose id is known
        already stays as it was and is not among them. Runs on the writer thread.
        """
        fresh = firings.lined_up(connection, firings.unknown(connection, rows))
        room = self._room() if self._taking else 0
        ready = [row for row in fresh if row.state == FiringState.PENDING and row.next_attempt != firings.PARKED]
        first = {row.id for row in heapq.nlargest(room, ready, key=lambda row: row.priority)}
        owned: dict[str, Any] = {"state": FiringState.RUNNING, "owner": self._owner, "lease_until": self._lease()}
        written = [dataclasses.replace(row, **owned) if row.id in first else row for row in fresh]
        firings.add(connection, written)
        return written

    def cancel(self, connection: Connection, ids: Iterable[str]) -> tuple[str, ...]:
        """Take firings back, in the caller's transaction: those that are cancelled now. See `endings.take_back`.

        Call `offer` after the commit, also with nothing, so that others hear of it at once. Runs on the writer thread.
        """
        wanted = list(ids)
        # What is being prepared may be there already: it is recorded, and what it made is stopped then.
        unwanted = self._preparing.intersection(wanted)
        self._unwanted |= unwanted
        rest = [one for one in wanted if one not in unwanted]
        return take_back(connection, rest, self._clock.now(), self._storing)

    def offer(self, rows: Iterable[FiringRow]) -> None:
        """Act at once on what `enlist` returned. Call it after the commit, from the event loop."""
        mine: list[FiringRow] = []
        for row in rows:
            if row.owner == self._owner:
                mine.append(row)
            elif row.state == FiringState.PENDING and row.next_attempt != firings.PARKED:
                self._more_waits = True
        if mine:
            self._take(mine)
        else:
            self._notify(("runs", "outbox"))
        if self._more_waits:
            self._notify((TOPIC,))

    @property
    def held(self) -> int:
        """Firings in memory: waiting, acting, or being recorded."""
        return len(self._held)

    # ---- the loops ----

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled. Then what acts gets `grace_s` to end; the rest goes back to the store.

        Raises:
            Transient: the store could not be used at the start.
        """
        async with AsyncExitStack() as stack:
            await self._open_kinds(stack)
            await self._store.write(lambda c: firings.release(c, self._owner))
            async with anyio.create_task_group() as outer:
                with anyio.CancelScope(shield=True) as shelter:
                    async with anyio.create_task_group() as self._group:
                        self._taking = True
                        intake = anyio.CancelScope()
                        await outer.start(self._await_shutdown, intake, shelter)
                        self._group.start_soon(self._intake, intake)
                        self._group.start_soon(self._record_loop)
                        self._group.start_soon(self._store_loop)
                        task_status.started()
                await self._give_back()

    async def _await_shutdown(
        self, intake: anyio.CancelScope, shelter: anyio.CancelScope, *, task_status: TaskStatus[None]
    ) -> None:
        try:
            task_status.started()
            await anyio.sleep_forever()
        finally:
            self._taking = False
            self._lanes.clear()
            self._to_store.clear()
            shelter.deadline = anyio.current_time() + self._settings.grace_s
            intake.cancel()
            self._store_ready.set()
            self._record_ready.set()

    async def _give_back(self) -> None:
        self._group = None
        self._held.clear()
        with anyio.move_on_after(self._settings.grace_s, shield=True):
            try:
                await self._store.write(lambda c: firings.release(c, self._owner))
            except Transient as error:
                log.warning("dispatcher.not_released", error=str(error))  # the leases run out instead

    async def _open_kinds(self, stack: AsyncExitStack) -> None:
        for name, opener in self._kinds.items():
            kind = await stack.enter_async_context(opener(self._tools))
            if isinstance(kind, StoreTrigger):
                self._storing[name] = kind
            else:
                self._acting[name] = kind

    async def _intake(self, scope: anyio.CancelScope) -> None:
        with scope:
            async with anyio.create_task_group() as group:
                group.start_soon(self._claim_loop)
                group.start_soon(self._renew_loop)

    async def _claim_loop(self) -> None:
        while True:
            now = self._clock.now()
            if self._room() >= self._batch:
                rows = await self._claim(now)
                self._take(rows)
                # A full answer means that more may be there.
                self._more_waits = len(rows) == self._batch
            else:
                self._more_waits = True
            if not self._more_waits or self._room() < self._batch:
                await self._store.signals.wait(TOPIC, self._pause_s(now))

    async def _claim(self, now: datetime) -> list[FiringRow]:
        try:
            return await self._store.write(lambda c: firings.claim(c, self._owner, now, self._lease(), self._batch))
        except Transient as error:
            log.warning("dispatcher.store_away", error=str(error))
            await anyio.sleep(STORE_AGAIN_S)
            return []

    def _pause_s(self, claimed: datetime) -> float:
        """Until the next retry is due; at most `poll_s`, for other processes' firings make no signal here."""
        # Due at the claim, not due by now: one that came due meanwhile is still to be claimed.
        while self._retries and self._retries[0] <= claimed:
            heapq.heappop(self._retries)
        now = self._clock.now()
        self._wake_at = now + timedelta(seconds=self._settings.poll_s)
        if self._retries:
            self._wake_at = min(self._wake_at, self._retries[0])
        return max(0.0, (self._wake_at - now).total_seconds())

    async def _renew_loop(self) -> None:
        while True:
            await anyio.sleep(self._settings.lease_s / 3)
            held = list(self._held)
            if held:
                await self._write(lambda c, ids=held: firings.renew(c, self._owner, ids, self._lease()))

    # ---- acting ----

    def _take(self, rows: Iterable[FiringRow]) -> None:
        """Start what was claimed, as far as places are free."""
        for row in rows:
            # Held already: its lease ran out while this process slept, and it claimed the firing from itself.
            if row.id in self._held or not self._taking:
                continue
            firing = firing_of(row)
            self._held.add(firing.id)
            if firing.kind in self._storing:
                self._queue_to_store(firing)
            elif firing.kind in self._acting:
                self._lanes.push(firing)
            else:
                self._refuse(firing)
        self._start()

    def _start(self) -> None:
        if self._group is None:
            return
        while (firing := self._lanes.pop()) is not None:
            self._group.start_soon(self._act, firing)

    def _queue_to_store(self, firing: Firing) -> None:
        kind = self._storing[firing.kind]
        asks = isinstance(kind, PreparedTrigger) and kind.asks(firing)
        if (firing.manifest is not None or asks) and self._group is not None:
            self._group.start_soon(self._prepare, firing)
            return
        self._to_store.append(firing)
        self._store_ready.set()

    async def _prepare(self, firing: Firing) -> None:
        """Do what a firing needs that acts inside of a transaction, which must wait for no file and for no server."""
        try:
            async with self._writing:
                await write_manifest(self._store, self._tools.data, firing)
            firing = await self._prepared(firing)
        except Exception as error:  # noqa: BLE001 - as in `_act`
            self._preparing.discard(firing.id)
            self._record(failed(firing, firing.attempts + 1, error, self._clock.now()))
            return
        if self._taking:
            self._to_store.append(firing)
            self._store_ready.set()

    async def _prepared(self, firing: Firing) -> Firing:
        kind = self._storing[firing.kind]
        if not isinstance(kind, PreparedTrigger) or not kind.asks(firing):
            return firing
        self._preparing.add(firing.id)
        if await self._store.read(lambda c: firings.held(c, self._owner, [firing.id])):
            return await kind.prepare(firing)
        return firing  # it was cancelled before: whoever records it finds that out, too

    def _refuse(self, firing: Firing) -> None:
        known = ", ".join(sorted(self._kinds))
        error = Permanent(f"trigger kind {firing.kind!r} is not supported here; there are {known}")
        self._record(failed(firing, firing.attempts + 1, error, self._clock.now()))

    async def _act(self, firing: Firing) -> None:
        attempt = firing.attempts + 1
        try:
            await write_manifest(self._store, self._tools.data, firing)
            faults.point("trigger.before_act")
            result = await self._acting[firing.kind].fire(firing, attempt)
            faults.point("trigger.after_act")
            verdict = succeeded(firing, attempt, result, self._clock.now())
        except Exception as error:  # noqa: BLE001 - the one place where an act may fail; the others live on
            verdict = failed(firing, attempt, error, self._clock.now())
        self._lanes.finish(firing)
        self._record(verdict)
        self._start()

    async def _store_loop(self) -> None:
        while self._taking or self._to_store:
            await self._store_ready.wait()
            batch = [self._to_store.popleft() for _ in range(min(len(self._to_store), self._batch))]
            if not self._to_store and self._taking:
                self._store_ready = anyio.Event()
            if batch:
                await self._store_batch(batch)

    async def _store_batch(self, batch: list[Firing]) -> None:
        now = self._clock.now()
        faults.point("trigger.before_act")
        verdicts, topics = await self._write(lambda c: self._record_acts(c, batch, now))
        faults.point("trigger.after_act")
        self._notify({self._storing[firing.kind].topic for firing in batch} | topics)
        acted = {firing.id for firing in batch}
        self._held -= acted
        self._preparing -= acted
        self._unwanted -= acted
        self._recorded(verdicts)
        await say(self._store, verdicts)

    def _record_acts(
        self, connection: Connection, batch: Sequence[Firing], now: datetime
    ) -> tuple[list[Verdict], set[str]]:
        # One that was cancelled while it waited here must not act.
        held = firings.held(connection, self._owner, [firing.id for firing in batch])
        verdicts = [self._record_act(connection, firing, now) for firing in batch if firing.id in held]
        return verdicts, write_endings(connection, self._owner, verdicts, now)

    def _record_act(self, connection: Connection, firing: Firing, now: datetime) -> Verdict:
        attempt = firing.attempts + 1
        try:
            with connection.begin_nested():
                result = self._storing[firing.kind].record(connection, firing, now)
                if firing.id in self._unwanted:
                    stop_made(connection, firing.id)
        except OperationalError:
            raise  # the store's trouble, not this firing's: the whole batch waits for it
        except Exception as error:  # noqa: BLE001 - as in `_act`; the savepoint has undone what it wrote
            return failed(firing, attempt, error, now)
        return succeeded(firing, attempt, result, now)

    # ---- writing down ----

    def _record(self, verdict: Verdict) -> None:
        self._to_record.append(verdict)
        self._record_ready.set()

    async def _record_loop(self) -> None:
        # While one batch is on its way to the disk the next one gathers: the faster it goes, the larger they are.
        while self._taking or self._lanes.acting or self._to_record:
            await self._record_ready.wait()
            self._record_ready = anyio.Event()
            batch, self._to_record = self._to_record, []
            if batch:
                now = self._clock.now()
                self._notify(await self._write(lambda c, b=batch, n=now: write_endings(c, self._owner, b, n)))
                self._recorded(batch)
                await say(self._store, batch)

    def _recorded(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            one = verdict.settled
            self._held.discard(one.id)
            self.ended[one.state] += 1
            self._count(verdict)
            if one.next_attempt is not None:
                heapq.heappush(self._retries, one.next_attempt)
                if one.next_attempt < self._wake_at:
                    self._store.signals.notify(TOPIC)  # so that the claim loop waits less
        if self._more_waits and self._room() >= self._batch:
            self._store.signals.notify(TOPIC)

    def _count(self, verdict: Verdict) -> None:
        meters.ATTEMPTS.add(RESULTS.get(verdict.settled.state, "again"))
        if verdict.settled.state == FiringState.DONE and verdict.firing.created is not None:
            latency = self._clock.now() - verdict.firing.created
            meters.TRIGGER_SECONDS.observe(latency.total_seconds(), verdict.firing.kind)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        """A write that must not be lost: it waits for as long as the store takes nothing."""
        while True:
            try:
                return await self._store.write(work)
            except Transient as error:
                log.warning("dispatcher.store_away", error=str(error))
                await anyio.sleep(STORE_AGAIN_S)

    def _notify(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self._store.signals.notify(topic)

    def _room(self) -> int:
        return max(0, self._settings.held - len(self._held))

    def _lease(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self._settings.lease_s)
