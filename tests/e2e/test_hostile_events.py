"""Events that mean no good, through a platform's own sensors to a real API server: nothing is made of what they choose
beyond the policy, and nothing secret is said on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.platform_driver import Platform
from tests.servers.kube_lab import WORKFLOWS, Lab
from tests.servers.kube_server import TOKEN

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

HOSTILE = sorted((Path(__file__).parents[1] / "data" / "hostile").glob("*.yaml"))
NAMESPACE = "hostile"
OBJECTS = (
    f"{WORKFLOWS}/workflows",
    "/apis/rbac.authorization.k8s.io/v1/roles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/batch/v1/jobs",
    "/apis/apps/v1/deployments",
    "/api/v1/configmaps",
    "/api/v1/secrets",
    "/api/v1/pods",
)
PLANTED = "planted-hunter22"
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "planted"}, "stringData": {"password": PLANTED}}
"""Of the project: what its sensors make on the cluster names it."""


def sensor(name: str, trigger: dict[str, Any]) -> dict[str, Any]:
    dependency = {"name": "d", "eventSourceName": "outside", "eventName": name}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Sensor",
        "metadata": {"name": name},
        "spec": {"dependencies": [dependency], "triggers": [trigger]},
    }


def event(name: str, body: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": name,
        "source": "outside",
        "subject": name,
        "type": "webhook",
        "datacontenttype": "application/json",
        "data": {"body": body},
    }


def suspended(**spec: Any) -> dict[str, Any]:
    """A Workflow that needs no pod."""
    resource = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "good-"},
        "spec": {"entrypoint": "m", "templates": [{"name": "m", "suspend": {}}], **spec},
    }
    source = {"dependencyName": "d", "dataKey": "body.who"}
    parameters = [{"src": source, "dest": "spec.serviceAccountName"}]
    return {"template": {"name": "t", "argoWorkflow": {"source": {"resource": resource}, "parameters": parameters}}}


def says_a_secret() -> dict[str, Any]:
    """A call that carries a Secret's value, to nobody."""
    header = {"name": "Authorization", "valueFrom": {"secretKeyRef": {"name": "planted", "key": "password"}}}
    http = {"url": "http://127.0.0.1:9/", "method": "POST", "secureHeaders": [header]}
    return {"template": {"name": "t", "http": http}, "retryStrategy": {"steps": 1}}


@pytest.fixture(scope="module")
def lab(kube_lab: Lab) -> Lab:
    kube_lab.api.make_namespace(NAMESPACE)
    return kube_lab


@pytest.fixture(scope="module")
def platform(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    place = tmp_path_factory.mktemp("platform")
    kubeconfig = place / "kubeconfig"
    kubeconfig.write_text(lab.kubeconfig)
    made = Platform(place, environment={"RETRAIN_KUBERNETES_KUBECONFIG": str(kubeconfig)})
    settings = {
        "pipelines": {"engine": "argo"},
        "kubernetes": {"namespace": NAMESPACE, "allow": {NAMESPACE: {"serviceAccountName": ["train-*"]}}},
    }
    made.write("retrain.yaml", yaml.safe_dump(settings))
    cases = {file.stem: yaml.safe_load(file.read_text()) for file in HOSTILE}
    sensors = [sensor(name, case["trigger"]) for name, case in cases.items()] + [sensor("listed", suspended())]
    sensors += [sensor("wrong-token", says_a_secret())]
    made.write("sensors.yaml", yaml.safe_dump_all([*sensors, SECRET]))
    with made:
        yield made


@pytest.fixture(scope="module")
def letters(lab: Lab, platform: Platform) -> dict[str, dict[str, Any]]:
    """The dead letter of each hostile sensor."""
    before = made_there(lab)
    answer = platform.emit(*(event(file.stem, yaml.safe_load(file.read_text())["event"]) for file in HOSTILE))
    assert answer.taken, answer

    platform.wait(lambda: len(platform.items("deadletters")) >= len(HOSTILE), f"{len(HOSTILE)} dead letters")
    assert made_there(lab) == before
    return {one["origin"].partition("/")[0]: one for one in platform.items("deadletters")}


def made_there(lab: Lab) -> dict[str, list[str]]:
    return {
        path: sorted(f"{one['metadata'].get('namespace')}/{one['metadata']['name']}" for one in found["items"])
        for path in OBJECTS
        for found in [lab.api.ask("GET", path)]
    }


@pytest.mark.parametrize("file", HOSTILE, ids=lambda file: file.stem)
def test_a_hostile_event_ends_as_a_dead_letter_that_names_what_it_chose(
    file: Path, letters: dict[str, dict[str, Any]]
) -> None:
    reason = letters[file.stem]["reason"]

    assert reason.startswith("an event may not choose ")
    for one in yaml.safe_load(file.read_text())["refused"]:
        assert one["path"] in reason
        assert f"(rule {one['rule']}" in reason


@pytest.mark.usefixtures("letters")
def test_no_run_is_left_of_them(platform: Platform) -> None:
    assert [run for run in platform.items("runs") if not run["metadata"]["name"].startswith("good-")] == []


@pytest.mark.usefixtures("letters")
def test_what_the_policy_lists_is_the_events_to_choose(lab: Lab, platform: Platform) -> None:
    platform.emit(event("listed", {"who": "train-7"}))

    def there() -> list[dict[str, Any]]:
        return [one for one in lab.workflows(NAMESPACE) if one["metadata"]["name"].startswith("good-")]

    (made,) = platform.wait(there, "the Workflow is on the cluster")

    assert made["spec"]["serviceAccountName"] == "train-7"


def everything_said(platform: Platform) -> Iterator[tuple[str, str]]:
    """What the platform shows, writes and keeps, by where."""
    yield "log", platform.log.read_text()
    for noun in ("events", "firings", "runs", "deadletters", "sensors"):
        yield noun, json.dumps(platform.items(noun))
    for noun, verb in (("firings", "show"), ("runs", "get"), ("deadletters", "show"), ("events", "show")):
        for one in platform.items(noun)[:5]:
            yield f"{noun} {verb}", platform.command(noun, verb, name_of(one), "-o", "json")
    for file in platform.data.rglob("*"):
        if file.is_file():
            yield file.name, file.read_bytes().decode(errors="replace")


def name_of(item: dict[str, Any]) -> str:
    return str(item.get("id") or item["metadata"]["name"])


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize("value", [TOKEN, PLANTED])
def test_tokens_and_values_of_secrets_are_said_and_kept_nowhere(value: str, lab: Lab, platform: Platform) -> None:
    platform.wait(lambda: lab.workflows(NAMESPACE), "the token was used")
    platform.emit(event("wrong-token", {}))

    def dead() -> bool:
        return any(one["origin"].startswith("wrong-token/") for one in platform.items("deadletters"))

    platform.wait(dead, "the Secret was used")

    found = {where: said for where, said in everything_said(platform) if value in said}

    assert found == {}
    assert any("an event may not choose" in said for _, said in everything_said(platform)), "there is much to look at"
