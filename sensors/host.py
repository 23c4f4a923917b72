"""The loop from the log to firings: one reader of the bus for all sensors, one transaction for each batch.

That transaction holds the events, the decisions, the sensors' states, the firings and the cursor. So a crash at any
moment replays the batch as if it had never begun, and nothing is decided twice. A sensor that begins at the log's
start reads the past on its own, in turns with the live batches, and joins them when it has caught up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, cast

import anyio
import structlog
from anyio.abc import TaskStatus
from sqlalchemy import Connection

from retrain import faults
from retrain.bus import Bounds, Bus, Record
from retrain.clock import Clock
from retrain.errors import ConfigError, NotFound, Transient
from retrain.events import Event, EventKey
from retrain.store import Store, cursors, deadletters, decisions, events, firings
from retrain.store import sensors as memories
from retrain.store.firings import FiringRow
from retrain.store.sensors import SensorRow
from sensors.batch import Batch, Index, Place, Setting, decide, index_of
from sensors.step import Sensor, Waiting

log = structlog.get_logger()

CURSOR = "sensors"
TOPIC = "firings"
GRACE_S = 10.0
"""How long a shutdown waits for the transaction in hand."""

SMALL = 16
"""Records of a batch that is decided inside the transaction that writes it down."""

T = TypeVar("T")
_Written = tuple[list[FiringRow], dict[str, Place]]
"""What a batch left: the new firings, and where the sensors stand now."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """`batch`: records of one transaction at most. `max_depth`: of lineage, where a loop of events is cut."""

    batch: int = 500
    max_depth: int = 16
    backoff_s: float = 0.1
    max_backoff_s: float = 5.0


@dataclass(frozen=True, slots=True)
class HostState:
    """For `/readyz`: what is waited for, None if it works. `behind`: sensors that still read the past."""

    ready: bool
    waiting_for: str | None
    position: int
    behind: tuple[str, ...] = ()


class Sink(Protocol):
    """Who takes the firings. `triggers.Dispatcher` is one: it acts on them without waiting for its next look."""

    def enlist(self, connection: Connection, rows: Sequence[FiringRow]) -> list[FiringRow]:
        """Write the firings down in this transaction; those that are new."""
        ...

    def offer(self, rows: Iterable[FiringRow]) -> None:
        """They are committed."""
        ...


class StoreSink:
    """Leaves the firings in the store, and wakes whoever waits for them there."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def enlist(self, connection: Connection, rows: Sequence[FiringRow]) -> list[FiringRow]:
        fresh = firings.unknown(connection, rows)
        firings.add(connection, fresh)
        return fresh

    def offer(self, rows: Iterable[FiringRow]) -> None:
        if any(True for _ in rows):
            self._store.signals.notify(TOPIC)


