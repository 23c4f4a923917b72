"""A sensor played by hand: events with a name, an id and a moment in; what came of them, in short, out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from retrain.events import Event
from sensors import Sensor, SensorDocument
from sensors.core.cells import CellId
from sensors.core.course import Course, Taken
from sensors.core.outcome import Decision, Fired

START = datetime(2026, 11, 20, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def on(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": n, "eventSourceName": "src", "eventName": n, **more} for n in names]


def trigger(name: str = "t", **more: Any) -> dict[str, Any]:
    template: dict[str, Any] = {"name": name, "log": {}}
    for field in ("conditions", "conditionsReset"):
        if field in more:
            template[field] = more.pop(field)
    return {"template": template, **more}


def document(
    dependencies: Sequence[dict[str, Any]], *triggers: dict[str, Any], argo: bool = False, **spec: Any
) -> SensorDocument:
    return SensorDocument.model_validate(
        {
            "apiVersion": "argoproj.io/v1alpha1" if argo else "retrain.dev/v1",
            "kind": "Sensor",
            "metadata": {"name": "s"},
            "spec": {"dependencies": list(dependencies), "triggers": list(triggers), **spec},
        }
    )


def event(name: str, id_: str, data: Any = None, **more: Any) -> Event:
    return Event(**{"id": id_, "source": "src", "type": "test", "subject": name, "data": data, **more})


def lifecycle(subject: str, fired: Fired, data: Any = None, number: int = 0) -> Event:
    """What the platform tells of a firing of sensor `s`."""
    whose = {"retrainsensor": "s", "retraintrigger": fired.trigger, "retrainfiring": fired.id}
    return Event(f"{fired.id}.{subject}.{number}", "retrain", "t", subject, data=data, extensions=whose)


class Play:
    """Plays one sensor. Seconds count from START."""

    def __init__(self, made: SensorDocument, **more: Any) -> None:
        self.sensor = Sensor(made)
        self.course = Course([self.sensor], **more)
        self.taken: list[Taken] = list(self.course.begin(START))

    def say(self, seconds: float, name: str, id_: str, data: Any = None, **more: Any) -> list[str]:
        """An event arrives; the ids of the events of each firing that follows, joined by `+`."""
        return self.hear(seconds, event(name, id_, data, **more))

    def hear(self, seconds: float, one: Event) -> list[str]:
        """As `say`."""
        return self._note(self.course.take(one, at(seconds)))

    def wait(self, seconds: float) -> list[str]:
        """Time passes."""
        return self._note(self.course.run_until(at(seconds)))

    def _note(self, taken: Sequence[Taken]) -> list[str]:
        self.taken += taken
        return [self.ids(fired) for one in taken for fired in one.step.firings]

    def ids(self, fired: Fired) -> str:
        return "+".join(self.course.load(key).id for key in fired.events)

    @property
    def fired(self) -> list[Fired]:
        return [fired for one in self.taken for fired in one.step.firings]

    @property
    def decisions(self) -> list[Decision]:
        return [decision for one in self.taken for decision in one.step.decisions]

    @property
    def last(self) -> Decision:
        return self.decisions[-1]

    @property
    def emitted(self) -> list[Event]:
        return [event for one in self.taken for event in one.step.emitted]

    @property
    def stops(self) -> list[str]:
        return [firing for one in self.taken for firing in one.step.stops]

    def cell(self, kind: str, part: str = "t", key: str = "") -> Any:
        return self.course.cells("s").get(CellId(kind, part, key))

    def waiting(self) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
        return [(one.trigger, one.key, one.have, one.need) for one in self.course.waiting("s")]

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(one.outcome.value, one.reason) for one in self.decisions]
