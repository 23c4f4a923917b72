"""Joins and windows against the slow reference, on random sensors and events: the same firings at the same times.

Some 25,000 events in all (100,000 with RETRAIN_TEST_FAULTS=all), over sensors of every shape: keys, dedupe, windows of
dependencies and triggers with every field, sequences, conditions with `!`, every N-th.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from retrain.events import Event
from sensors import Sensor, SensorDocument
from sensors.core.course import Course
from sensors.core.outcome import Outcome
from tests.support.sensor_reference import Came, Given, Reference
from tests.support.size import size

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SENSORS = 40
EVENTS = 125
SEEDS = size(5, 20)
CONDITIONS = ("", "a", "a && b", "a || b", "(a && b) || c", "a && (b || c)", "a && !b", "a && b && c", "a && b && !c")


def seconds(length: int) -> str:
    return f"{length}s"


class Dice:
    """A random sensor in both forms: for the reference, and as a document."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.keyed = chance.random() < 0.6
        names = ["a", "b", "c"]
        self.dependencies = [self._dependency(name) for name in names]
        self.triggers = [self._trigger(f"t{number}") for number in range(chance.randint(1, 3))]

    def _maybe(self, share: float) -> bool:
        return self._chance.random() < share

    def _window(self, *, of_dependency: bool) -> dict[str, Any]:
        window: dict[str, Any] = {}
        if self._maybe(0.4):
            window["count"] = self._chance.randint(1, 4)
        if self._maybe(0.2):
            window["sum"] = self._chance.randint(1, 12)
        if self._maybe(0.2):
            window["expect"] = self._chance.choice([{"of": ["x", "y"]}, {"count": 3, "missing": 1}, {"count": 2}])
        if self._maybe(0.3):
            window["quiet"] = self._chance.randint(1, 30)
        if self._maybe(0.3):
            window["maxWait"] = self._chance.randint(1, 60)
        if of_dependency and not window:
            window["count"] = 2
        if self._maybe(0.5):
            window["within"] = self._chance.randint(1, 90)
            window["onTimeout"] = self._chance.choice(["drop", "fire", "alert"])
        return window

    def _dependency(self, name: str) -> dict[str, Any]:
        one: dict[str, Any] = {"name": name, "source": "s", "event": name}
        if self.keyed:
            one["key"] = "k"
        if self._maybe(0.2):
            one["dedupe"] = {"key": "d", "ttl": self._chance.randint(1, 40)}
        if self._maybe(0.2):
            one["window"] = self._window(of_dependency=True)
        return one

    def _trigger(self, name: str) -> dict[str, Any]:
        one: dict[str, Any] = {"name": name}
        if self._maybe(0.15):
            order = ["a", "b", "c"]
            self._chance.shuffle(order)
            one["sequence"] = order[: self._chance.randint(2, 3)]
            if self._maybe(0.5):
                one["limits"] = {"within": self._chance.randint(1, 60), "onTimeout": "drop"}
        else:
            one["conditions"] = self._chance.choice(CONDITIONS)
            if self._maybe(0.6):
                one["window"] = self._window(of_dependency=False)
        if self._maybe(0.2):
            one["every"] = self._chance.randint(2, 3)
        return one

    def events(self) -> list[Given]:
        at = 0
        given: list[Given] = []
        for number in range(EVENTS):
            at += self._chance.choice((0, 0, 1, 2, 5, 20))
            data = {
                "k": self._chance.choice("pqr"),
                "d": self._chance.choice("uvw"),
                "m": self._chance.choice("xyz"),
                "n": self._chance.randint(0, 5),
            }
            given.append(Given(at, "s", self._chance.choice("abc"), f"e{number}", data))
        return given

    # --- as a document ---

    def document(self) -> SensorDocument:
        spec = {
            "dependencies": [self._written(one) for one in self.dependencies],
            "triggers": [self._written_trigger(one) for one in self.triggers],
        }
        body = {"apiVersion": "retrain.dev/v1", "kind": "Sensor", "metadata": {"name": "s"}, "spec": spec}
        return SensorDocument.model_validate(body)

    def _written(self, one: dict[str, Any]) -> dict[str, Any]:
        written = {"name": one["name"], "eventSourceName": one["source"], "eventName": one["event"]}
        if "key" in one:
            written["key"] = one["key"]
        if "dedupe" in one:
            written["dedupe"] = {"key": "d", "ttl": seconds(one["dedupe"]["ttl"])}
        if "window" in one:
            written["window"] = self._written_window(one["window"])
        return written

    def _written_trigger(self, one: dict[str, Any]) -> dict[str, Any]:
        template = {"name": one["name"], "log": {}, "conditions": one.get("conditions", "")}
        written: dict[str, Any] = {"template": template}
        if "sequence" in one:
            limits = one.get("limits")
            more = {"within": seconds(limits["within"]), "onTimeout": "drop"} if limits else {}
            written["sequence"] = {"order": one["sequence"], **more}
        if "window" in one:
            written["window"] = self._written_window(one["window"])
        if "every" in one:
            written["every"] = one["every"]
        return written

    def _written_window(self, window: dict[str, Any]) -> dict[str, Any]:
        written: dict[str, Any] = {
            name: seconds(window[name]) for name in ("quiet", "maxWait", "within") if name in window
        }
        written |= {name: window[name] for name in ("count", "onTimeout") if name in window}
        if "sum" in window:
            written["sum"] = {"path": "n", "atLeast": window["sum"]}
        if "expect" in window:
            written["expect"] = {**window["expect"], "by": "m"}
        return written


def ours(document: SensorDocument, events: list[Given], until: int) -> Came:
    """What the sensors room makes of it."""
    course = Course([Sensor(document)], now=BEGIN)
    came = Came()
    taken = course.begin(BEGIN)
    for one in events:
        moment = BEGIN + timedelta(seconds=one.at)
        event = Event(id=one.id, source=one.source, subject=one.name, type="t", time=moment, data=one.data)  # type: ignore[arg-type]
        taken += course.take(event, moment)
    taken += course.run_until(BEGIN + timedelta(seconds=until))
    for one in taken:
        for fired in one.step.firings:
            ids = tuple(course.load(key).id for key in fired.events)
            came.firings.append((second(fired.created), fired.trigger, fired.key, ids))
        for decision in one.step.decisions:
            if decision.outcome is Outcome.EXPIRED and decision.trigger:
                came.expired.append((second(one.now), decision.trigger, decision.key, ()))
    return came


def second(moment: datetime) -> int:
    return int((moment - BEGIN).total_seconds())


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_fires_is_what_the_plain_rules_say(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(SENSORS):
        dice = Dice(chance)
        events = dice.events()
        until = events[-1].at + 200

        expected = Reference(dice.dependencies, dice.triggers).run(events, until)
        found = ours(dice.document(), events, until)

        told = f"{dice.dependencies}\n{dice.triggers}"
        assert sorted(found.firings) == sorted(expected.firings), told
        assert sorted(one[:3] for one in found.expired) == sorted(one[:3] for one in expected.expired), told