class _Moved(Transient):
    """Another host has moved the cursor: what this one has in memory is old."""


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
        self._clock = clock
        self._sink = sink or StoreSink(store)
        self._settings = settings or HostSettings()
        self._wanted = _by_name(sensors)
        self._places: dict[str, Place] = {}
        self._behind: dict[str, Place] = {}
        self._index: Index = {}
        self._cursor = 0
        self._running = False
        self._waiting_for: str | None = "its start"
        # One batch at a time, live or of the past: a sensor joins between two of them.
        self._turn = anyio.Lock()
        self._more_past = anyio.Event()

    # --- from outside ---

    def state(self) -> HostState:
        """How it is."""
        return HostState(self._waiting_for is None, self._waiting_for, self._cursor, tuple(self._behind))

    def waiting(self, name: str) -> list[Waiting]:
        """What a sensor waits for.

        Raises:
            NotFound: it does not run here.
        """
        place = self._places.get(name) or self._behind.get(name)
        if place is None:
            raise NotFound(f"{name}: no such sensor runs here")
        return place.sensor.waiting(place.state)

    async def apply(self, sensors: Iterable[Sensor]) -> None:
        """Run these sensors from now on. Those that were there before go on from their place and state.

        Raises:
            ConfigError: two of them have one name. Nothing has changed.
            Transient: the bus or the store cannot be used now. Nothing has changed.
        """
        wanted = _by_name(sensors)
        if not self._running:
            self._wanted = wanted
            return
        async with self._turn:
            await self._adopt(wanted)
        self._more_past.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read, decide and write until cancelled; the transaction in hand is finished then.

        Says `started` once its place in the log is written down: what is published from then on is not missed.

        Raises:
            ConfigError: the log is not the one that was read before.
        """
        await self._insist("the log", lambda: self._adopt(self._wanted))
        self._running = True
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._read_past)
                task_status.started()
                await self._read_on()
        finally:
            self._running = False

    # --- who runs, from where ---

    async def _adopt(self, wanted: dict[str, Sensor]) -> None:
        """Load what is known of the sensors; give a place to those that are new, and write it down."""
        bounds = await self._bus.bounds()
        cursor, rows = await self._store.read(lambda c: (cursors.load(c, CURSOR), memories.load(c)))
        reached = bounds.last if cursor is None else cursor
        _check_log(bounds, reached)
        places = [_place(sensor, rows.get(sensor.name), reached, bounds) for sensor in wanted.values()]
        behind = {place.sensor.name: place for place in places if place.position < reached}
        changed = [p for p in places if _is_news(p, rows.get(p.sensor.name))]
        saved = [self._row(place, joined=place.sensor.name not in behind) for place in changed]

        def write(connection: Connection) -> None:
            memories.save(connection, saved)
            if cursor is None:
                cursors.save(connection, CURSOR, reached)

        await self._store.write(write)
        self._cursor = reached
        self._wanted = wanted
        self._behind = behind
        self._places = {place.sensor.name: place for place in places if place.sensor.name not in behind}
        self._index = index_of(self._places.values())
        log.info("sensors.applied", sensors=len(wanted), behind=len(behind), position=reached)

    def _row(self, place: Place, *, joined: bool) -> SensorRow:
        state = {"joined": joined, "waiting": {name: dict(have) for name, have in place.state.items()}}
        return SensorRow(place.sensor.name, place.sensor.digest, place.position, state, self._clock.now())

    # --- the live end of the log ---

    async def _read_on(self) -> None:
        delay_s = self._settings.backoff_s
        while True:
            try:
                async with self._bus.tail(self._cursor, limit=self._settings.batch) as batches:
                    self._waiting_for = None
                    async for records in batches:
                        await self._take(records)
                        delay_s = self._settings.backoff_s
            except _Moved:
                log.warning("sensors.moved", position=self._cursor)
                async with self._turn:
                    await self._insist("the log", lambda: self._adopt(self._wanted))
            except Transient as error:
                delay_s = await self._back_off("the bus", error, delay_s)

    async def _take(self, records: Sequence[Record]) -> None:
        async with self._turn:
            records = [record for record in records if record.position > self._cursor]
            if not records:
                return
            expected, reached = self._cursor, records[-1].position
            decided = await self._decided(records)

            def write(connection: Connection) -> _Written:
                if cursors.load(connection, CURSOR) != expected:
                    raise _Moved("another process reads the log for the same sensors")
                batch = decided(connection)
                # How far the others are, the cursor says.
                moved = _moved(batch.states, self._places, batch, reached)
                rows = [self._row(place, joined=True) for place in moved.values()]
                fresh = self._write_down(connection, batch, rows)
                cursors.save(connection, CURSOR, reached)
                return fresh, moved

            moved = await self._commit(write)
            self._cursor = reached
            self._places |= moved

    async def _decided(self, records: Sequence[Record]) -> Callable[[Connection], Batch]:
        """What gives the batch inside the transaction that writes it down.

        A small one is decided there: one change of threads less, which is what its event waits for. A large one is
        decided before, so that it does not hold the write lock.
        """
        decide_on = self._decide(records, self._index, self._places)
        if len(records) <= SMALL:
            return decide_on
        batch = await self._insist("the store", lambda: self._store.read(decide_on))
        return lambda _: batch

    # --- the past, for sensors that begin there ---

    async def _read_past(self) -> None:
        while True:
            while self._behind:
                await self._insist("the past", self._take_past)
            self._more_past = anyio.Event()
            if not self._behind:
                await self._more_past.wait()

    async def _take_past(self) -> None:
        if not self._behind:
            return  # they were taken out while this was waiting
        after = min(place.position for place in self._behind.values())
        records = await self._bus.read(after, limit=self._settings.batch)
        async with self._turn:
            behind = self._behind
            if min((place.position for place in behind.values()), default=None) != after:
                return  # others came meanwhile, which begin elsewhere
            past = [record for record in records if record.position <= self._cursor]
            if not past:
                await self._join()
                return
            index = index_of(behind.values())
            decide_on = self._decide(past, index, behind)
            batch = await self._insist("the store", lambda: self._store.read(decide_on))
            # Each notes how far it is, also where nothing concerned it.
            moved = _moved(behind, behind, batch, past[-1].position)
            rows = [self._row(place, joined=False) for place in moved.values()]
            self._behind = await self._commit(lambda connection: (self._write_down(connection, batch, rows), moved))

    async def _join(self) -> None:
        """Nothing of the log lies between those that were behind and the cursor: from now on they read live."""
        joined = {name: replace(place, position=self._cursor) for name, place in self._behind.items()}
        rows = [self._row(place, joined=True) for place in joined.values()]
        await self._insist("the store", lambda: self._store.write(lambda c: memories.save(c, rows)))
        self._places |= joined
        self._behind = {}
        self._index = index_of(self._places.values())
        log.info("sensors.caught_up", sensors=sorted(joined), position=self._cursor)

    # --- a batch ---

    def _decide(
        self, records: Sequence[Record], index: Index, places: dict[str, Place]
    ) -> Callable[[Connection], Batch]:
        now = self._clock.now()
        settings = self._settings

        # On a thread of the store, where older events are at hand and the event loop is not held up. Changes nothing.
        def work(connection: Connection) -> Batch:
            def load(key: EventKey) -> Event:
                found = events.get_many(connection, [key])
                if key not in found:
                    raise NotFound(f"event {key}, which was waiting, is not in the store any more")
                return found[key]

            known = events.positions(connection, [record.event.key for record in records])
            setting = Setting(now, known, load, settings.max_depth)
            return decide(records, index, places, setting)

        return work

    def _write_down(self, connection: Connection, batch: Batch, rows: Sequence[SensorRow]) -> list[FiringRow]:
        events.add(connection, batch.seen)
        decisions.add(connection, batch.decisions)
        memories.save(connection, rows)
        firings.add(connection, batch.lost)
        deadletters.add(connection, batch.letters)
        fresh = self._sink.enlist(connection, batch.firings) if batch.firings else []
        faults.point("host.before_commit")
        return fresh

    async def _commit(self, work: Callable[[Connection], _Written]) -> dict[str, Place]:
        async def write() -> _Written:
            # A shutdown waits for it: whoever takes the firings should hear of them.
            with anyio.move_on_after(GRACE_S, shield=True):
                return await self._store.write(work)
            raise Transient(f"no answer within {GRACE_S:g} s")

        fresh, moved = await self._insist("the store", write)
        faults.point("host.after_commit")
        if fresh:
            self._sink.offer(fresh)
        return moved

    # --- patience ---

    async def _insist(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until it works. Meanwhile nothing is taken from the log, so nothing is lost."""
        delay_s = self._settings.backoff_s
        while True:
            try:
                result = await attempt()
            except _Moved:
                raise
            except Transient as error:
                delay_s = await self._back_off(what, error, delay_s)
            else:
                self._waiting_for = None
                return result

    async def _back_off(self, what: str, error: Transient, delay_s: float) -> float:
        self._waiting_for = f"{what}: {error}"
        log.warning("sensors.waiting", waiting_for=what, error=str(error), again_s=delay_s)
        await anyio.sleep(delay_s)
        return min(delay_s * 2, self._settings.max_backoff_s)


