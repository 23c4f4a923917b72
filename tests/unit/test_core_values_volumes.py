"""The volumes of a step, and what its containers ask for."""

from __future__ import annotations

import pytest

from pipelines.core.happenings import Task
from pipelines.core.nodes import Inputs
from pipelines.core.resources import amounts
from pipelines.core.volumes import volumes_of
from retrain.errors import ConfigError


def test_a_volume_of_the_workflow_may_be_named_by_an_input_and_the_templates_win() -> None:
    spec = {"volumes": [{"name": "a", "persistentVolumeClaim": {"claimName": "{{inputs.parameters.c}}-{{pod.name}}"}},
                        {"name": "b", "emptyDir": {}}]}  # fmt: skip
    task = Task("id", "wf.a", "pod", {"volumes": [{"name": "b", "configMap": {"name": "x"}}]}, Inputs({"c": "claim"}))

    assert volumes_of(spec, task) == [
        {"name": "a", "persistentVolumeClaim": {"claimName": "claim-pod"}},
        {"name": "b", "configMap": {"name": "x"}},
    ]
    with pytest.raises(ConfigError, match=r"spec\.volumes"):
        volumes_of({"volumes": [{"name": "{{=1 +}}"}]}, task)


def test_a_pod_asks_for_what_all_its_containers_ask_for() -> None:
    one = {"resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": 2, "nvidia.com/gpu": 1}}}

    assert amounts({"container": one, "sidecars": [one], "initContainers": [one]}) == {"cpu": 1.0, "nvidia.com/gpu": 2}
    assert amounts({"containerSet": {"containers": [one, one, {}]}}) == {"cpu": 1.0, "nvidia.com/gpu": 2}
