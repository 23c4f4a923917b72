"""The annotation of a Sensor that chooses the engine of its workflows reaches each of them."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.engines import ENGINE, engine_of
from retrain.errors import ConfigError
from sensors.actions.engine import for_engine
from sensors.actions.match import Match
from sensors.spec import SensorDocument, check

MATCH: Any = None


def rendered(action: dict[str, Any], engine: str | None = "argo") -> dict[str, Any]:
    def render(_match: Match) -> Any:
        return action

    return for_engine(render, engine)(MATCH)


def action(kind: str = "argoWorkflow", **resource: Any) -> dict[str, Any]:
    return {"kind": kind, "operation": "submit", "resource": {"kind": "Workflow", **resource}}


@pytest.mark.parametrize("kind", ["argoWorkflow", "k8s"])
def test_a_workflow_that_does_not_say_it_is_for_the_sensors_engine(kind: str) -> None:
    before = action(kind, metadata={"generateName": "w-", "annotations": {"a": "b"}})

    after = rendered(before)

    assert after["resource"]["metadata"] == {"generateName": "w-", "annotations": {"a": "b", ENGINE: "argo"}}
    assert before["resource"]["metadata"]["annotations"] == {"a": "b"}


def test_what_the_workflow_says_itself_counts() -> None:
    before = action(metadata={"annotations": {ENGINE: "local"}})

    assert rendered(before) is before


@pytest.mark.parametrize(
    "before",
    [
        {"kind": "http", "url": "http://x"},
        {"kind": "k8s", "resource": {"kind": "Job", "metadata": {"name": "j"}}},
        {"kind": "k8s", "resource": None},
        {"kind": "argoWorkflow", "resource": {"kind": "Workflow", "metadata": "none"}},
    ],
)
def test_anything_else_stays_as_it_is(before: dict[str, Any]) -> None:
    assert rendered(before) is before


def test_a_sensor_that_says_nothing_changes_nothing() -> None:
    before = action()

    assert rendered(before, None) is before


def test_the_annotation_is_one_of_two() -> None:
    assert engine_of({}, "argo") == "argo"
    assert engine_of({"metadata": {"annotations": {ENGINE: "local"}}}, "argo") == "local"
    with pytest.raises(ConfigError, match="there are local and argo"):
        engine_of({"metadata": {"annotations": {ENGINE: "kubernetes"}}}, "local")


def test_a_wrong_one_is_found_by_lint() -> None:
    document = SensorDocument.model_validate(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Sensor",
            "metadata": {"name": "s", "annotations": {ENGINE: "k8s"}},
            "spec": {},
        }
    )

    found = [one for one in check(document) if one.path[-1] == ENGINE]

    assert [one.message for one in found] == [f"{ENGINE} is one of local, argo, not 'k8s'"]
