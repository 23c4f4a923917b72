"""The loop from the log to firings: one reader of the bus for all sensors, one transaction for each batch.

That transaction holds the events, the decisions, the sensors' changed cells, the firings, the events that the sensors
tell themselves, and the cursor. So a crash at any moment replays the batch as if it had never begun, and nothing is
decided twice. Timers are part of the same order (batch.py says how); at the end of the log they happen by the clock.
A sensor that begins in the past reads it on its own, in turns with the live batches, and joins them when it has caught
up. One that is suspended keeps its place, and reads on from there later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import anyio
import structlog
from anyio.abc import TaskStatus
from sqlalchemy import Connection

from retrain import faults
from retrain.bus import Bus, Record
from retrain.clock import Clock
from retrain.errors import ConfigError, NotFound, RetrainError, Transient
from retrain.store import Store, cells, cursors, outbox
from retrain.store import sensors as memories
from retrain.store.cells import LIVE, PAST
from retrain.store.cursors import Place as Cursor
from retrain.store.firings import FiringRow
from sensors.core.step import Sensor
from sensors.host.adopting import Newcomer, Standing, admit
from sensors.host.batch import Batch, Place
from sensors.host.ledger import CURSOR, Decided, Ledger, Readers, take_cursor
from sensors.host.memory import Memory
from sensors.host.patience import Moved, Patience
from sensors.host.reconciling import find_over, let_go
from sensors.host.settings import HostSettings, HostState
from sensors.host.sink import Sink, StoreSink
from sensors.host.starting import Reached, check_log, newcomer
from sensors.host.upkeep import Upkeep

log = structlog.get_logger()

GRACE_S = 10.0
"""How long a shutdown waits for the transaction in hand."""

END_S = 1.0
"""Seconds between looks whether the log is read to its end, after the start."""

SMALL = 16
"""Records of a batch that is decided inside the transaction that writes it down."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What a batch left in the store."""

    decided: Decided
    fresh: list[FiringRow]
    cursor: Cursor
    next_due: datetime | None


