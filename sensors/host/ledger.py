"""How a batch is decided and written down: the work on the store's threads, and what it leaves in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from retrain.bus import Record
from retrain.clock import Clock
from retrain.errors import NotFound
from retrain.events import Event, EventKey
from retrain.store import Store, cells, cursors, deadletters, decisions, events, firings, outbox
from retrain.store.cells import Name
from retrain.store.cursors import Place as Cursor
from retrain.store.firings import FiringRow
from retrain.telemetry import meters
from sensors.core.outcome import Outcome
from sensors.core.routing import Routes
from sensors.host.batch import Batch, Place, Setting, Turn
from sensors.host.memory import Change, Desk, Memory, Writing, write_out
from sensors.host.patience import Moved
from sensors.host.saying import say
from sensors.host.sink import Sink
from sensors.host.timers import MOST, Timers

CURSOR = "sensors"
TOPIC = "outbox"
"""The store's signal that events wait to be published."""


@dataclass(slots=True)
class Readers:
    """The sensors that read the log together: which of them an event concerns, and where each stands.

    `timeline`: whose timers are theirs. `now`: how far the time of the log has come for them. `next_due`: when the
    next of their timers is, as far as is known; none is earlier.
    """

    timeline: int
    now: datetime | None = None
    next_due: datetime | None = None
    routes: Routes = field(default_factory=Routes)
    places: dict[str, Place] = field(default_factory=dict[str, Place])

    def add(self, place: Place) -> None:
        """Let a sensor read with them, in the place of the one that had its name."""
        self.places[place.sensor.name] = place
        self.routes.add(place.sensor)

    def remove(self, name: str) -> None:
        """A sensor reads with them no more, if it did."""
        if self.places.pop(name, None) is not None:
            self.routes.remove(name)


@dataclass(frozen=True, slots=True)
class Decided:
    """A batch, the cells that it changes, and these as rows."""

    batch: Batch
    changes: Mapping[Name, Change]
    writing: Writing


class Ledger:
    """Decides batches and writes them down. `memory` and `told` hold what is committed."""

    def __init__(self, store: Store, clock: Clock, sink: Sink, *, memory: Memory, max_depth: int) -> None:
        self.memory = memory
        self.outcomes: Counter[str] = Counter()
        """Decisions since the start, by outcome."""
        self.ticks = 0
        """Timers that have happened since the start."""
        self._store = store
        self._clock = clock
        self._sink = sink
        self._max_depth = max_depth

    def decide(
        self, records: Sequence[Record], until: datetime | None, readers: Readers, *, poison: str = ""
    ) -> Callable[[Connection], Decided]:
        """What decides a batch for these sensors, on a connection. It changes nothing. `poison`: as in `Setting`."""
        horizon = _horizon(records, until, readers.now)
        return self.work(lambda turn: turn.go(records, until), readers, records, horizon, poison)

    def work(
        self,
        fill: Callable[[Turn], object],
        readers: Readers,
        records: Sequence[Record] = (),
        horizon: datetime | None = None,
        poison: str = "",
    ) -> Callable[[Connection], Decided]:
        """As `decide`, for whatever `fill` puts into the batch. `horizon`: up to when timers matter to it."""
        wall = self._clock.now()

        # On a thread of the store, where older events are at hand and the event loop is not held up.
        def work(connection: Connection) -> Decided:
            desk = Desk(self.memory, connection)
            timers = _timers(connection, readers, horizon)
            setting = replace(self.setting(connection, readers.now, wall, records), poison=poison)
            turn = Turn((readers.routes, readers.places), (desk, timers), setting)
            fill(turn)
            writing = write_out(desk.changes, lambda _: readers.timeline, turn.batch.still)
            return Decided(turn.batch, desk.changes, writing)

        return work

    def setting(
        self, connection: Connection, now: datetime | None, wall: datetime, records: Sequence[Record]
    ) -> Setting:
        """What holds for a batch of these records."""

        def load(key: EventKey) -> Event:
            found = events.get(connection, key)
            if found is None:
                raise NotFound(f"event {key}, which was waiting, is not in the store any more")
            return found

        keys = [record.event.key for record in records]
        return Setting(now, wall, keys, events.positions(connection, keys), load, self._max_depth)

    def write_down(self, connection: Connection, batch: Batch) -> list[FiringRow]:
        """Write a batch down, but for its cells; the firings that are new."""
        events.add(connection, batch.seen)
        decisions.add(connection, batch.decisions)
        if batch.lost or batch.shadows:
            firings.add(connection, [*batch.lost, *batch.shadows])
        deadletters.add(connection, batch.letters)
        outbox.add(connection, batch.emitted, self._clock.now())
        fresh = self._hand_over(connection, batch.firings, batch.stops) if batch.firings or batch.stops else []
        say(connection, batch)
        return fresh

    def _hand_over(self, connection: Connection, rows: Sequence[FiringRow], stops: Sequence[str]) -> list[FiringRow]:
        """Give the firings to whoever acts on them, but for those that are stopped in the same batch."""
        stopped = [row for row in rows if row.id in stops] if stops else []
        firings.add(connection, stopped)
        fresh = self._sink.enlist(connection, [row for row in rows if row not in stopped] if stopped else rows)
        if stops:
            self._sink.cancel(connection, stops)
        return fresh

    def committed(self, batch: Batch, fresh: Sequence[FiringRow]) -> None:
        """A batch is written down: tell those who wait for what is in it. On the event loop."""
        self.ticks += batch.timers
        self._count(batch)
        if batch.emitted or batch.stops:
            self._store.signals.notify(TOPIC)
        if fresh or batch.stops:
            self._sink.offer(fresh)

    def _count(self, batch: Batch) -> None:
        for row in batch.decisions:
            self.outcomes[row.outcome] += 1
            if row.outcome == Outcome.ERROR:
                meters.SENSOR_ERRORS.add(row.sensor)
        for outcome, count in Counter(row.outcome for row in batch.decisions).items():
            meters.DECISIONS.add(outcome, by=count)
        now = self._clock.now()
        for one in batch.seen:
            meters.DECISION_SECONDS.observe((now - one.received).total_seconds())


def _timers(connection: Connection, readers: Readers, horizon: datetime | None) -> Timers:
    if horizon is None or readers.next_due is None or readers.next_due > horizon:
        return Timers()
    due = cells.due(connection, readers.timeline, horizon, MOST)
    return Timers(due, whole=len(due) < MOST)


def _horizon(records: Sequence[Record], until: datetime | None, now: datetime | None) -> datetime | None:
    """Up to when timers can matter to a batch."""
    moments = [record.received for record in records]
    moments += [moment for moment in (until, now) if moment is not None]
    return max(moments, default=None)


def take_cursor(connection: Connection, seen: Cursor | None, reached: int, *, changed: bool) -> Cursor:
    """The cursor, made where there is none; moved to a new version where something `changed` with it.

    Raises:
        Moved: another process has moved it.
    """
    if seen is None:
        cursors.save(connection, CURSOR, reached)
        seen = cursors.place(connection, CURSOR)
        assert seen is not None
    moved = cursors.move(connection, CURSOR, seen, reached, seen.now) if changed else seen
    if moved is None:
        raise Moved("another process reads the log for the same sensors")
    return moved
