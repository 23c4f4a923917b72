"""From a trigger and the events that met to the action: what of it comes from where."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from retrain.errors import ConfigError
from retrain.events import Event
from sensors.actions.match import Match
from sensors.actions.parameters import RenderError
from sensors.actions.render import compile_trigger
from sensors.filtering.content import Content
from sensors.trigger_spec import Trigger
from triggers.object_change import adjusted

NOW = datetime(2026, 11, 20, tzinfo=UTC)
EVENT = Event(
    id="1", source="src", type="webhook", subject="x", data={"body": {"a": "b", "n": 7, "url": "http://other/x"}}
)
MATCH = Match("f-1", "", {"d": [EVENT.key]}, NOW, NOW, "", lambda _name, _key: Content(EVENT))
A = {"dependencyName": "d", "dataKey": "body.a"}
N = {"dependencyName": "d", "dataKey": "body.n", "useRawData": True}


def trigger(template: dict[str, Any], **more: Any) -> Trigger:
    return Trigger.model_validate({"template": {"name": "t", **template}, **more})


def render(template: dict[str, Any], **more: Any) -> dict[str, Any]:
    return compile_trigger(trigger(template, **more))(MATCH)


def test_an_http_action_has_its_payload_and_headers_from_events() -> None:
    http = {
        "url": "http://x/",
        "headers": {"X-Fixed": "1", "X-Dynamic": "old"},
        "payload": [{"src": A, "dest": "p"}],
        "parameters": [{"src": A, "dest": "method"}],
        "dynamicHeaders": [{"src": N, "dest": "X-Dynamic"}],
    }

    assert render({"http": http}) == {
        "kind": "http",
        "url": "http://x/",
        "method": "b",
        "headers": {"X-Fixed": "1", "X-Dynamic": "7"},
        "payload": {"p": "b"},
    }


def test_a_payload_that_is_a_text_as_a_whole_is_sent_as_it_is() -> None:
    action = render({"http": {"url": "http://x/", "payload": [{"src": A}]}})

    assert (action["payload"], action["body"]) == ("b", "b")


@pytest.mark.parametrize(("kind", "operation"), [("argoWorkflow", "submit"), ("k8s", "create")])
def test_an_object_is_filled_by_the_parameters_of_its_kind(kind: str, operation: str) -> None:
    source = {"resource": {"kind": "Workflow", "metadata": {"name": "w"}}}

    action = render({kind: {"source": source, "parameters": [{"src": N, "dest": "spec.n"}]}})

    assert (action["kind"], action["operation"]) == (kind, operation)
    assert action["resource"] == {"kind": "Workflow", "metadata": {"name": "w"}, "spec": {"n": 7}}
    assert source["resource"] == {"kind": "Workflow", "metadata": {"name": "w"}}


def test_parameters_of_a_live_object_are_kept_for_whoever_has_it() -> None:
    source = {"resource": {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "w"}}}
    dest = "spec.template.spec.containers.0.image"
    parameters = [{"src": A, "dest": dest, "operation": "append"}, {"src": N, "dest": "spec.replicas"}]
    k8s = {"operation": "update", "liveObject": True, "source": source, "parameters": parameters}

    action = render({"k8s": k8s})

    assert action["live"] == [
        {"dest": dest, "value": "b", "operation": "append"},
        {"dest": "spec.replicas", "value": 7, "operation": "overwrite"},
    ]
    live = {
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "c", "image": "a:"}, {"name": "d"}]}}}
    }
    assert adjusted(live, action["live"])["spec"] == {
        "replicas": 7,
        "template": {"spec": {"containers": [{"name": "c", "image": "a:b"}, {"name": "d"}]}},
    }


def test_a_triggers_own_parameters_change_whatever_stands_in_its_template() -> None:
    parameters = [
        {"src": {"dependencyName": "d", "dataKey": "body.url"}, "dest": "http.url"},
        {"src": N, "dest": "http.timeout"},
        {"src": {"dependencyName": "d", "value": "POST"}, "dest": "http.method"},
        {"src": A, "dest": "http.payload.0.src.value"},
    ]
    http = {"url": "http://x/", "payload": [{"src": {"dependencyName": "d"}, "dest": "p"}]}

    assert render({"http": http}, parameters=parameters) == {
        "kind": "http",
        "url": "http://other/x",
        "timeout": 7,
        "method": "POST",
        "payload": {"p": "b"},
    }


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ({"src": A, "dest": "http.nope"}, "http.nope"),
        ({"src": A, "dest": "http.timeout"}, "http.timeout"),
        ({"src": A, "dest": "http"}, "http"),
        ({"src": {"dependencyName": "d", "dataKey": "body", "useRawData": True}, "dest": "log"}, "log"),
        ({"src": {"dependencyName": "d", "dataKey": "body.no"}, "dest": "http.url"}, "has no 'body"),
    ],
)
def test_a_template_that_its_parameters_break_is_an_error_of_the_firing(parameter: dict[str, Any], words: str) -> None:
    made = compile_trigger(trigger({"http": {"url": "http://x/"}}, parameters=[parameter]))

    with pytest.raises(RenderError, match=words):
        made(MATCH)


def test_what_execution_must_know_goes_along() -> None:
    more = {"retryStrategy": {"steps": 3}, "policy": {"status": {"allow": [200]}}}

    assert render({"http": {"url": "http://x/"}}, **more) == {"kind": "http", "url": "http://x/", **more}
    assert render({"log": {}}, **more) == {"kind": "log", "retryStrategy": {"steps": 3}}


def test_of_a_policy_goes_along_what_means_something_for_the_kind() -> None:
    labels = {"labels": {"done": "yes"}}
    both = {"status": {"allow": [200]}, "k8s": labels}
    workflow = {"argoWorkflow": {"source": {"resource": {"kind": "Workflow"}}}}

    assert render({"http": {"url": "http://x/"}}, policy=both)["policy"] == {"status": {"allow": [200]}}
    assert render(workflow, policy=both)["policy"] == {"k8s": labels}
    assert "policy" not in render(workflow, policy={"status": {"allow": [200]}})
    assert "policy" not in render({"log": {}}, policy=both)


def test_a_call_of_other_sensors_has_a_name_and_a_payload() -> None:
    call = {"eventName": "again", "payload": [{"src": N, "dest": "n"}]}

    assert render({"retrain": call}) == {"kind": "retrain", "eventName": "again", "payload": {"n": 7}}
    assert render({"retrain": {"eventName": "again"}}) == {"kind": "retrain", "eventName": "again"}
    named = {"eventName": "", "parameters": [{"src": A, "dest": "eventName"}]}
    assert render({"retrain": named})["eventName"] == "b"


def test_under_argos_name_a_window_means_nothing() -> None:
    """Upstream drops the field, and then takes what is left for its own."""
    count = {"src": {"dependencyName": "d", "dataKey": "body.a", "window": "count"}, "dest": "p"}
    headers = [{**count, "dest": "X-P"}]
    one = trigger(
        {"http": {"url": "http://x/", "payload": [count], "dynamicHeaders": headers}},
        parameters=[{**count, "dest": "http.method"}],
    )

    ours, argos = compile_trigger(one)(MATCH), compile_trigger(one, ours=False)(MATCH)

    assert (ours["payload"], ours["headers"], ours["method"]) == ({"p": "1"}, {"X-P": "1"}, "1")
    assert (argos["payload"], argos["headers"], argos["method"]) == ({"p": "b"}, {"X-P": "b"}, "b")


def test_a_candidate_is_filled() -> None:
    promotion = {"name": "p", "candidate": {"uri": "u"}, "parameters": [{"src": N, "dest": "metrics.n"}]}

    assert render({"promotion": promotion}) == {
        "kind": "promotion",
        "promotion": "p",
        "candidate": {"uri": "u", "metrics": {"n": 7}},
    }


def test_kinds_that_speak_to_a_network_are_rendered_too() -> None:
    nats = {"url": "nats://x", "subject": "s", "payload": [{"src": N, "dest": "n"}]}

    assert render({"nats": nats}) == {"kind": "nats", "url": "nats://x", "subject": "s", "payload": {"n": 7}}


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({}, "has one kind, not none"),
        ({"log": {}, "http": {}}, "has one kind, not http and log"),
        ({"pulsar": {}}, "the pulsar trigger is not built yet"),
        ({"k8s": {}}, "a source is missing"),
        ({"k8s": {"source": {"inline": "[1]"}}}, "one Kubernetes object"),
        ({"http": {"payload": [{"src": A, "dest": "x", "operation": "merge"}]}}, "unknown operation"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_refused(template: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        compile_trigger(trigger(template))
