"""What people ask of a Workflow, as the change of its object."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.core.happenings import Resume, SetNodes, Stop, Suspend
from pipelines.core.nodes import Outputs, Phase
from pipelines.kubernetes.control_changes import Request, asked
from retrain.errors import ConfigError, Refused

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
STAMP = "2026-11-22T08:00:00Z"


def waiting(name: str, *parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A node that waits for a person, and for values of these outputs."""
    node = {"id": f"w-{name}", "name": f"w.{name}", "displayName": name, "type": "Suspend", "phase": "Running"}
    outputs = {"outputs": {"parameters": list(parameters)}} if parameters else {}
    return {**node, "templateName": "ask", **outputs, **more}


def supplied(name: str, **more: Any) -> dict[str, Any]:
    default = {"default": more.pop("default")} if "default" in more else {}
    return {"name": name, "valueFrom": {"supplied": {}, **default}, **more}


def workflow(*nodes: dict[str, Any], phase: str = "Running", **spec: Any) -> dict[str, Any]:
    status = {"phase": phase, "nodes": {node["id"]: node for node in nodes}}
    return {"metadata": {"name": "w", "resourceVersion": "1"}, "spec": {"entrypoint": "m", **spec}, "status": status}


def change(found: dict[str, Any], request: Request) -> dict[str, Any]:
    return asked(found, request, NOW)


def node(found: dict[str, Any], name: str) -> dict[str, Any]:
    return found["status"]["nodes"][f"w-{name}"]


@pytest.mark.parametrize(
    ("request_", "spec"),
    [
        (Stop("Stop"), {"shutdown": "Stop"}),
        (Stop("Terminate"), {"shutdown": "Terminate"}),
        (Suspend(), {"suspend": True}),
        (Resume(), {}),
    ],
)
def test_what_is_asked_of_the_whole_is_a_word_of_its_spec(request_: Request, spec: dict[str, Any]) -> None:
    found = workflow()

    after = change(found, request_)

    assert after["spec"] == {"entrypoint": "m", **spec}
    assert after["status"] == found["status"]


def test_resuming_ends_the_suspension_of_the_whole_and_of_every_node_that_waits() -> None:
    found = workflow(waiting("a", supplied("x", default="1"), message="ask Ann"), waiting("b"), suspend=True)

    after = change(found, Resume(by="ann"))

    assert "suspend" not in after["spec"]
    assert node(after, "a") | {"outputs": None} == node(found, "a") | {
        "phase": "Succeeded",
        "finishedAt": STAMP,
        "message": "ask Ann; Resumed by: map[User:ann]",
        "outputs": None,
    }
    assert node(after, "a")["outputs"] == {"parameters": [{"name": "x", "value": "1"}]}
    assert node(after, "b")["phase"] == "Succeeded"


def test_a_selector_means_some_of_them() -> None:
    found = workflow(waiting("a"), waiting("b"), suspend=True)

    resumed = change(found, Resume("displayName=a"))
    stopped = change(found, Stop("Stop", "no budget", "displayName=b"))

    assert [node(resumed, name)["phase"] for name in "ab"] == ["Succeeded", "Running"]
    assert resumed["spec"]["suspend"] is True
    assert [node(stopped, name)["phase"] for name in "ab"] == ["Running", "Failed"]
    assert node(stopped, "b")["message"] == "no budget"
    assert "shutdown" not in stopped["spec"]


def test_a_template_of_elsewhere_is_selected_by_its_name_there() -> None:
    found = workflow(waiting("a", templateName="", templateRef={"name": "lib", "template": "ask"}))

    assert node(change(found, Resume("templateName=ask")), "a")["phase"] == "Succeeded"


def test_values_are_set_once_and_the_rest_waits() -> None:
    found = workflow(waiting("a", supplied("x"), supplied("y")))

    after = change(found, SetNodes("displayName=a", outputs=Outputs({"x": "1"})))

    assert node(after, "a")["phase"] == "Running"
    assert node(after, "a")["outputs"]["parameters"] == [{"name": "x", "value": "1"}, supplied("y")]
    with pytest.raises(ConfigError, match="a: output parameter 'x' was already set"):
        change(after, SetNodes("", outputs=Outputs({"x": "2"})))
    with pytest.raises(ConfigError, match="a: output parameter 'y' has no value and no default"):
        change(after, Resume())


def test_a_value_with_a_global_name_is_an_output_of_the_workflow() -> None:
    found = workflow(waiting("a", supplied("x", globalName="verdict")))
    found["status"]["outputs"] = {"parameters": [{"name": "verdict", "value": "old"}, {"name": "n", "value": "1"}]}

    after = change(found, SetNodes("", outputs=Outputs({"x": "yes"})))

    assert after["status"]["outputs"]["parameters"] == [
        {"name": "n", "value": "1"},
        {"name": "verdict", "value": "yes"},
    ]


def test_what_waits_is_made_what_a_person_says() -> None:
    found = workflow(waiting("a", supplied("x")))

    after = change(found, SetNodes("", Phase.Succeeded, "by hand", Outputs({"x": "1"})))
    failed = change(found, SetNodes("", Phase.Failed, "no"))

    assert (node(after, "a")["phase"], node(after, "a")["message"]) == ("Succeeded", "by hand")
    assert (node(failed, "a")["phase"], node(failed, "a")["finishedAt"]) == ("Failed", STAMP)


@pytest.mark.parametrize(
    ("found", "request_", "reason"),
    [
        (workflow(phase="Succeeded"), Stop(), r"w is over \(Succeeded\); there is nothing to stop"),
        (workflow(phase="Failed"), Suspend(), r"w is over \(Failed\); there is nothing to suspend"),
        (workflow(shutdown="Terminate"), Stop(), "w was asked to terminate already; it cannot be asked to stop"),
        (workflow(shutdown="Stop"), Resume(), "w was asked to stop already; it cannot be asked to resume"),
        (workflow(phase="Error"), Resume("displayName=a"), "none of its nodes waits"),
    ],
)
def test_what_is_over_or_ending_is_refused(found: dict[str, Any], request_: Request, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        change(found, request_)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Resume("displayName=zz"), "no suspended node matches: displayName=zz"),
        (Resume("color=red"), "nodes have no field 'color'"),
        (SetNodes("", outputs=Outputs({"z": "1"})), "a: node is not expecting output parameter 'z'; it waits for x"),
        (SetNodes("", outputs=Outputs({"x": "maybe"})), "'x' is 'maybe', it must be one of yes, no"),
    ],
)
def test_what_does_not_fit_is_said(request_: Request, reason: str) -> None:
    found = workflow(waiting("a", supplied("x", enum=["yes", "no"])))

    with pytest.raises(ConfigError, match=reason):
        change(found, request_)


def test_asking_twice_is_asking_once() -> None:
    found = workflow(waiting("a"))

    for request in (Stop(), Suspend()):
        once = change(found, request)
        assert change(once, request) == once
