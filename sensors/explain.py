"""What a Sensor makes of some events, without a platform: the answer of `retrain sensors explain`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import orjson

from retrain.errors import ConfigError, EventError
from retrain.events import Event, JsonValue, batch_from_json, format_time, from_json
from sensors.core.course import EPOCH, Course, Taken
from sensors.core.outcome import Decision, Fired, Load, Waiting
from sensors.core.step import UNMATCHED, Sensor
from sensors.filtering.content import Content, ContentError
from sensors.filtering.filters import Check
from sensors.filtering.transform import MakeContent, compile_transform
from sensors.spec import SensorDocument


def read_events(text: bytes | str) -> list[Event]:
    """Events as a file holds them: one CloudEvent, a JSON list of them, one on each line, or a page of `events list`.

    Raises:
        EventError: one of them is none; the error names its line or index, and the attribute.
    """
    data = text.encode() if isinstance(text, str) else text
    data = data.removeprefix(b"\xef\xbb\xbf").strip()
    if data.startswith(b"["):
        return batch_from_json(data)
    lines = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    if len(lines) < 2 or not _is_object(lines[0][1]):
        page = _page(data)
        return [from_json(data)] if page is None else batch_from_json(orjson.dumps(page[::-1]))
    events: list[Event] = []
    for number, line in lines:
        try:
            events.append(from_json(line))
        except EventError as error:
            message = str(error).removeprefix(f"{error.attribute}: ")
            raise EventError(f"line {number}: {error.attribute}", message) from None
    return events


def _page(data: bytes) -> list[JsonValue] | None:
    """The events of a page, newest first; None if it is no page."""
    try:
        page = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    items = page.get("items") if isinstance(page, dict) and "specversion" not in page else None
    return items if isinstance(items, list) else None


def _is_object(line: bytes) -> bool:
    """Whether a line is an event by itself, not the beginning of one that is spread over lines."""
    line = line.strip()
    return line.startswith(b"{") and line.endswith(b"}")


def explain(
    document: SensorDocument, events: Sequence[Event], now: datetime | None = None, until: datetime | None = None
) -> dict[str, JsonValue]:
    """The decisions, firings and what is still waited for, in the JSON of `sensors explain`.

    Nothing is written or sent anywhere, and the same events give the same answer. Time goes by the events' own, where
    they have one, and never back; all is at `now` if that is given. After the last event timers run up to `until`.
    An event that comes twice is a duplicate the second time.

    Raises:
        ConfigError: the Sensor cannot be compiled.
    """
    told = _Told(Course([Sensor(document)]), document)
    start = now or next((event.time for event in events if event.time is not None), EPOCH)
    told.take(told.course.begin(start))
    for event in events:
        taken = told.course.take(event, now or event.time or told.course.now)
        told.take(taken)
        if not any(one.event is event for one in taken):
            told.events.append(told.entry(event, UNMATCHED.decisions[0]))
    if until is not None:
        told.take(told.course.run_until(until))
    waiting = [_waiting(one) for one in told.course.waiting(document.name)]
    parts = {"events": told.events, "firings": told.firings, "waiting": waiting, "timers": told.timers}
    return {"sensor": document.name, **parts}


class _Told:
    """The answer while it grows."""

    def __init__(self, course: Course, document: SensorDocument) -> None:
        self.course = course
        self._transforms = {one.name: compile_transform(one) for one in document.spec.dependencies}
        self.events: list[JsonValue] = []
        self.firings: list[JsonValue] = []
        self.timers: list[JsonValue] = []

    def take(self, taken: Sequence[Taken]) -> None:
        """What came of an input."""
        for one in taken:
            for decision in one.step.decisions:
                # An event about nothing of the sensor's dependencies may still move its lanes: those are no timers.
                if one.event is not None and decision.trigger is None:
                    self.events.append(self.entry(one.event, decision))
                else:
                    self.timers.append(_timer(one, decision))
            self.firings += [_firing(fired, self.course.load) for fired in one.step.firings]

    def entry(self, event: Event, decision: Decision) -> JsonValue:
        """What became of an event at one dependency."""
        return {
            "id": event.id,
            "source": event.source,
            "subject": event.subject,
            "dependency": decision.dependency,
            "outcome": decision.outcome.value,
            "reason": decision.reason,
            "data": _data(event, self._transforms.get(decision.dependency or "")),
            "filters": [describe_check(check) for check in decision.checks],
            "key": decision.key,
        }


def _timer(taken: Taken, decision: Decision) -> JsonValue:
    return {
        "time": format_time(taken.now),
        "trigger": decision.trigger,
        "dependency": decision.dependency,
        "key": decision.key,
        "outcome": decision.outcome.value,
        "reason": decision.reason,
        "event": None if taken.event is None else taken.event.id,
    }


def describe_check(check: Check) -> dict[str, JsonValue]:
    """One filter's answer, as JSON shows it."""
    looks_at = "expr" if check.kind == "expr" else "path"
    return {"kind": check.kind, looks_at: check.path, "passed": check.passed, "reason": check.reason}


def _data(event: Event, transform: MakeContent | None) -> JsonValue:
    """The data as the dependency sees it; as it came where its transform fails."""
    content = Content(event)
    try:
        return content.value if transform is None else transform(content).value
    except ContentError:
        return None
    except ConfigError:
        return content.value


def _firing(fired: Fired, load: Load) -> JsonValue:
    return {
        "id": fired.id,
        "trigger": fired.trigger,
        "key": fired.key,
        "events": [load(key).id for key in fired.events],
        "action": fired.action or None,
        "error": fired.error,
        "time": format_time(fired.created),
        "shadow": fired.shadow,
    }


def _waiting(one: Waiting) -> JsonValue:
    return {
        "trigger": one.trigger,
        "key": one.key,
        "have": list(one.have),
        "need": list(one.need),
        "until": None if one.until is None else format_time(one.until),
        "count": one.count,
        "progress": one.progress,
        "held": [
            {"firing": held.firing, "reason": held.reason, "since": format_time(held.since), "asks": held.asks}
            for held in one.held
        ],
    }
