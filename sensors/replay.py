"""The recorded log once more, through a Sensor that may have changed: what it would have done. Nothing is done.

It begins with nothing at the first event. What became of its firings is taken from the log, where the log has them; of
others it is assumed that they are carried out at once and that a run takes as long as runs of the recorded ones took.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from retrain.events import OWN_SOURCE, Event, EventKey
from sensors import outside
from sensors.core.addresses import ABSENT, EXPIRED, owner_of
from sensors.core.course import Course, Taken
from sensors.core.outcome import Fired, Load, Waiting
from sensors.core.step import Sensor


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the log knows of the firings of the sensor: ids of those that were really made, and how long their runs
    took. `load` gives events by key, without keeping all in memory."""

    firings: frozenset[str] = frozenset()
    run_time: timedelta = timedelta()
    load: Load | None = None


@dataclass(slots=True)
class Replayed:
    """What would have been. `outcomes`: of its decisions. `names`: ids of the events that firings name by key."""

    sensor: str
    events: int = 0
    firings: list[Fired] = field(default_factory=list[Fired])
    outcomes: Counter[str] = field(default_factory=Counter[str])
    waiting: list[Waiting] = field(default_factory=list[Waiting])
    assumed: int = 0
    names: dict[str, str] = field(default_factory=dict[str, str])
    said: dict[EventKey, str] = field(default_factory=dict[EventKey, str])
    """The last that was decided about each event, where that was asked for: `filtered: ...`."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Firings that only the one or the other makes, and those that both make, at other times or with other events."""

    added: tuple[Fired, ...]
    removed: tuple[Fired, ...]
    moved: tuple[tuple[Fired, Fired], ...]
    same: int


def replay(
    sensor: Sensor,
    records: Iterable[tuple[Event, datetime]],
    until: datetime,
    recorded: Recorded | None = None,
    *,
    remember: int = 0,
) -> Replayed:
    """Run the sensor over events in the order of their arrival, then its timers up to `until`.

    `remember`: of how many events at most it is kept what was said of them.
    """
    return _Replay(sensor, recorded or Recorded(), remember).run(records, until)


class _Replay:
    def __init__(self, sensor: Sensor, recorded: Recorded, remember: int) -> None:
        self._remember = remember
        self._sensor = sensor
        self._recorded = recorded
        self._course = Course([sensor], load=recorded.load)
        self._came = Replayed(sensor.name)
        self._ahead: list[tuple[datetime, int, Event]] = []
        self._number = count()

    def run(self, records: Iterable[tuple[Event, datetime]], until: datetime) -> Replayed:
        began = False
        for event, received in records:
            if received > until:
                break
            if not began:
                self._keep(self._course.begin(received))
                began = True
            self._come(received)
            if self._is_ours(event):
                continue
            self._came.events += 1
            self._keep(self._course.take(event, received))
        self._come(until)
        self._keep(self._course.run_until(until))
        self._come(until)
        self._came.waiting = self._course.waiting(self._sensor.name)
        return self._came

    def _is_ours(self, event: Event) -> bool:
        """What the sensor itself told, and tells again here if it still would."""
        ours = event.source == OWN_SOURCE and event.subject in (ABSENT, EXPIRED)
        return ours and owner_of(event) == self._sensor.name

    def _come(self, moment: datetime) -> None:
        """Let happen what was assumed to happen until then."""
        while self._ahead and self._ahead[0][0] <= moment:
            at, _, event = heapq.heappop(self._ahead)
            self._keep(self._course.take(event, at))

    def _keep(self, taken: Sequence[Taken]) -> None:
        for one in taken:
            step = one.step
            for decision in step.decisions:
                self._came.outcomes[decision.outcome.value] += 1
            if self._remember:
                self._note(one)
            if step.firings:
                self._came.firings += step.firings
                for fired in step.firings:
                    self._follow(fired, one.now)

    def _note(self, one: Taken) -> None:
        said = self._came.said
        for decision in one.step.decisions:
            key = decision.event or (one.event.key if one.event is not None else None)
            if key is not None and (key in said or len(said) < self._remember):
                said[key] = f"{decision.outcome.value}: {decision.reason}"

    def _follow(self, fired: Fired, now: datetime) -> None:
        for key in fired.events:
            if key not in self._came.names:
                self._came.names[key] = self._course.load(key).id
        if not fired.tracked or fired.shadow or fired.id in self._recorded.firings:
            return
        self._came.assumed += 1
        self._push(now, outside.done(self._sensor.name, fired, now))
        if outside.starts_run(fired.action):
            end = now + self._recorded.run_time
            self._push(end, outside.ended(self._sensor.name, fired, end, "Succeeded", {}))

    def _push(self, at: datetime, event: Event) -> None:
        heapq.heappush(self._ahead, (at, next(self._number), event))


def differ(before: Sequence[Fired], after: Sequence[Fired]) -> Difference:
    """What changes from the firings of one sensor to those of another.

    A firing is the same if its trigger, key and events are, whatever the sensors are called; it has moved if its time
    is another. One that has only a part of its events in common with another of its trigger and key has moved too.
    """
    old, new = _by_what(before), _by_what(after)
    both = [(old[what], new[what]) for what in old if what in new]
    moved = [(one, other) for one, other in both if one.created != other.created]
    same = len(both) - len(moved)
    added = {id(one): one for what, one in new.items() if what not in old}
    of_event = {(one.trigger, one.key, event): one for one in added.values() for event in one.events}
    removed: list[Fired] = []
    for what, one in old.items():
        if what in new:
            continue
        found = (of_event.get((one.trigger, one.key, event)) for event in one.events)
        other = next((fired for fired in found if fired is not None and id(fired) in added), None)
        if other is None:
            removed.append(one)
        else:
            moved.append((one, other))
            del added[id(other)]
    moved.sort(key=lambda pair: pair[1].created)
    return Difference(tuple(added.values()), tuple(removed), tuple(moved), same)


def _by_what(firings: Iterable[Fired]) -> Mapping[tuple[str, str, frozenset[str]], Fired]:
    return {(one.trigger, one.key, frozenset(one.events)): one for one in firings}