def _by_name(sensors: Iterable[Sensor]) -> dict[str, Sensor]:
    found: dict[str, Sensor] = {}
    for sensor in sensors:
        if sensor.name in found:
            raise ConfigError(f"two sensors are named {sensor.name!r}; their states would mix")
        found[sensor.name] = sensor
    return found


def _place(sensor: Sensor, row: SensorRow | None, reached: int, bounds: Bounds) -> Place:
    """Where a sensor stands: a new one at its start, any other where it was."""
    if row is None:
        # Never beyond what all have read: what lies between is still to come, and `now` leaves it out.
        first = min(bounds.first - 1, reached)
        return Place(sensor, {}, first if sensor.start == "earliest" else max(reached, bounds.last))
    memory = cast("dict[str, object]", row.state) if isinstance(row.state, dict) else {}
    position = max(row.position, reached) if memory.get("joined", True) else row.position
    return Place(sensor, sensor.adopt(memory.get("waiting")), position)


def _check_log(bounds: Bounds, reached: int) -> None:
    """Say what the log lacks."""
    if bounds.last < reached:
        # To wait for its positions to come back would pass over every event until then.
        raise ConfigError(
            f"the bus has events up to {bounds.last}, the sensors have read up to {reached}: this is another log. "
            "Give the bus its data back, or start with an empty data directory"
        )
    if bounds.first - 1 > reached:
        log.warning("sensors.gap", read=reached, first=bounds.first, lost=bounds.first - 1 - reached)


def _moved(names: Iterable[str], places: Mapping[str, Place], batch: Batch, reached: int) -> dict[str, Place]:
    """The places of these sensors after the batch."""

    def move(place: Place) -> Place:
        state = batch.states.get(place.sensor.name, place.state)
        return replace(place, state=state, position=max(place.position, reached))

    return {name: move(places[name]) for name in names}


def _is_news(place: Place, row: SensorRow | None) -> bool:
    return row is None or row.digest != place.sensor.digest
