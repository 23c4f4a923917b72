"""The decision: what passes, what waits, what fires, and that the same events always decide the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import ConfigError
from retrain.events import Event
from sensors import Sensor, SensorDocument, explain, read_events
from sensors.core.cells import Cell, CellId
from sensors.core.course import Course
from sensors.core.step import Outcome, Step, Waiting

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def document(dependencies: list[dict[str, Any]], *triggers: dict[str, Any]) -> SensorDocument:
    return SensorDocument.model_validate(
        {
            "apiVersion": "retrain.dev/v1",
            "kind": "Sensor",
            "metadata": {"name": "s"},
            "spec": {"dependencies": dependencies, "triggers": [{"template": t} for t in triggers]},
        }
    )


def on(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": n, "eventSourceName": "src", "eventName": n, **more} for n in names]


def event(name: str, id_: str, data: Any = None, **more: Any) -> Event:
    return Event(id=id_, source="src", type="test", subject=name, data=data, **more)


class Played(NamedTuple):
    """What a sensor made of some events. `state`: what it keeps after them."""

    state: dict[CellId, Cell]
    steps: list[Step]
    waiting: list[Waiting]


def play(sensor: Sensor, events: list[Event]) -> Played:
    course = Course([sensor])
    steps = [taken.step for one in events for taken in course.take(one, NOW)]
    return Played(dict(course.cells("s")), steps, course.waiting("s"))


def log(name: str = "t", **more: Any) -> dict[str, Any]:
    return {"name": name, "log": {}, **more}


def test_an_and_keeps_the_newest_of_each_and_clears_when_it_fires() -> None:
    sensor = Sensor(document(on("a", "b"), log()))
    events = [event("a", "1"), event("a", "2"), event("b", "3"), event("b", "4")]

    _, steps, waiting = play(sensor, events)

    assert [len(s.firings) for s in steps] == [0, 0, 1, 0]
    assert steps[2].firings[0].events == (events[1].key, events[2].key)
    assert [(w.have, w.need) for w in waiting] == [(("b",), ("a",))]


def test_an_or_fires_at_once_with_the_event_alone() -> None:
    sensor = Sensor(document(on("a", "b"), log(conditions="a || b")))

    state, steps, _ = play(sensor, [event("a", "1"), event("b", "2")])

    assert [len(s.firings[0].events) for s in steps] == [1, 1]
    assert state == {}


def test_a_mixed_condition_fires_with_all_that_waits() -> None:
    sensor = Sensor(document(on("a", "b", "c"), log(conditions="(a && b) || c")))

    state, steps, _ = play(sensor, [event("a", "1"), event("c", "2")])

    assert len(steps[1].firings[0].events) == 2
    assert state == {}


def test_a_not_holds_back() -> None:
    sensor = Sensor(document(on("go", "stop"), log(conditions="go && !stop")))

    _, steps, _ = play(sensor, [event("stop", "1"), event("go", "2")])
    assert [len(s.firings) for s in steps] == [0, 0]

    _, steps, _ = play(sensor, [event("go", "2")])
    assert len(steps[0].firings) == 1


def test_each_trigger_waits_for_itself() -> None:
    sensor = Sensor(document(on("a", "b"), log("both"), log("any", conditions="a")))

    state, steps, _ = play(sensor, [event("a", "1")])

    assert [f.trigger for f in steps[0].firings] == ["any"]
    assert steps[0].decisions[0].reason == "both waits for b; any fired"
    assert set(state) == {CellId("join", "both", "")}


def test_an_event_that_came_before_changes_nothing() -> None:
    sensor = Sensor(document(on("a", "b"), log()))

    before = play(sensor, [event("a", "1")]).state
    after, steps, _ = play(sensor, [event("a", "1"), event("a", "1")])

    assert after == before
    assert steps[1].decisions[0].outcome == Outcome.DUPLICATE


def test_one_event_for_two_dependencies_is_one_firing() -> None:
    dependencies = [{"name": n, "eventSourceName": "src", "eventName": "x"} for n in ("a", "b")]

    _, steps, _ = play(Sensor(document(dependencies, log(conditions="a || b"))), [event("x", "1")])
    assert [len(steps[0].decisions), len(steps[0].firings)] == [2, 1]

    _, steps, _ = play(Sensor(document(dependencies, log())), [event("x", "1")])
    assert len(steps[0].firings) == 1


def test_an_event_of_another_name_is_unmatched() -> None:
    sensor = Sensor(document(on("a"), log()))

    step = sensor.step({}.get, event("b", "1"), NOW, {}.__getitem__)

    assert step.decisions[0].outcome == Outcome.UNMATCHED


def test_the_depth_of_a_firing_is_that_of_its_deepest_event() -> None:
    sensor = Sensor(document(on("a", "b"), log()))
    deep = event("a", "1", extensions={"retraindepth": 3})

    _, steps, _ = play(sensor, [deep, event("b", "2", extensions={"retraindepth": "1"})])

    assert steps[1].firings[0].depth == 3


@given(st.lists(st.tuples(st.sampled_from("abcx"), st.integers(0, 6)), max_size=25))
def test_a_replay_fires_the_same_and_duplicates_change_nothing(names: list[tuple[str, int]]) -> None:
    made = document(on("a", "b", "c"), log("t"), log("u", conditions="(a && b) || c"), log("v", conditions="a || b"))
    events = list({e.key: e for e in (event(n, f"{n}{i}") for n, i in names)}.values())

    assert play(Sensor(made), events) == play(Sensor(made), events)

    once, twice = explain(made, events), explain(made, [e for e in events for _ in range(2)])
    assert (twice["firings"], twice["waiting"]) == (once["firings"], once["waiting"])


def test_the_digest_is_that_of_the_spec() -> None:
    one, same, other = (Sensor(document(on(*names), log())) for names in (("a",), ("a",), ("b",)))

    assert one.digest == same.digest != other.digest


# --- actions ---


def fire(template: dict[str, Any], data: Any = None, **trigger: Any) -> Any:
    body = document(on("a"), template).model_dump(mode="json", by_alias=True, exclude_unset=True)
    body["spec"]["triggers"][0] |= trigger
    out = explain(SensorDocument.model_validate(body), [event("a", "1", data)])
    return out["firings"][0]


def param(dest: str, key: str, **more: Any) -> dict[str, Any]:
    return {"src": {"dependencyName": "a", "dataKey": key, **more}, "dest": dest}


def test_a_workflow_is_rendered_with_its_parameters() -> None:
    resource = {"kind": "Workflow", "spec": {"arguments": {"parameters": [{"name": "p", "value": "old"}]}}}
    workflow = {"source": {"resource": resource}, "parameters": [param("spec.arguments.parameters.0.value", "x")]}

    action = fire({"name": "t", "argoWorkflow": workflow}, {"x": 5}, retryStrategy={"steps": 3})["action"]

    assert action["operation"] == "submit"
    assert action["resource"]["spec"]["arguments"]["parameters"] == [{"name": "p", "value": "5"}]
    assert action["retryStrategy"] == {"steps": 3}
    assert resource["spec"]["arguments"]["parameters"][0]["value"] == "old"


def test_a_policy_goes_with_a_request_only() -> None:
    policy = {"status": {"allow": [200]}}

    assert fire({"name": "t", "http": {"url": "http://h/"}}, policy=policy)["action"]["policy"] == policy
    assert fire({"name": "t", "log": {}}, policy=policy)["action"] == {"kind": "log"}


def test_an_object_may_be_written_as_text() -> None:
    inline = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"

    action = fire({"name": "t", "k8s": {"operation": "create", "source": {"inline": inline}}})["action"]

    assert action["resource"]["kind"] == "ConfigMap"


def test_a_request_names_secrets_and_holds_none() -> None:
    http = {
        "url": "http://h/",
        "method": "PUT",
        "headers": {"X-A": "1"},
        "secureHeaders": [{"name": "Auth", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        "dynamicHeaders": [param("X-Id", "id")],
        "payload": [param("m.n", "n", useRawData=True)],
        "timeout": 5,
    }

    action = fire({"name": "t", "http": http}, {"id": 7, "n": 1})["action"]

    assert action["headers"] == {"X-A": "1", "X-Id": "7"}
    assert action["secureHeaders"] == http["secureHeaders"]
    assert (action["payload"], action["method"], action["timeout"]) == ({"m": {"n": 1}}, "PUT", 5)


def test_a_whole_payload_that_is_text_is_sent_as_text() -> None:
    action = fire({"name": "t", "http": {"url": "http://h/", "payload": [param("", "x")]}}, {"x": "plain"})["action"]

    assert (action["payload"], action["body"]) == ("plain", "plain")


def test_a_candidate_is_filled_from_the_run() -> None:
    data = {"run": {"id": "r-1"}, "outputs": {"parameters": {"digest": "sha256:1", "metrics": {"accuracy": 0.9}}}}
    promotion = {
        "name": "digits",
        "candidate": {"uri": "s3://m"},
        "parameters": [
            param("digest", "outputs.parameters.digest"),
            param("metrics", "outputs.parameters.metrics", useRawData=True),
            param("run", "run.id"),
        ],
    }

    action = fire({"name": "t", "promotion": promotion}, data)["action"]

    assert action == {
        "kind": "promotion",
        "promotion": "digits",
        "candidate": {"uri": "s3://m", "digest": "sha256:1", "metrics": {"accuracy": 0.9}, "run": "r-1"},
    }


def test_parameters_of_the_trigger_change_the_template() -> None:
    template = {"name": "t", "http": {"url": "http://h/old", "payload": [param("x", "x")]}}

    firing = fire(template, {"x": 1, "u": "http://h/new"}, parameters=[param("http.url", "u")])

    assert (firing["trigger"], firing["action"]["url"], firing["action"]["payload"]) == (
        "t",
        "http://h/new",
        {"x": "1"},
    )


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (param("http.payload.0.operation", "u"), "unknown operation"),
        (param("http.timeout", "u"), "timeout"),
        (param("http.nonsense", "u"), "nonsense"),
        (param("http.headers.0", "missing"), "'missing'"),
    ],
)
def test_a_template_that_its_parameters_spoil_is_an_error_of_the_firing(parameter: Any, words: str) -> None:
    template = {"name": "t", "http": {"url": "http://h/", "payload": [param("x", "u")]}}

    firing = fire(template, {"u": "no"}, parameters=[parameter])

    assert firing["action"] is None
    assert words in firing["error"]


def test_a_kind_that_is_not_built_cannot_be_compiled() -> None:
    with pytest.raises(ConfigError, match="azureServiceBus trigger is not built"):
        Sensor(document(on("a"), {"name": "t", "azureServiceBus": {"queueName": "q"}}))


# --- explain ---


def test_explain_shows_every_event_and_what_is_waited_for() -> None:
    made = document(on("a", "b"), log())
    made = SensorDocument.model_validate(
        made.model_dump(by_alias=True, exclude_unset=True)
        | {
            "spec": {
                "dependencies": [
                    on("a", filters={"data": [{"path": "n", "type": "number", "comparator": ">", "value": ["1"]}]})[0],
                    on("b")[0],
                ],
                "triggers": [{"template": log()}],
            }
        }
    )
    low, high = event("a", "low", {"n": 1}), event("a", "high", {"n": 2})

    out = explain(made, [low, high, high, event("z", "other")])

    assert [(e["id"], e["dependency"], e["outcome"]) for e in out["events"]] == [
        ("low", "a", "filtered"),
        ("high", "a", "passed"),
        ("high", None, "duplicate"),
        ("other", None, "unmatched"),
    ]
    assert out["events"][0]["filters"] == [{"kind": "data", "path": "n", "passed": False, "reason": "n is 1, not > 1"}]
    assert [(w["trigger"], w["key"], w["have"], w["need"]) for w in out["waiting"]] == [("t", "", ["a"], ["b"])]
    assert out["firings"] == []


LINE = '{"specversion":"1.0","id":"%d","source":"src","type":"t","data":{"a":[1]}}'


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (LINE % 1, ["1"]),
        ((LINE % 1).replace(",", ",\n  "), ["1"]),
        (f"{LINE % 1}\n{LINE % 2}\n\n", ["1", "2"]),
        (f"[{LINE % 1},\n{LINE % 2}]", ["1", "2"]),
        ("[]", []),
        (f'{{"items": [{LINE % 2}, {LINE % 1}], "next": null}}', ["1", "2"]),
    ],
)
def test_a_file_holds_one_event_a_list_lines_or_a_page_with_the_newest_first(text: str, ids: list[str]) -> None:
    assert [one.id for one in read_events(text)] == ids


def test_a_line_that_is_no_event_is_named() -> None:
    with pytest.raises(ConfigError, match="line 2: id: is missing"):
        read_events(f'{LINE % 1}\n{{"specversion":"1.0","source":"s","type":"t"}}')
