"""What a batch of the log, and the timers that are due in it, mean to the sensors: rows to write down, all of them in
one transaction.

Records and timers come in one order: a timer that is due at D happens at D, before the first record whose time is D or
later. The time of a record is its arrival, and never goes back. So the same log gives the same decisions at any speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from retrain.bus import Record
from retrain.errors import RetrainError
from retrain.events import Event, EventKey, JsonValue
from retrain.store.cells import Name
from retrain.store.deadletters import DeadLetter
from retrain.store.decisions import DecisionRow
from retrain.store.events import SeenEvent
from retrain.store.firings import FiringRow, FiringState
from sensors.core.cells import Cell, CellId
from sensors.core.firing import depth_of
from sensors.core.outcome import Decision, Fired, Load, Look, Outcome, Step
from sensors.core.routing import Routes
from sensors.core.step import Sensor
from sensors.explain import describe_check
from sensors.host.letters import letter_of_event, letter_of_firing
from sensors.host.memory import Desk, named
from sensors.host.timers import Timers

log = structlog.get_logger()

MAX_REASON = 2048


@dataclass(frozen=True, slots=True)
class Place:
    """A sensor, and how far it is: up to and with `position` of the log. It takes nothing that came before `since`."""

    sensor: Sensor
    position: int
    since: datetime | None = None


@dataclass(slots=True)
class Batch:
    """What to write down. `firings` act; `shadows` were only decided; `lost` cannot act.

    `taken`: how many of the records it holds; `position` and `now`: how far the log and its time have come with it.
    `more`: timers are left that were to happen in it. `still`: cells that no timer is to look at again.
    """

    seen: list[SeenEvent] = field(default_factory=list[SeenEvent])
    decisions: list[DecisionRow] = field(default_factory=list[DecisionRow])
    firings: list[FiringRow] = field(default_factory=list[FiringRow])
    shadows: list[FiringRow] = field(default_factory=list[FiringRow])
    lost: list[FiringRow] = field(default_factory=list[FiringRow])
    letters: list[DeadLetter] = field(default_factory=list[DeadLetter])
    emitted: list[Event] = field(default_factory=list[Event])
    stops: list[str] = field(default_factory=list[str])
    still: list[Name] = field(default_factory=list[Name])
    timers: int = 0
    taken: int = 0
    position: int = 0
    now: datetime | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """What holds for a whole batch.

    `now`: how far the time of the log has come, None before its first event. `wall`: the time of day, for the record.
    `keys`: of its records' events. `known`: where in the log these were first, as far as that is written down. `load`
    gives older events. `poison`: why what came of an event could not be written down; no sensor takes it then.
    """

    now: datetime | None
    wall: datetime
    keys: Sequence[EventKey]
    known: Mapping[str, int]
    load: Load
    max_depth: int
    poison: str = ""


class Turn:
    """A batch in the making."""

    def __init__(
        self, sensors: tuple[Routes, Mapping[str, Place]], cells: tuple[Desk, Timers], setting: Setting
    ) -> None:
        self._routes, self._places = sensors
        self._desk, self._timers = cells
        self._setting = setting
        self._first = dict(setting.known)
        self._at_hand: dict[EventKey, Event] = {}
        self.batch = Batch(now=setting.now)

    @property
    def look(self) -> Callable[[str], Look]:
        """What a sensor, by its name, asks for its cells."""
        return self._desk.look

    def go(self, records: Sequence[Record], until: datetime | None) -> None:
        """Go through the records in order, each after the timers that are due by its time; then the timers due `until`.

        An event that the log shows a second time is a duplicate to whoever cares, and changes nothing. A sensor that
        raises loses that event, with the error on record; the others go on. Where there are too many timers for one
        batch, it ends among them (`more`), and `taken` says how many of the records are part of it.
        """
        batch = self.batch
        for record, key in zip(records, self._setting.keys, strict=True):
            now = record.received if batch.now is None else max(batch.now, record.received)
            if not self.tick(now):
                batch.more = True
                return
            self._take(record, key, now)
        batch.more = until is not None and not self.tick(until)

    # --- records ---

    def _take(self, record: Record, key: EventKey, now: datetime) -> None:
        batch = self.batch
        batch.taken += 1
        batch.now, batch.position = now, record.position
        event = record.event
        places = self._places
        caring = [
            place
            for name in self._routes.caring(event)
            if (place := places[name]).position < record.position and (place.since is None or place.since <= now)
        ]
        first = self._first.setdefault(key, record.position)
        if first != record.position:
            reason = f"event {event.id} of {event.source} came before, at position {first} of the log"
            self._say_all(caring, key, Decision(None, Outcome.DUPLICATE, reason))
            return
        batch.seen.append(SeenEvent(event, record.position, record.received, key))
        if not caring:
            return
        self._at_hand[key] = event
        if self._setting.poison:
            self._refuse(event, key, caring, self._setting.poison)
            return
        if (depth := depth_of(event)) > self._setting.max_depth:
            limit = self._setting.max_depth
            reason = f"lineage depth {depth} is over {limit}: events follow from each other in a loop"
            self._refuse(event, key, caring, reason)
            return
        for place in caring:
            self._step(place.sensor, event, key, now)

    def _step(self, sensor: Sensor, event: Event, key: EventKey, now: datetime) -> None:
        try:
            step = sensor.step(self._desk.look(sensor.name), event, now, self.load)
        # Whatever is wrong in one sensor must not stop the others.
        except Exception as error:  # noqa: BLE001 - it is logged there
            self._failed(sensor, key, error)
        else:
            self._absorb(sensor.name, key, step)

    # --- timers ---

    def tick(self, until: datetime) -> bool:
        """Let the timers happen that are due until then, in order; False if some are left."""
        batch, timers = self.batch, self._timers
        while (due := timers.pop(until)) is not None:
            when, name = due
            cell = self._desk.find(name)
            place = self._places.get(name[0])
            if cell is None or cell.due != when:
                continue  # it was changed meanwhile, and what it is now has its own timer
            if place is not None:
                batch.timers += 1
                batch.now = when if batch.now is None else max(batch.now, when)
                self._tick(place.sensor, CellId(*name[1:]), when)
            if self._desk.find(name) is cell:
                # Nobody takes it, or it raised, or nothing changed: it would be due for ever.
                self._desk.put(name, cell)
                batch.still.append(name)
        return not timers.left(until)

    def _tick(self, sensor: Sensor, cell_id: CellId, when: datetime) -> None:
        self.run(sensor, None, lambda: sensor.tick(self._desk.look(sensor.name), cell_id, when, self.load))

    # --- what comes of it ---

    def run(self, sensor: Sensor, key: EventKey | None, work: Callable[[], Step]) -> Step | None:
        """Let a sensor decide, and note what comes of it. If it raises, that is put on record instead; None then."""
        try:
            step = work()
        except Exception as error:  # noqa: BLE001 - it is logged there
            self._failed(sensor, key, error)
            return None
        self._absorb(sensor.name, key, step)
        return step

    def _failed(self, sensor: Sensor, key: EventKey | None, error: Exception) -> None:
        # What is known needs no traceback: any sender could fill the log with them.
        bug = None if isinstance(error, RetrainError) else error
        text = str(error) if bug is None else f"{type(error).__name__} in the sensor's code"
        log.error("sensor.failed", sensor=sensor.name, event_key=key, error=text, exc_info=bug)
        self._say(sensor.name, key, Decision(None, Outcome.ERROR, text))

    def _absorb(self, name: str, key: EventKey | None, step: Step) -> None:
        """Note what came of a step of a sensor. `key`: of the event at hand."""
        for decision in step.decisions:
            self._say(name, key, decision)
        if step.changes:
            self._change(name, step.changes)
        for fired in step.firings:
            self._fire(name, fired)
        if step.emitted or step.stops:
            self.batch.emitted += step.emitted
            self.batch.stops += step.stops

    def _change(self, name: str, changes: Mapping[CellId, Cell | None]) -> None:
        for cell_id, cell in changes.items():
            place = named(name, cell_id)
            self._desk.put(place, cell)
            if cell is not None and cell.due is not None:
                self._timers.push(cell.due, place)

    def load(self, key: EventKey) -> Event:
        """An event that is at hand, or in the store."""
        return self._at_hand.get(key) or self._setting.load(key)

    def _refuse(self, event: Event, key: EventKey, caring: Sequence[Place], reason: str) -> None:
        """No sensor takes it: it is kept whole, as a dead letter."""
        self._say_all(caring, key, Decision(None, Outcome.ERROR, reason))
        origin = ", ".join(place.sensor.name for place in caring)
        self.batch.letters.append(letter_of_event(event, origin, reason, self._setting.wall))

    def _say_all(self, places: Iterable[Place], key: EventKey, decision: Decision) -> None:
        for place in places:
            self._say(place.sensor.name, key, decision)

    def _say(self, sensor: str, key: EventKey | None, decision: Decision) -> None:
        # That an event passed says that its filters did; `explain` shows them one by one.
        shown = () if decision.outcome is Outcome.PASSED else decision.checks
        detail: JsonValue = {"filters": [describe_check(check) for check in shown]} if shown else None
        self.batch.decisions.append(
            DecisionRow(
                decision.event or (key if decision.trigger is None else None),
                sensor,
                decision.dependency,
                decision.outcome.value,
                decision.reason[:MAX_REASON],
                detail,
                self._setting.wall,
                decision.trigger,
                decision.key,
            )
        )

    def _fire(self, sensor: str, fired: Fired) -> None:
        row = FiringRow(
            id=fired.id,
            sensor=sensor,
            trigger=fired.trigger,
            key=fired.key,
            events=fired.events,
            action=fired.action,
            created=fired.created,
            depth=fired.depth,
            state=_state(fired),
            error=fired.error,
            tracked=fired.tracked,
            priority=fired.priority,
            ordered=fired.ordered,
        )
        if fired.shadow:
            self.batch.shadows.append(row)
        elif fired.error is None:
            self.batch.firings.append(row)
        else:
            self.batch.lost.append(row)
            self.batch.letters.append(letter_of_firing(row, fired.error))


def _state(fired: Fired) -> FiringState:
    if fired.shadow:
        return FiringState.SHADOW
    return FiringState.PENDING if fired.error is None else FiringState.DEAD
