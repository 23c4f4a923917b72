"""Which sensors an event concerns: by exact address, by wildcards, and by what is told of their own firings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from retrain.events import Event
from sensors import Sensor, SensorDocument
from sensors.core.routing import REMEMBERED, Address, Matches, Routes


@dataclass
class Some:
    """What of a sensor is routed by."""

    name: str
    addresses: Collection[Address] = ()
    matchers: Collection[Matches] = ()


def routes(*sensors: Some) -> Routes:
    made = Routes()
    for one in sensors:
        made.add(one)
    return made


def event(source: str, name: str, **extensions: Any) -> Event:
    return Event(id="1", source=source, type="t", subject=name, extensions=extensions)


def starting(text: str) -> Matches:
    return lambda address: address[1].startswith(text)


def test_an_event_reaches_those_who_name_its_address_in_the_order_in_which_they_came() -> None:
    made = routes(Some("a", {("s", "x")}), Some("b", {("s", "x"), ("s", "y")}), Some("c", {("t", "x")}))

    assert made.caring(event("s", "x")) == ("a", "b")
    assert made.caring(event("s", "y")) == ("b",)
    assert made.caring(event("u", "x")) == ()


def test_wildcards_and_exact_names_meet_in_one_order_each_sensor_once() -> None:
    wild = Some("w", {("s", "x1")}, (starting("x"), starting("")))
    made = routes(Some("a", {("s", "x1")}), wild, Some("b", {("s", "x1")}))

    assert made.caring(event("s", "x1")) == ("a", "w", "b")
    assert made.caring(event("s", "x2")) == ("w",)
    made.remove("w")
    assert made.caring(event("s", "x2")) == ()
    assert made.caring(event("s", "x1")) == ("a", "b")


def test_a_sensor_of_the_same_name_takes_the_place_of_the_one_before() -> None:
    made = routes(Some("a", {("s", "x")}), Some("a", {("s", "y")}))

    assert made.caring(event("s", "x")) == ()
    assert made.caring(event("s", "y")) == ("a",)


def test_what_is_told_of_a_firing_reaches_its_sensor_and_nobody_by_a_forged_source() -> None:
    made = routes(Some("a", {("retrain", "run.succeeded")}), Some("b"))

    assert made.caring(event("retrain", "run.succeeded", retrainsensor="b")) == ("a", "b")
    assert made.caring(event("retrain", "run.succeeded", retrainsensor="a")) == ("a",)
    assert made.caring(event("retrain", "run.succeeded", retrainsensor="gone")) == ("a",)
    assert made.caring(event("webhook", "run.succeeded", retrainsensor="b")) == ()


def test_what_is_remembered_of_wildcards_is_bounded() -> None:
    made = routes(Some("w", (), (starting("n"),)))
    for number in range(REMEMBERED + 100):
        assert made.caring(event("s", f"n{number}")) == ("w",)
    assert len(made._resolved) <= REMEMBERED


def test_a_compiled_sensor_is_routed_by_its_dependencies() -> None:
    document = {
        "apiVersion": "retrain.dev/v1",
        "kind": "Sensor",
        "metadata": {"name": "s"},
        "spec": {
            "dependencies": [
                {"name": "exact", "eventSourceName": "lake", "eventName": "parts"},
                {"name": "wild", "eventSourceName": "lake-*", "eventName": "p?"},
            ],
            "triggers": [{"template": {"name": "t", "log": {}, "conditions": "exact || wild"}}],
        },
    }
    made = Routes()
    made.add(Sensor(SensorDocument.model_validate(document)))

    assert made.caring(event("lake", "parts")) == ("s",)
    assert made.caring(event("lake-7", "p1")) == ("s",)
    assert made.caring(event("lake-7", "p12")) == ()


names = st.sampled_from("abcd")
addresses = st.sets(st.tuples(st.sampled_from("st"), st.sampled_from("xyz")), max_size=4)


@given(st.lists(st.tuples(st.booleans(), names, addresses), max_size=20))
def test_after_any_changes_each_event_reaches_exactly_those_who_are_there(
    changes: list[tuple[bool, str, set[Address]]],
) -> None:
    made, there = Routes(), dict[str, set[Address]]()
    for adds, name, wanted in changes:
        if adds:
            made.add(Some(name, wanted))
            there[name] = wanted
        elif name in there:
            made.remove(name)
            del there[name]
    for source in "st":
        for subject in "xyz":
            found = made.caring(event(source, subject))
            assert set(found) == {name for name, wanted in there.items() if (source, subject) in wanted}
            assert len(found) == len(set(found))
