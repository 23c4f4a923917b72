"""Which Argo Workflows a cluster has, and how a Workflow is spelled for it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipelines.kubernetes.spelling import spelled
from pipelines.kubernetes.versions import Version, of_definition, of_deployments, of_image, of_pods
from retrain.errors import ConfigError
from tests.servers.program import cache

MUTEX: dict[str, Any] = {"name": "gpu"}
OTHER: dict[str, Any] = {"name": "data"}
CRD = cache() / "kubernetes/crds"


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("quay.io/argoproj/workflow-controller:v3.7.4", Version(3, 7, 4)),
        ("registry:5000/argo/workflow-controller:3.6.10-debian-12-r3", Version(3, 6, 10)),
        ("workflow-controller:v4.0", Version(4, 0, 0)),
        ("quay.io/argoproj/workflow-controller:v4.1.2@sha256:0123", Version(4, 1, 2)),
        ("quay.io/argoproj/workflow-controller:latest", None),
        ("registry:5000/workflow-controller", None),
        ("quay.io/argoproj/workflow-controller@sha256:0123", None),
        ("", None),
    ],
)
def test_an_images_tag_says_the_version(image: str, version: Version | None) -> None:
    assert of_image(image) == version


def deployment(**container: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def test_the_controllers_deployment_says_it_by_its_image_or_by_its_executors() -> None:
    server = deployment(image="quay.io/argoproj/argocli:v3.5.0", command=["argo"])
    plain = deployment(image="quay.io/argoproj/workflow-controller:v3.7.4", command=["workflow-controller"])
    built = deployment(
        image="ours/controller:prod", command=["workflow-controller"], args=["--executor-image", "x/argoexec:v3.6.2"]
    )
    silent = deployment(image="ours/workflow-controller:prod")
    joined = deployment(image="ours/workflow-controller:prod", args=["--executor-image=x/argoexec:v3.6.3"])

    assert of_deployments([server, plain]) == Version(3, 7, 4)
    assert of_deployments([built]) == Version(3, 6, 2)
    assert of_deployments([joined]) == Version(3, 6, 3)
    assert of_deployments([silent, plain]) == Version(3, 7, 4)
    assert of_deployments([server]) is None
    assert of_deployments([]) is None


def test_a_workflows_pod_says_it_by_its_executor() -> None:
    pod = {"spec": {"initContainers": [{"image": "q/argoexec:v4.0.1"}], "containers": [{"image": "busybox:1.36.1"}]}}

    assert of_pods([{"spec": {"containers": [{"image": "busybox:1.36.1"}]}}, pod]) == Version(4, 0, 1)
    assert of_pods([]) is None


def definition(*fields: str) -> dict[str, Any]:
    locks = {"synchronization": {"properties": {key: {} for key in fields}}}
    schema = {"properties": {"spec": {"properties": locks}}}
    return {"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}}


def test_a_definition_says_the_oldest_that_it_can_be_of() -> None:
    assert of_definition(definition("mutex", "semaphore")) == Version(3, 5)
    assert of_definition(definition("mutex", "semaphore", "mutexes", "semaphores")) == Version(3, 6)
    assert of_definition(definition("mutexes", "semaphores")) == Version(4, 0)
    assert (
        of_definition({"spec": {"versions": [{"schema": {"openAPIV3Schema": {"properties": {"spec": {}}}}}]}}) is None
    )


@pytest.mark.skipif(not CRD.exists(), reason="no definitions of Argo Workflows on this machine: run argo.sh install")
def test_argos_own_definitions_are_read() -> None:
    files = {kind: next((CRD / kind).glob("*_workflows.yaml")) for kind in ("full", "minimal")}
    read = {kind: yaml.load(file.read_text(), yaml.CSafeLoader) for kind, file in files.items()}

    assert of_definition(read["full"]) == Version(3, 6)  # it is 3.7.4, and 3.6 has the same fields
    assert of_definition(read["minimal"]) is None


@pytest.mark.parametrize("version", [None, Version(3, 6), Version(3, 7, 4), Version(4, 1)])
def test_locks_are_spelled_in_the_plural_wherever_they_are(version: Version | None) -> None:
    old: dict[str, Any] = {
        "spec": {
            "synchronization": {"mutex": MUTEX},
            "templateDefaults": {"synchronization": {"semaphore": OTHER}},
            "templates": [{"name": "a", "synchronization": {"mutex": MUTEX, "mutexes": [OTHER]}}, {"name": "b"}],
        }
    }

    assert spelled(old, version) == {
        "spec": {
            "synchronization": {"mutexes": [MUTEX]},
            "templateDefaults": {"synchronization": {"semaphores": [OTHER]}},
            "templates": [{"name": "a", "synchronization": {"mutexes": [MUTEX, OTHER]}}, {"name": "b"}],
        }
    }
    assert old["spec"]["synchronization"] == {"mutex": MUTEX}


def test_locks_of_templates_in_steps_and_tasks_are_spelled_too() -> None:
    def written(lock: dict[str, Any]) -> dict[str, Any]:
        inline = {"synchronization": lock, "suspend": {}}
        return {"spec": {"templates": [
            {"name": "a", "steps": [[{"name": "s", "inline": inline}, {"name": "t", "template": "b"}]]},
            {"name": "b", "dag": {"tasks": [{"name": "u", "inline": inline}], "failFast": False}},
        ]}}  # fmt: skip

    assert spelled(written({"mutex": MUTEX}), Version(4, 0)) == written({"mutexes": [MUTEX]})


def test_before_3_6_they_are_spelled_in_the_singular() -> None:
    new = {"spec": {"synchronization": {"mutexes": [MUTEX]}}}

    assert spelled(new, Version(3, 5, 11))["spec"]["synchronization"] == {"mutex": MUTEX}
    with pytest.raises(ConfigError, match="takes one of them, not 2"):
        spelled({"spec": {"synchronization": {"mutexes": [MUTEX, OTHER]}}}, Version(3, 5))


def test_a_pods_priority_is_patched_in_where_argo_has_no_field_for_it() -> None:
    written = {"spec": {"podPriority": 7}}

    assert spelled(written, Version(3, 7))["spec"] == {"podPriority": 7}
    assert spelled(written, None)["spec"] == {"podPriority": 7}
    assert spelled(written, Version(4, 0))["spec"] == {"podSpecPatch": '{"priority":7}'}
    with pytest.raises(ConfigError, match="podPriorityClassName"):
        spelled({"spec": {"podPriority": 7, "podSpecPatch": "{}"}}, Version(4, 0))


def test_what_has_one_spelling_stays_as_it_is() -> None:
    written = {"apiVersion": "v", "metadata": {"name": "w"}, "spec": {"workflowTemplateRef": {"name": "t"}}}

    assert spelled(written, Version(4, 1)) == written
