"""What a batch of the log means to the sensors: rows to write down, all of them in one transaction. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson
import structlog

from retrain.bus import Record
from retrain.errors import RetrainError
from retrain.events import Event, EventKey, JsonValue
from retrain.store.deadletters import DeadLetter
from retrain.store.decisions import DecisionRow
from retrain.store.events import SeenEvent
from retrain.store.firings import FiringRow, FiringState
from sensors.explain import describe_check
from sensors.step import Address, Decision, Fired, Load, Outcome, Sensor, State, address_of, depth_of

log = structlog.get_logger()

MAX_REASON = 2048


@dataclass(frozen=True, slots=True)
class Place:
    """A sensor with what it keeps in mind, up to and with `position` of the log."""

    sensor: Sensor
    state: State
    position: int


Index = Mapping[Address, Sequence[str]]
"""Which sensors care for an event. Looking here is all that an event costs for those which do not care."""


@dataclass(slots=True)
class Batch:
    """What to write down. `states`: of the sensors that have changed, by name. `firings` act; `lost` cannot."""

    seen: list[SeenEvent] = field(default_factory=list[SeenEvent])
    decisions: list[DecisionRow] = field(default_factory=list[DecisionRow])
    firings: list[FiringRow] = field(default_factory=list[FiringRow])
    lost: list[FiringRow] = field(default_factory=list[FiringRow])
    letters: list[DeadLetter] = field(default_factory=list[DeadLetter])
    states: dict[str, State] = field(default_factory=dict[str, State])


@dataclass(frozen=True, slots=True)
class Setting:
    """What holds for a whole batch. `known`: where in the log its events were first, as far as that is written down;
    `load` gives older events."""

    now: datetime
    known: Mapping[str, int]
    load: Load
    max_depth: int


def index_of(places: Iterable[Place]) -> Index:
    """The names of sensors by the addresses that concern them."""
    index: dict[Address, list[str]] = {}
    for place in places:
        for address in place.sensor.addresses:
            index.setdefault(address, []).append(place.sensor.name)
    return index


def decide(records: Sequence[Record], index: Index, places: Mapping[str, Place], setting: Setting) -> Batch:
    """Go through the records in order.

    An event that the log shows a second time is a duplicate to whoever cares, and changes nothing. A sensor that
    raises loses that event, with the error on record; the others go on.
    """
    turn = _Turn(setting)
    for record in records:
        names = index.get(address_of(record.event), ())
        turn.take(record, [place for name in names if (place := places[name]).position < record.position])
    return turn.batch


class _Turn:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._first = dict(setting.known)
        self._at_hand: dict[EventKey, Event] = {}
        self.batch = Batch()

    def take(self, record: Record, caring: Sequence[Place]) -> None:
        event, key = record.event, record.event.key
        first = self._first.setdefault(key, record.position)
        if first != record.position:
            reason = f"event {event.id} of {event.source} came before, at position {first} of the log"
            self._say_all(caring, key, Decision(None, Outcome.DUPLICATE, reason))
            return
        self.batch.seen.append(SeenEvent(event, record.position, record.received))
        if not caring:
            return
        self._at_hand[key] = event
        if (depth := depth_of(event)) > self._setting.max_depth:
            self._refuse(event, key, caring, depth)
            return
        for place in caring:
            self._step(place, event, key)

    def _step(self, place: Place, event: Event, key: EventKey) -> None:
        sensor = place.sensor
        state = self.batch.states.get(sensor.name, place.state)
        try:
            after, step = sensor.step(state, event, self._setting.now, self._load)
        # Whatever is wrong in one sensor must not stop the others: it is put on record there.
        except Exception as error:
            log.exception("sensor.failed", sensor=sensor.name, event_id=event.id)
            text = str(error) if isinstance(error, RetrainError) else f"{type(error).__name__} in the sensor's code"
            self._say(sensor, key, Decision(None, Outcome.ERROR, text))
            return
        if after is not state:
            self.batch.states[sensor.name] = after
        for decision in step.decisions:
            self._say(sensor, key, decision)
        for fired in step.firings:
            self._fire(sensor, fired)

    def _load(self, key: EventKey) -> Event:
        return self._at_hand.get(key) or self._setting.load(key)

    def _refuse(self, event: Event, key: EventKey, caring: Sequence[Place], depth: int) -> None:
        """The end of a loop of events that follow from each other."""
        limit = self._setting.max_depth
        reason = f"lineage depth {depth} is over {limit}: events follow from each other in a loop"
        self._say_all(caring, key, Decision(None, Outcome.ERROR, reason))
        origin = ", ".join(place.sensor.name for place in caring)
        self.batch.letters.append(DeadLetter(f"d-{key}", "event", origin, reason, event.to_json(), self._setting.now))

    def _say_all(self, places: Sequence[Place], key: EventKey, decision: Decision) -> None:
        for place in places:
            self._say(place.sensor, key, decision)

    def _say(self, sensor: Sensor, key: EventKey, decision: Decision) -> None:
        # That an event passed says that its filters did; `explain` shows them one by one.
        shown = () if decision.outcome is Outcome.PASSED else decision.checks
        detail: JsonValue = {"filters": [describe_check(check) for check in shown]} if shown else None
        reason = decision.reason[:MAX_REASON]
        row = DecisionRow(
            key, sensor.name, decision.dependency, decision.outcome.value, reason, detail, self._setting.now
        )
        self.batch.decisions.append(row)

    def _fire(self, sensor: Sensor, fired: Fired) -> None:
        row = FiringRow(
            id=fired.id,
            sensor=sensor.name,
            trigger=fired.trigger,
            key=fired.key,
            events=fired.events,
            action=fired.action,
            created=fired.created,
            depth=fired.depth,
            state=FiringState.PENDING if fired.error is None else FiringState.DEAD,
            error=fired.error,
        )
        if fired.error is None:
            self.batch.firings.append(row)
        else:
            self.batch.lost.append(row)
            self.batch.letters.append(_letter(row, fired.error))


def _letter(row: FiringRow, reason: str) -> DeadLetter:
    """For a firing that has no action: its events are named, so that nothing of it is lost."""
    body = {"firing": row.id, "sensor": row.sensor, "trigger": row.trigger, "key": row.key, "events": row.events}
    name = f"d-{row.id.removeprefix('f-')}-{int(row.created.timestamp() * 1e6):x}"
    return DeadLetter(name, "firing", f"{row.sensor}/{row.trigger}", reason, orjson.dumps(body), row.created)
