"""Our CustomResourceDefinitions on a real API server: what it takes, what it refuses, what it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from retrain.manifests import load_text
from tests.integration.operator_world import PLURALS, Objects, Refusal, ask, base, columns, install, namespace
from tests.servers.kube_server import KubeApi

pytestmark = pytest.mark.integration

OURS = "retrain.dev/v1"
EXAMPLES = Path(__file__).parents[2] / "examples"
CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "argo-events"
STRICT = "&fieldValidation=Strict&dryRun=All"


@pytest.fixture(scope="module")
def space(kube_api: KubeApi) -> Iterator[Objects]:
    install(kube_api)
    with namespace(kube_api) as objects:
        yield objects


def sensor(**spec: Any) -> dict[str, Any]:
    dependency = {"name": "d", "eventSourceName": "s", "eventName": "e"}
    whole = {"dependencies": [dependency], "triggers": [{"template": {"name": "t", "log": {}}}], **spec}
    return {"apiVersion": OURS, "kind": "Sensor", "metadata": {"name": "x"}, "spec": whole}


def template(**body: Any) -> dict[str, Any]:
    return sensor(triggers=[{"template": {"name": "t", **body}}])


def promotion(**spec: Any) -> dict[str, Any]:
    whole = {"repo": {"url": "https://git.test/x.git"}, "edits": [{"file": "a.yaml", "path": "x"}], **spec}
    return {"apiVersion": OURS, "kind": "Promotion", "metadata": {"name": "x"}, "spec": whole}


def source(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": OURS, "kind": "EventSource", "metadata": {"name": "x"}, "spec": spec}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (sensor(dependencis=[]), 'unknown field "spec.dependencis"'),
        (sensor(dependencies=[]), "spec.dependencies"),
        (sensor(triggers=None), "spec.triggers"),
        (sensor(mode="sleeping"), 'Unsupported value: "sleeping"'),
        (sensor(priority=5000), "spec.priority"),
        (template(http={"url": 5}), "spec.triggers[0].template.http.url"),
        (template(http={"uri": "https://x"}), 'unknown field "spec.triggers[0].template.http.uri"'),
        (template(log={}, http={"url": "https://x"}), "a template has one kind of trigger, not several"),
        ({**template(log={}), "spec": {**template(log={})["spec"], "triggers": [{"template": {"log": {}}}]}}, "a name"),
        (source(), "spec"),
        (source(calendar={"tick": {"interval": 10}}), "spec.calendar"),
        (promotion(environment="live", environments=[]), "write environment, or environments, not both"),
        (promotion(environment="Live!"), "spec.environment"),
    ],
)
def test_what_can_never_work_is_refused_when_it_is_applied(space: Objects, body: dict[str, Any], words: str) -> None:
    path = base(OURS, space.namespace, PLURALS[body["kind"]])
    with pytest.raises(Refusal) as refusal:
        ask(space.api, "POST", f"{path}?fieldManager=kubectl{STRICT}", body)
    assert words in str(refusal.value)
    assert refusal.value.code in {400, 422}


def test_without_strict_validation_other_fields_are_dropped(space: Objects) -> None:
    path = base(OURS, space.namespace, "sensors")
    made = ask(space.api, "POST", f"{path}?fieldValidation=Ignore", sensor(dependencis=[], mode="shadow"))

    assert "dependencis" not in made["spec"]
    assert made["spec"]["mode"] == "shadow"
    space.delete("Sensor", "x", OURS)


def test_a_kind_of_a_plugin_stays(space: Objects) -> None:
    """What a package adds is no business of the server."""
    made = space.put(template(grafana={"dashboard": "x"}), STRICT)

    assert made["spec"]["triggers"][0]["template"]["grafana"] == {"dashboard": "x"}


def manifests() -> list[tuple[str, dict[str, Any]]]:
    """Every document of ours in the examples."""
    found: list[tuple[str, dict[str, Any]]] = []
    for file in sorted(EXAMPLES.rglob("*.yaml")):
        text = re.sub(r"\$\{[A-Z]+\}", "/x", file.read_text().replace("${PORT}", "1"))
        documents = load_text(text, file.name)[0] if "retrain.dev/v1" in text else []
        found += [(file.name, dict(one.body)) for one in documents if one.api_version == OURS]
    return found


def test_every_example_of_ours_is_taken_strictly_and_kept_whole(space: Objects) -> None:
    found = manifests()
    assert len(found) > 30
    for file, body in found:
        named = {**body, "metadata": {"name": body["metadata"]["name"]}}
        assert space.put(named, STRICT)["spec"] == body["spec"], file


def test_every_example_of_argo_events_is_taken_and_kept_whole(space: Objects) -> None:
    if not CORPUS.is_dir():
        pytest.skip(f"no examples of Argo Events in {CORPUS}")
    taken = 0
    for file in sorted((CORPUS / "examples").rglob("*.y*ml")):
        for body in yaml.safe_load_all(file.read_text()):
            if not body or body.get("kind") not in {"EventSource", "Sensor", "EventBus"}:
                continue
            body["metadata"].pop("namespace", None)
            assert space.put(body, STRICT)["spec"] == body["spec"], file
            taken += 1
    assert taken > 60


def test_kubectl_get_shows_how_each_one_fares(kube_api: KubeApi, space: Objects) -> None:
    for version in (OURS, "argoproj.io/v1alpha1"):
        sensors = columns(kube_api, base(version, space.namespace, "sensors"))
        sources = columns(kube_api, base(version, space.namespace, "eventsources"))
        assert sensors == ["Name", "State", "Last Firing", "Result", "Waiting", "Age"]
        assert sources == ["Name", "State", "Events", "Last Event", "Waiting", "Age"]
