"""Silence: that nothing came for so long. It is told by an event, which comes back by the log like any other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from retrain.errors import RetrainError
from retrain.events import OWN_SOURCE, Event, EventKey, JsonValue, format_time
from sensors.core.addresses import ABSENT, DEPENDENCY, SENSOR
from sensors.core.addresses import TRIGGER as OF_TRIGGER
from sensors.core.cells import TRIGGER, CellId, Silence
from sensors.core.deadline import digest_of
from sensors.core.outcome import Outcome
from sensors.core.telling import moment, span
from sensors.core.turn import Turn
from sensors.decision_spec import Absent

LATEST = datetime(9900, 1, 1, tzinfo=UTC)
"""A start behind it is as good as never, and there would be no moment to tell it."""


class SilenceRule:
    """The silence of a dependency, or of all that a trigger is about (`part` is then `trigger:NAME`)."""

    def __init__(self, part: str, written: Absent) -> None:
        self._part = part
        self._length = written.for_
        self._starting_at = written.starting_at
        self._repeat = written.repeat

    def arm(self, turn: Turn, key: str = "") -> None:
        """Nothing has come yet, and from now on that counts."""
        turn.put(CellId("silence", self._part, key), Silence(None, turn.now, self._due(turn.now)))

    def hear(self, turn: Turn, event: EventKey, key: str) -> str:
        """An event came; what to say of it."""
        cell_id = CellId("silence", self._part, key)
        before = cast("Silence | None", turn.get(cell_id))
        turn.put(cell_id, Silence(event, turn.now, self._due(turn.now)))
        since = "" if before is None else f"; the silence since {moment(before.since)} is over"
        return f"heard{since}"

    def arm_again(self, turn: Turn, key: str, cell: Silence) -> None:
        """The length has changed: it counts from where it began."""
        due = self._due(cell.since)
        turn.put(CellId("silence", self._part, key), Silence(cell.last, cell.since, max(due, turn.now)))

    def tick(self, turn: Turn, cell_id: CellId, cell: Silence) -> None:
        """It was silent for long enough, if it is time."""
        due = cell.due
        if due is None or due > turn.now:
            return
        if self._repeat:
            turn.put(cell_id, Silence(cell.last, cell.since, due + self._length))
        else:
            turn.put(cell_id, None)
        turn.emit(self._event(turn, cell_id.key, cell, due))
        name = self._part.removeprefix(TRIGGER)
        trigger = name if self._part.startswith(TRIGGER) else ""
        reason = f"nothing came for {span(self._length)}: {name} is silent since {moment(cell.since)}"
        turn.decide(trigger, cell_id.key, Outcome.EXPIRED, reason, dependency=None if trigger else name)

    def _due(self, since: datetime) -> datetime:
        start = since if self._starting_at is None else max(since, self._starting_at)
        return min(start, LATEST) + self._length

    def _event(self, turn: Turn, key: str, cell: Silence, due: datetime) -> Event:
        sensor = turn.frame.name
        of_trigger = self._part.startswith(TRIGGER)
        dependency = "" if of_trigger else self._part
        trigger = self._part.removeprefix(TRIGGER) if of_trigger else ""
        data: dict[str, JsonValue] = {
            "sensor": sensor,
            "dependency": dependency,
            "key": key,
            "for": self._length.total_seconds(),
            "since": format_time(cell.since),
            "lastEvent": _last(turn, cell.last),
        }
        whose = {OF_TRIGGER: trigger} if of_trigger else {DEPENDENCY: dependency}
        # It follows from no event, so it begins a lineage: what retrains each week goes on for ever, and is no loop.
        return Event(
            id=f"{sensor}.{self._part}.{digest_of(key)}.{format_time(due)}",
            source=OWN_SOURCE,
            subject=ABSENT,
            type=f"dev.retrain.{ABSENT}",
            time=due,
            datacontenttype="application/json",
            data=data | ({"trigger": trigger} if of_trigger else {}),
            extensions={SENSOR: sensor, **whose},
        )


def silent_key(event: Event) -> str:
    """The key of which a `sensor.absent` event tells that nothing came."""
    return str(event.data.get("key", "")) if isinstance(event.data, dict) else ""


def _last(turn: Turn, key: EventKey | None) -> str | None:
    """The last event's id."""
    if key is None:
        return None
    try:
        return turn.load(key).id
    except RetrainError:
        return key
