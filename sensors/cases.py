"""Runs the cases that stand beside a Sensor: events in, firings out, and what differs from what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from retrain.errors import ConfigError
from retrain.events import Event, EventKey, JsonValue, from_dict
from sensors import outside
from sensors.case_spec import Case, Expected, ExpectedDecision, ExpectedFiring, Given
from sensors.core.course import Course, Taken
from sensors.core.outcome import Decision, Fired, Waiting
from sensors.core.step import Sensor


@dataclass(slots=True)
class Outcome:
    """What came of a case. `wrong`: the differences, in words."""

    firings: list[Fired] = field(default_factory=list[Fired])
    decisions: list[tuple[Decision, EventKey | None]] = field(default_factory=list[tuple[Decision, EventKey | None]])
    waiting: list[Waiting] = field(default_factory=list[Waiting])
    wrong: list[str] = field(default_factory=list[str])


def run_case(sensor: Sensor, case: Case) -> Outcome:
    """Let happen what the case says, and compare.

    Raises:
        ConfigError: a given event is none, or time goes backwards.
    """
    return _Run(sensor, case).run()


class _Run:
    def __init__(self, sensor: Sensor, case: Case) -> None:
        self._sensor = sensor
        self._case = case
        self._course = Course([sensor], now=case.begin)
        self._outcome = Outcome()
        self._running: list[Fired] = []
        self._names: dict[EventKey, str] = {}

    def run(self) -> Outcome:
        now = self._case.begin
        self._keep(self._course.begin(now))
        for number, one in enumerate(self._case.given, 1):
            now = self._moment(one, number, now)
            self._happen(one, number, now)
        if self._case.until is not None:
            self._keep(self._course.run_until(self._absolute(self._case.until)))
        self._outcome.waiting = self._course.waiting(self._sensor.name)
        self._outcome.wrong = list(self._compare(self._case.expect))
        return self._outcome

    # --- what happens ---

    def _moment(self, one: Given, number: int, now: datetime) -> datetime:
        moment = now if one.at is None else self._absolute(one.at)
        if moment < now:
            raise ConfigError(f"given {number}: it happens before the one before it")
        return moment + one.wait if one.wait is not None else moment

    def _absolute(self, moment: timedelta | datetime) -> datetime:
        return self._case.begin + moment if isinstance(moment, timedelta) else moment

    def _happen(self, one: Given, number: int, now: datetime) -> None:
        if one.run is not None:
            # Timers before it may have fired what it ends.
            self._keep(self._course.run_until(now))
            fired = self._oldest(one.run.trigger, number)
            said: dict[str, JsonValue] = {"outputs": {"parameters": one.run.outputs}}
            said["resources"] = cast("JsonValue", one.run.resources)
            self._take(outside.ended(self._sensor.name, fired, now, one.run.phase, said), now)
        elif one.approve or one.reject:
            self._keep(self._course.run_until(now))
            trigger = one.approve or one.reject
            held = self._asking(trigger, number)
            self._take(outside.approval(self._sensor.name, trigger, held, now, granted=bool(one.approve)), now)
        elif one.wait is not None:
            self._keep(self._course.run_until(now))
        else:
            self._take(_event(one, number, now), now)

    def _take(self, event: Event, now: datetime) -> None:
        self._names[event.key] = event.id
        self._keep(self._course.take(event, now))

    def _keep(self, taken: Sequence[Taken]) -> None:
        for one in taken:
            key = None if one.event is None else one.event.key
            if one.event is not None:
                self._names[one.event.key] = one.event.id
            self._outcome.decisions += [(decision, decision.event or key) for decision in one.step.decisions]
            self._names |= {event.key: event.id for event in one.step.emitted}
            for fired in one.step.firings:
                self._outcome.firings.append(fired)
                self._follow(fired, one.now)

    def _follow(self, fired: Fired, now: datetime) -> None:
        """It is carried out at once; a workflow goes on until the case says that its run has ended."""
        if fired.error is None and not fired.shadow and outside.starts_run(fired.action):
            self._running.append(fired)
        if fired.tracked and not fired.shadow:
            self._take(outside.done(self._sensor.name, fired, now), now)

    def _oldest(self, trigger: str, number: int) -> Fired:
        for fired in self._running:
            if fired.trigger == trigger:
                self._running.remove(fired)
                return fired
        raise ConfigError(f"given {number}: no run of {trigger!r} is there that could end")

    def _asking(self, trigger: str, number: int) -> str:
        for one in self._course.waiting(self._sensor.name):
            for held in one.held:
                if one.trigger == trigger and held.asks:
                    return held.firing
        raise ConfigError(f"given {number}: no firing of {trigger!r} asks for an approval")

    # --- what was expected ---

    def _compare(self, expected: Expected) -> Iterator[str]:
        if expected.firings is not None:
            yield from self._compare_firings(expected.firings)
        if expected.waiting is not None:
            waiting = [one for one in self._outcome.waiting if one.have or one.need]
            for index, one in enumerate(expected.waiting):
                if index >= len(waiting):
                    yield f"waiting {index + 1}: {one.trigger} {one.key!r} was expected, and nothing more waits"
                    continue
                found = waiting[index]
                yield from _differ(
                    f"waiting {index + 1}",
                    ("trigger", one.trigger, found.trigger),
                    ("key", one.key, found.key),
                    ("have", one.have, found.have),
                    ("need", one.need, found.need),
                )
            for found in waiting[len(expected.waiting) :]:
                yield f"{found.trigger} {found.key!r} waits with {', '.join(found.have)}, which was not expected"
        for one in expected.decisions:
            if not any(self._fits(one, decision, key) for decision, key in self._outcome.decisions):
                yield f"no decision is {_words(one)}"

    def _compare_firings(self, expected: Sequence[ExpectedFiring]) -> Iterator[str]:
        firings = self._outcome.firings
        for index, one in enumerate(expected):
            where = f"firing {index + 1}"
            if index >= len(firings):
                yield f"{where}: {one.trigger} was expected to fire, and nothing more did"
                continue
            fired = firings[index]
            events = tuple(self._names.get(key, key) for key in fired.events)
            at = None if one.at is None else self._absolute(one.at)
            yield from _differ(
                where,
                ("trigger", one.trigger, fired.trigger),
                ("key", one.key, fired.key),
                ("events", one.events, events),
                ("at", at, fired.created),
            )
            if one.error is None and fired.error is not None:
                yield f"{where}: its action cannot be made: {fired.error}"
            elif one.error is not None and one.error not in (fired.error or ""):
                yield f"{where}: error {one.error!r} was expected, it has {fired.error!r}"
            if one.action is not None:
                yield from _missing(one.action, fired.action, f"{where}: action")
        for fired in firings[len(expected) :]:
            names = ", ".join(self._names.get(key, key) for key in fired.events)
            yield f"{fired.trigger} fired with {names} at {fired.created - self._case.begin}, which was not expected"

    def _fits(self, one: ExpectedDecision, decision: Decision, key: EventKey | None) -> bool:
        name = self._names.get(key, "") if key else ""
        return (
            one.outcome == decision.outcome.value
            and one.reason in decision.reason
            and one.event in (None, name)
            and one.dependency in (None, decision.dependency)
            and one.trigger in (None, decision.trigger)
        )


def _event(one: Given, number: int, now: datetime) -> Event:
    if one.event is not None:
        try:
            return from_dict({"specversion": "1.0", **one.event})
        except ConfigError as error:
            raise ConfigError(f"given {number}: {error}") from error
    return Event(
        id=one.id or f"event-{number}",
        source=one.source,
        subject=one.name,
        type=one.type or "dev.retrain.case",
        time=one.time or now,
        datacontenttype="application/json",
        data=one.data,
    )


def _differ(where: str, *pairs: tuple[str, object, object]) -> Iterator[str]:
    for what, expected, found in pairs:
        if expected is not None and expected != found:
            yield f"{where}: {what} {_shown(expected)} was expected, it is {_shown(found)}"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(str(one) for one in cast("tuple[object, ...]", value)) + "]"
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else repr(value)


def _missing(expected: JsonValue, found: JsonValue, where: str) -> Iterator[str]:
    """Where what was found is not at least what was expected. A list is compared element by element."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name, member in expected.items():
            if name not in found:
                yield f"{where}.{name} is missing"
            else:
                yield from _missing(member, found[name], f"{where}.{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (member, other) in enumerate(zip(expected, found, strict=True)):
            yield from _missing(member, other, f"{where}[{index}]")
    elif expected != found:
        yield f"{where} {expected!r} was expected, it is {found!r}"


def _words(one: ExpectedDecision) -> str:
    parts = [f"{name} {value!r}" for name, value in one.model_dump(exclude_defaults=True).items()]
    return ", ".join(parts)
