"""The sensors of docs/objects.md that make objects, as they stand there, on a platform and a real API server."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform_driver import Platform
from tests.integration.object_world import install
from tests.servers.kube_server import KubeApi

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

PAGE = Path(__file__).parents[2] / "docs" / "objects.md"
START, END = "2026-11-22T08:00:00Z", "2026-11-22T09:00:00Z"
MERGE = "application/merge-patch+json"
THINGS = {
    "metadata": {"name": "scoringbatches.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"plural": "scoringbatches", "kind": "ScoringBatch"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        ],
    },
}


def sensors() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def space(kube_api: KubeApi) -> Iterator[str]:
    install(kube_api)
    kube_api.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", THINGS)
    name = f"docs-{uuid.uuid4().hex[:8]}"
    kube_api.make_namespace(name)
    yield name
    kube_api.ask("DELETE", f"/api/v1/namespaces/{name}")


def test_the_sensors_of_the_page_make_what_it_says(kube_api: KubeApi, space: str, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(kube_api.kubeconfig())
    environment = {"RETRAIN_KUBERNETES_KUBECONFIG": str(kubeconfig), "RETRAIN_KUBERNETES_NAMESPACE": space}
    platform = Platform(tmp_path / "platform", environment=environment)
    for number, text in enumerate(sensors()):
        platform.write(f"sensor-{number}.yaml", text)
    order = {"specversion": "1.0", "id": "o-1", "source": "shop", "subject": "order", "type": "order"}

    with platform:
        assert platform.emit({**order, "data": {"day": "2026-11-20"}}).taken
        platform.wait(lambda: len(platform.rows("SELECT 1 FROM runs")) == 3, "three objects are made")
        (job,) = there(kube_api, space, "batch/v1", "jobs")
        (torch,) = there(kube_api, space, "kubeflow.org/v1", "pytorchjobs")
        (batch,) = there(kube_api, space, "example.org/v1", "scoringbatches")
        over = [{"type": "Succeeded", "status": "True"}]
        say(kube_api, torch, "pytorchjobs", {"startTime": START, "completionTime": END, "conditions": over})
        say(kube_api, batch, "scoringbatches", {"phase": "Done", "output": {"table": "scores"}})
        platform.wait(
            lambda: ended(platform) == {"train": "Pending", "churn": "Succeeded", "score": "Succeeded"}, "ends"
        )
        followed = "SELECT 1 FROM firings WHERE sensor = 'after-training' AND state = 'done'"
        platform.wait(lambda: platform.rows(followed), "what follows the training fires")
        told = [one["data"] for one in platform.items("events") if one.get("subject") == "run.succeeded"]

    assert job["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "DAY", "value": "2026-11-20"}]
    worker = torch["spec"]["pytorchReplicaSpecs"]["Worker"]
    assert worker["template"]["spec"]["containers"][0]["command"][3] == "2026-11-20"
    assert worker["replicas"] == 3
    by_workflow = {one["run"]["workflow"]: one for one in told}
    assert by_workflow["churn"]["resources"] == {"nvidia.com/gpu": 4 * 3600}
    assert by_workflow["score"]["outputs"]["parameters"] == {"table": "scores"}


def there(server: KubeApi, space: str, api: str, plural: str) -> list[dict[str, Any]]:
    found = server.ask("GET", f"/apis/{api}/namespaces/{space}/{plural}")["items"]
    return [{"apiVersion": api, **one} for one in found]


def say(server: KubeApi, found: dict[str, Any], plural: str, status: Any) -> None:
    metadata = found["metadata"]
    path = f"/apis/{found['apiVersion']}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}/status"
    server.ask("PATCH", path, {"status": status}, MERGE)


def ended(platform: Platform) -> dict[str, str]:
    return dict(platform.rows("SELECT workflow, phase FROM runs"))