class SensorHost:
    """Runs sensors over the log."""

    def __init__(
        self,
        bus: Bus,
        store: Store,
        clock: Clock,
        sensors: Iterable[Sensor],
        *,
        sink: Sink | None = None,
        settings: HostSettings | None = None,
    ) -> None:
        """Hand in the parts.

        Raises:
            ConfigError: two sensors have one name.
        """
        self._bus = bus
        self._store = store
        self.clock = clock
        self._settings = settings or HostSettings()
        self._wanted = _by_name(sensors)
        self._memory = Memory(self._settings.cells)
        self.ledger = Ledger(
            store, clock, sink or StoreSink(store, clock), memory=self._memory, max_depth=self._settings.max_depth
        )
        self.upkeep = Upkeep(store, clock, self._settings.keep, self._expire)
        self._live = Readers(LIVE)
        self._past = Readers(PAST)
        self._still: dict[str, Place] = {}
        self._cursor = Cursor(0, None, 0)
        self._running = False
        self._patience = Patience(self._settings.backoff_s, self._settings.max_backoff_s)
        # One batch at a time, live or of the past: a sensor joins between two of them.
        self._turn = anyio.Lock()
        self._more_past = anyio.Event()
        self._timers_changed = anyio.Event()

    # --- from outside ---

    def state(self) -> HostState:
        """How it is."""
        waits = self._patience.waiting_for
        return HostState(
            waits is None, waits, self._cursor.position, tuple(self._past.places), tuple(self._still), self._live.now
        )

    @property
    def cells_at_hand(self) -> int:
        """How many cells are in memory."""
        return len(self._memory)

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """How many cells of each kind each sensor has."""
        return self._memory.counts

    def sensor(self, name: str) -> Sensor:
        """A sensor that runs here.

        Raises:
            NotFound: there is none of that name.
        """
        found = self._wanted.get(name)
        if found is None:
            raise NotFound(f"{name}: no such sensor runs here")
        return found

    async def apply(self, sensors: Iterable[Sensor]) -> None:
        """Run these sensors from now on. Those that did not change are not touched; those that did keep what they had
        in mind, as far as it still has a meaning.

        Raises:
            ConfigError: two of them have one name. Nothing has changed.
            Transient: the bus or the store cannot be used now. Nothing has changed.
        """
        wanted = _by_name(sensors)
        async with self._turn:
            if not self._running:
                self._wanted = wanted
                return
            known = self._wanted
            gone = [name for name in known if name not in wanted]
            new = [one for name, one in wanted.items() if name not in known or known[name].digest != one.digest]
            kept = {name: known[name] for name in wanted if name in known}
            await self._admit(new, gone)
            self._wanted = {name: kept.get(name, one) for name, one in wanted.items()} | _by_name(new)
        self._more_past.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read, decide and write until cancelled; the transaction in hand is finished then.

        Says `started` once its place in the log is written down: what is published from then on is not missed.

        Raises:
            ConfigError: the log is not the one that was read before.
        """
        await self._admit_all()
        self._running = True
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._read_past)
                group.start_soon(self._run_timers)
                group.start_soon(self._reconcile)
                group.start_soon(self.upkeep.run)
                task_status.started()
                await self._read_on()
        finally:
            self._running = False

    # --- who runs, from where ---

    async def _admit_all(self) -> None:
        async def attempt() -> None:
            async with self._turn:
                await self._admit(list(self._wanted.values()), None)

        await self._patience.insist("the log", attempt)

    async def _admit(self, sensors: Sequence[Sensor], gone: Sequence[str] | None) -> None:
        """Take sensors in, and `gone` ones out. None: these are all there are, and nothing is in memory yet."""
        wall, first = self.clock.now(), gone is None
        bounds = await self._bus.bounds()
        names = [sensor.name for sensor in sensors]
        cursor, rows = await self._store.read(
            lambda c: (cursors.place(c, CURSOR), memories.load(c) if first else memories.get_many(c, names))
        )
        reached = bounds.last if cursor is None else cursor.position
        check_log(bounds, reached)
        here = Reached(reached, bounds, cursor.now if cursor is not None else None, wall)
        newcomers = [await newcomer(self._bus, one, rows.get(one.name), here) for one in sensors]
        news = [one for one in newcomers if one.is_news]
        if gone is None:
            gone = [name for name, row in rows.items() if row.removed is None and name not in self._wanted]

        def write(connection: Connection) -> tuple[Cursor, Batch, list[FiringRow], Mapping[str, Mapping[str, int]]]:
            moved = take_cursor(connection, cursor, reached, changed=bool(news or gone))
            setting = self.ledger.setting(connection, moved.now, wall, ())
            admitted = admit(connection, news, setting)
            for name in gone:
                cells.retire(connection, name, wall, parts=None)
            memories.mark_removed(connection, gone, wall)
            fresh = self.ledger.write_down(connection, admitted.batch)
            return moved, admitted.batch, fresh, cells.counts(connection) if first else admitted.counts

        moved, batch, fresh, counts = await self._store.write(write)
        self._cursor = moved
        self._place(newcomers, gone, first=first)
        self._remember([one.sensor.name for one in (newcomers if first else news)], gone, counts, first=first)
        await self._look_for_timers()
        self.ledger.committed(batch, fresh)
        behind, still = len(self._past.places), len(self._still)
        log.info(
            "sensors.applied", changed=len(news), removed=len(gone), behind=behind, suspended=still, position=reached
        )

    def _place(self, newcomers: Iterable[Newcomer], gone: Iterable[str], *, first: bool) -> None:
        if first:
            self._live, self._past, self._still = Readers(LIVE, self._cursor.now), Readers(PAST), {}
        for name in [*gone, *(one.sensor.name for one in newcomers)]:
            self._live.remove(name)
            self._past.remove(name)
            self._still.pop(name, None)
        nows: list[datetime] = [] if self._past.now is None else [self._past.now]
        for one in newcomers:
            match one.standing:
                case Standing.LIVE:
                    self._live.add(one.place)
                case Standing.PAST:
                    self._past.add(one.place)
                    nows.append(one.now)
                case Standing.STILL:
                    self._still[one.sensor.name] = one.place
        self._past.now = min(nows, default=None)

    def _remember(
        self, names: Iterable[str], gone: Iterable[str], counts: Mapping[str, Mapping[str, int]], *, first: bool
    ) -> None:
        memory = self._memory
        if first:
            memory.clear()
        for name in [*gone, *names]:
            memory.recount(name, counts.get(name, {}), known=not first)

    async def _look_for_timers(self) -> None:
        found = await self._store.read(lambda c: [cells.next_due(c, readers.timeline) for readers in self._groups])
        for readers, due in zip(self._groups, found, strict=True):
            readers.next_due = due
        self._timers_changed.set()

    @property
    def _groups(self) -> tuple[Readers, Readers]:
        return self._live, self._past

    # --- the live end of the log ---

    async def _read_on(self) -> None:
        delay_s: float | None = None
        while True:
            try:
                async with self._bus.tail(self._cursor.position, limit=self._settings.batch) as batches:
                    self._patience.waiting_for = None
                    async for records in batches:
                        await self._take(records)
                        delay_s = None
            except Moved:
                await self._start_over()
            except Transient as error:
                delay_s = await self._patience.back_off("the bus", error, delay_s)

    async def _start_over(self) -> None:
        log.warning("sensors.moved", position=self._cursor.position)
        await self._admit_all()

    async def _take(self, records: Sequence[Record]) -> None:
        async with self._turn:
            rest = [record for record in records if record.position > self._cursor.position]
            while rest:
                rest = rest[await self._run_live(rest, None) :]

    async def _run_live(self, records: Sequence[Record], until: datetime | None) -> int:
        """Decide and write a batch at the live end; how many of the records are part of it."""
        decide_on = self.ledger.decide(records, until, self._live)
        try:
            written = await self._write_live(decide_on, small=until is None and len(records) <= SMALL)
        # One event whose rows cannot be written must not stop all others, at every start again.
        except Exception as error:
            if isinstance(error, RetrainError) or not records:
                raise
            log.exception("sensors.not_written", records=len(records), position=records[0].position)
            return await self._run_apart(records, error)
        return written.decided.batch.taken

    async def _run_apart(self, records: Sequence[Record], error: Exception) -> int:
        """A batch that cannot be written: half of it. A single event is kept as a dead letter; no sensor takes it."""
        if len(records) > 1:
            return await self._run_live(records[: len(records) // 2], None)
        why = f"what came of it could not be written down: {type(error).__name__}"
        decide_on = self.ledger.decide(records, None, self._live, poison=why)
        return (await self._write_live(decide_on, small=False)).decided.batch.taken

    async def _write_live(self, decide_on: Callable[[Connection], Decided], *, small: bool) -> _Written:
        decided = await self._decided(decide_on, small=small)
        cursor, live = self._cursor, self._live

        def write(connection: Connection) -> _Written:
            one = decided(connection)
            batch = one.batch
            # How far the others are, the cursor says.
            moved = cursors.move(connection, CURSOR, cursor, max(cursor.position, batch.position), batch.now)
            if moved is None:
                raise Moved("another process reads the log for the same sensors")
            return self._write_down(connection, one, moved, live)

        return await self._commit(write, live)

    async def _decided(
        self, decide_on: Callable[[Connection], Decided], *, small: bool
    ) -> Callable[[Connection], Decided]:
        """What gives the batch inside the transaction that writes it down.

        A small one is decided there: one change of threads less, which is what its event waits for. A large one is
        decided before, so that it does not hold the write lock.
        """
        if small:
            return decide_on
        one = await self._patience.insist("the store", lambda: self._store.read(decide_on))
        return lambda _: one

    # --- timers at the end of the log ---

    async def _run_timers(self) -> None:
        while True:
            self._timers_changed = anyio.Event()
            with anyio.move_on_after(self._until_due_s()):
                await self._timers_changed.wait()
            try:
                while self._is_due():
                    await self._patience.insist("the log", self._tick)
            except Moved:
                await self._start_over()

    def _until_due_s(self) -> float | None:
        due = self._live.next_due
        if due is None:
            return None
        return min(max(0.0, (due - self.clock.now()).total_seconds()), self._settings.clock_s)

    def _is_due(self) -> bool:
        return self._live.next_due is not None and self._live.next_due <= self.clock.now()

    async def _tick(self) -> None:
        """Let timers happen that are due by the clock, once the log is read to its end: what lies in it comes first."""
        # The time comes before the look at the log: what arrives from now on may be earlier than a later timer.
        position, until = self._cursor.position, self.clock.now()
        records = await self._bus.read(position, limit=self._settings.batch)
        if records:
            await self._take(records)
            return
        async with self._turn:
            if self._cursor.position == position:
                await self._run_live((), until)

    # --- keeping in order ---

    async def _reconcile(self) -> None:
        """Once, at the end of the log: firings that are over though nobody told it leave their lanes."""
        while True:
            try:
                if await self._patience.insist("the log", self._mend_lanes):
                    return
            except Moved:
                await self._start_over()
            await anyio.sleep(END_S)

    async def _mend_lanes(self) -> bool:
        """False if something of what ended may still be on its way here: it is no loss, and has a time of its own."""
        async with self._turn:
            names = [name for name, kinds in self._memory.counts.items() if kinds.get("lane")]
            over = await self._store.read(lambda c: None if outbox.pending(c, 1) else find_over(c, names))
            # In this order: what has ended by that look, and has left the outbox, is in the log by now.
            if over is None or await self._bus.read(self._cursor.position, limit=1):
                return False
            if over:
                log.warning("sensors.lanes_mended", lanes=len(over), firings=sum(map(len, over.values())))
                fill = partial(let_go, over=over, places=self._live.places, now=self._live.now or self.clock.now())
                await self._write_live(self.ledger.work(fill, self._live), small=False)
            return True

    async def _expire(self, most: int) -> int:
        """Delete cells whose end has come, by the time of the log."""
        async with self._turn:
            until = self._live.now
            if until is None:
                return 0
            names = await self._store.write(lambda c: cells.expire(c, until, most))
            for name in names:
                self._memory.drop(name)
                self._memory.count(name, -1)
            return len(names)

    # --- the past, for sensors that begin there ---

    async def _read_past(self) -> None:
        while True:
            while self._past.places:
                try:
                    await self._patience.insist("the past", self._take_past)
                except Moved:
                    await self._start_over()
            self._more_past = anyio.Event()
            if not self._past.places:
                await self._more_past.wait()

    async def _take_past(self) -> None:
        past = self._past
        if not past.places:
            return  # they were taken out while this was waiting
        after = min(place.position for place in past.places.values())
        records = await self._bus.read(after, limit=self._settings.batch)
        async with self._turn:
            if past is not self._past or min((p.position for p in past.places.values()), default=None) != after:
                return  # others came meanwhile, which begin elsewhere
            old = [record for record in records if record.position <= self._cursor.position]
            if old:
                await self._run_past(old)
            else:
                await self._join()

    async def _run_past(self, records: Sequence[Record]) -> None:
        past, cursor, wall = self._past, self._cursor, self.clock.now()
        decide_on = self.ledger.decide(records, None, past)
        one = await self._patience.insist("the store", lambda: self._store.read(decide_on))
        reached = one.batch.position
        # Each notes how far it is, also where nothing concerned it.
        moving = [name for name, place in past.places.items() if place.position < reached]

        def write(connection: Connection) -> _Written:
            moved = take_cursor(connection, cursor, cursor.position, changed=True)
            memories.move(connection, moving, reached, one.batch.now, wall)
            return self._write_down(connection, one, moved, past)

        await self._commit(write, past)
        for name in moving:
            past.places[name] = replace(past.places[name], position=reached)

    async def _join(self) -> None:
        """Nothing of the log lies between those that were behind and the cursor: from now on they read live."""
        joined, cursor, wall = list(self._past.places.values()), self._cursor, self.clock.now()
        names = [place.sensor.name for place in joined]

        def write(connection: Connection) -> Cursor:
            memories.join(connection, names, cursor.position, wall)
            cells.set_timeline(connection, names, LIVE)
            return take_cursor(connection, cursor, cursor.position, changed=True)

        self._cursor = await self._patience.insist("the store", lambda: self._store.write(write))
        for place in joined:
            self._live.add(replace(place, position=cursor.position))
        self._past = Readers(PAST)
        await self._look_for_timers()
        log.info("sensors.caught_up", sensors=sorted(names), position=cursor.position)

    # --- a batch ---

    def _write_down(self, connection: Connection, decided: Decided, moved: Cursor, readers: Readers) -> _Written:
        writing, batch = decided.writing, decided.batch
        writing.carry_out(connection)
        fresh = self.ledger.write_down(connection, batch)
        faults.point("host.before_commit")
        changed = writing.rows or writing.removed or batch.timers
        due = cells.next_due(connection, readers.timeline) if changed else readers.next_due
        return _Written(decided, fresh, moved, due)

    async def _commit(self, work: Callable[[Connection], _Written], readers: Readers) -> _Written:
        async def write() -> _Written:
            # A shutdown waits for it: whoever takes the firings should hear of them.
            with anyio.move_on_after(GRACE_S, shield=True):
                return await self._store.write(work)
            raise Transient(f"no answer within {GRACE_S:g} s")

        written = await self._patience.insist("the store", write)
        faults.point("host.after_commit")
        batch = written.decided.batch
        self._cursor = written.cursor
        self._memory.commit(written.decided.changes)
        readers.now = batch.now
        if written.next_due != readers.next_due:
            readers.next_due = written.next_due
            self._timers_changed.set()
        self.ledger.committed(batch, written.fresh)
        return written


def _by_name(sensors: Iterable[Sensor]) -> dict[str, Sensor]:
    found: dict[str, Sensor] = {}
    for sensor in sensors:
        if sensor.name in found:
            raise ConfigError(f"two sensors are named {sensor.name!r}; their states would mix")
        found[sensor.name] = sensor
    return found
