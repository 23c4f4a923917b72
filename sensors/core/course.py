"""Sensors over a log and a clock, in memory: the order of inputs that the host keeps too, without the host.

Time is that of the log: it moves with the events' arrival, and never back. A timer that is due at D happens at D,
before any event that arrives then or later. What a sensor tells (silence, expiry) is an event that arrives at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from retrain.errors import NotFound, RetrainError
from retrain.events import Event, EventKey
from sensors.core.cells import EXPIRES, Cell, CellId
from sensors.core.outcome import Decision, Load, Outcome, Step, Waiting
from sensors.core.routing import Routes
from sensors.core.step import Sensor
from sensors.core.timetable import Timetable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAR = datetime(9000, 1, 1, tzinfo=UTC)
"""Times of events are anybody's: arithmetic with years of the calendar's end would fail."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one sensor made of one input, an event or the time of a cell."""

    sensor: str
    now: datetime
    event: Event | None
    cell: CellId | None
    step: Step


class Course:
    """Runs sensors. `load` gives events that are not kept here; without it all events are kept.

    `feed_back`: what the sensors tell comes back to them at once; not so where the log has those events already.
    """

    def __init__(
        self,
        sensors: Iterable[Sensor],
        *,
        load: Load | None = None,
        cells: Mapping[str, Mapping[CellId, Cell]] | None = None,
        now: datetime = EPOCH,
        feed_back: bool = True,
    ) -> None:
        self.sensors = {sensor.name: sensor for sensor in sensors}
        self.now = now
        self._load = load
        self._known: dict[EventKey, Event | None] = {}
        self._feed_back = feed_back
        given = cells or {}
        self._tables = {name: Timetable(given.get(name, {}).items()) for name in self.sensors}
        self._timed = list(self._tables.items())
        self._routes = Routes()
        for sensor in self.sensors.values():
            self._routes.add(sensor)

    # --- inputs ---

    def begin(self, now: datetime) -> list[Taken]:
        """The sensors are here for the first time: silence counts from now on."""
        self.now = max(self.now, min(now, FAR))
        taken = [Taken(name, self.now, None, None, one.begin(self.now)) for name, one in self.sensors.items()]
        for one in taken:
            self._apply(one)
        return taken

    def take(self, event: Event, received: datetime) -> list[Taken]:
        """What comes of an event that arrived then, and before it of the timers that were due."""
        now = max(self.now, min(received, FAR))
        taken = self.run_until(now)
        self.now = now
        taken += self._take(event)
        return taken

    def run_until(self, moment: datetime) -> list[Taken]:
        """What comes of the timers that are due until then."""
        taken: list[Taken] = []
        while (first := self._first()) is not None and first[0] <= moment:
            due, name, cell_id = first
            self.now = max(self.now, due)
            table = self._tables[name]
            if cell_id.kind == EXPIRES:
                table.put({cell_id: None})
                continue
            step = self.sensors[name].tick(table.get, cell_id, due, self.load)
            one = Taken(name, due, None, cell_id, step)
            taken.append(one)
            taken += self._apply(one)
            if table.next() == (due, cell_id):
                raise AssertionError(f"{name}: cell {cell_id} is still due after its timer")
        self.now = max(self.now, moment)
        return taken

    def _take(self, event: Event) -> list[Taken]:
        key = event.key
        names = self._routes.caring(event)
        if key in self._known:
            reason = f"event {event.id} of {event.source} came before"
            step = Step((Decision(None, Outcome.DUPLICATE, reason),))
            return [Taken(name, self.now, event, None, step) for name in names]
        self._known[key] = None if self._load is not None else event
        taken: list[Taken] = []
        for name in names:
            one = Taken(name, self.now, event, None, self._step(name, event))
            taken.append(one)
            taken += self._apply(one)
        return taken

    def _step(self, name: str, event: Event) -> Step:
        try:
            return self.sensors[name].step(self._tables[name].get, event, self.now, self.load)
        except RetrainError as error:
            return Step((Decision(None, Outcome.ERROR, str(error)),))

    def _apply(self, taken: Taken) -> list[Taken]:
        """Keep what has changed; what came of the events that it tells."""
        step = taken.step
        if step.changes:
            self._tables[taken.sensor].put(step.changes)
        if not step.emitted or not self._feed_back:
            return []
        return [one for event in step.emitted for one in self._take(event)]

    # --- looking ---

    def _first(self) -> tuple[datetime, str, CellId] | None:
        found: tuple[datetime, str, CellId] | None = None
        for name, table in self._timed:
            first = table.next()
            if first is not None and (found is None or (first[0], name) < found[:2]):
                found = (first[0], name, first[1])
        return found

    def load(self, key: EventKey) -> Event:
        """An event that came here, or that the state names.

        Raises:
            NotFound: it is in neither.
        """
        event = self._known.get(key)
        if event is not None:
            return event
        if self._load is None:
            raise NotFound(f"event {key}, which was waiting, did not come here")
        return self._load(key)

    def cells(self, sensor: str) -> Mapping[CellId, Cell]:
        """What a sensor keeps in mind."""
        return self._tables[sensor].cells

    def waiting(self, sensor: str) -> list[Waiting]:
        """What a sensor waits for."""
        return self.sensors[sensor].waiting(self.cells(sensor).items(), self.now)
