"""What a Sensor makes of some events, without a platform: the answer of `retrain sensors explain`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import orjson

from retrain.errors import EventError
from retrain.events import Event, EventKey, JsonValue, batch_from_json, from_json
from sensors.content import Content, ContentError
from sensors.filters import Check
from sensors.spec import SensorDocument
from sensors.step import Decision, Fired, Outcome, Sensor, State, Step, Waiting

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


def explain(document: SensorDocument, events: Sequence[Event], now: datetime | None = None) -> dict[str, JsonValue]:
    """The decisions, firings and what is still waited for, in the JSON of `sensors explain`.

    Nothing is written or sent anywhere, and the same events give the same answer. An event that comes twice is a
    duplicate the second time.

    Raises:
        ConfigError: the Sensor cannot be compiled.
    """
    sensor = Sensor(document)
    known: dict[EventKey, Event] = {}
    state: State = {}
    entries: list[JsonValue] = []
    firings: list[JsonValue] = []
    for event in events:
        key = event.key
        if key in known:
            step = Step((Decision(None, Outcome.DUPLICATE, f"event {event.id} of {event.source} came before"),))
        else:
            known[key] = event
            state, step = sensor.step(state, event, now or event.time or _EPOCH, known.__getitem__)
        entries += [_entry(event, decision) for decision in step.decisions]
        firings += [_firing(fired, known) for fired in step.firings]
    waiting = [_waiting(one) for one in sensor.waiting(state)]
    return {"sensor": sensor.name, "events": entries, "firings": firings, "waiting": waiting}


def _entry(event: Event, decision: Decision) -> JsonValue:
    return {
        "id": event.id,
        "source": event.source,
        "subject": event.subject,
        "dependency": decision.dependency,
        "outcome": decision.outcome.value,
        "reason": decision.reason,
        "data": _data(event),
        "filters": [describe_check(check) for check in decision.checks],
    }


def describe_check(check: Check) -> dict[str, JsonValue]:
    """One filter's answer, as JSON shows it."""
    return {"kind": check.kind, "path": check.path, "passed": check.passed, "reason": check.reason}


def _data(event: Event) -> JsonValue:
    try:
        return orjson.loads(Content(event).data)
    except ContentError:
        return None


def _firing(fired: Fired, known: dict[EventKey, Event]) -> JsonValue:
    return {
        "id": fired.id,
        "trigger": fired.trigger,
        "key": fired.key,
        "events": [known[key].id for key in fired.events],
        "action": fired.action or None,
        "error": fired.error,
    }


def _waiting(one: Waiting) -> JsonValue:
    return {"trigger": one.trigger, "key": one.key, "have": list(one.have), "need": list(one.need)}
