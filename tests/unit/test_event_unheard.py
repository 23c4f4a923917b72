"""Why a sensor said nothing of an event: it asks for others, and the nearest is named; or it could not hear it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from retrain.app.sensing.unheard import Hearing, unheard
from retrain.events import Event
from sensors import SensorDocument
from sensors.core.addresses import compile_address

NAMES = st.text("ab*?/", max_size=4)


def sensor(name: str, *addresses: tuple[str, str], mode: str = "active") -> SensorDocument:
    dependencies = [
        {"name": f"d{n}", "eventSourceName": source, "eventName": event} for n, (source, event) in enumerate(addresses)
    ]
    body: dict[str, Any] = {"mode": mode, "dependencies": dependencies, "triggers": []}
    return SensorDocument.model_validate(
        {"apiVersion": "retrain.dev/v1", "kind": "Sensor", "metadata": {"name": name}, "spec": body}
    )


def event(source: str, subject: str | None) -> Event:
    return Event(id="e", source=source, subject=subject, type="t")


def said(one: SensorDocument, read: dict[str, int] | None = None, position: int = 5) -> dict[str, Any]:
    known = Hearing({one.name: 9} if read is None else read, position)
    return unheard(event("lake", "labels"), [one], (), known)[0]


def test_the_nearest_dependency_is_named_and_what_is_another() -> None:
    found = said(sensor("s", ("shop", "orders"), ("lake", "lables")))

    assert found["nearest"] == {"dependency": "d1", "source": "lake", "name": "lables"}
    assert "waits for lake/lables: another name" in found["reason"]
    assert "another source" in said(sensor("s", ("like", "labels")))["reason"]
    assert said(sensor("s"))["reason"] == "it has no dependency at all"


def test_one_that_asks_for_it_says_why_it_did_not_hear() -> None:
    asking = sensor("s", ("lake", "lab*"))

    assert "has read the log to 3 so far; this event is at 5" in said(asking, {"s": 3})["reason"]
    assert "has not run here yet" in said(asking, {})["reason"]
    assert "suspended" in said(sensor("s", ("lake", "labels"), mode="suspended"))["reason"]
    assert "no decision on record" in said(asking)["reason"]


def test_those_that_ask_come_first_then_the_nearest_and_who_decided_is_left_out() -> None:
    sensors = [sensor("far", ("x", "y")), sensor("near", ("lake", "label")), sensor("asks", ("lake", "*"))]
    found = unheard(event("lake", "labels"), [*sensors, sensor("heard", ("lake", "labels"))], {"heard"}, Hearing({}, 1))

    assert [one["sensor"] for one in found] == ["asks", "near", "far"]


@given(st.lists(st.tuples(NAMES, NAMES), max_size=4), NAMES, NAMES)
def test_it_asks_if_one_of_its_dependencies_matches(addresses: list[tuple[str, str]], source: str, name: str) -> None:
    one = unheard(event(source or "x", name or None), [sensor("s", *addresses)], (), Hearing({}, 1))[0]
    at = (source or "x", name)
    matches = (compile_address(*address) for address in addresses)

    assert one["asks"] == any(match == at if isinstance(match, tuple) else match(at) for match in matches)
    assert (one["nearest"] is None) == (not addresses)
    assert one["reason"]
