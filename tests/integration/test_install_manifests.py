"""The manifests of an installation, put together by kustomize and taken by a real API server."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.launch import absent
from tests.servers.program import SCRIPTS, cache

pytestmark = pytest.mark.integration

DEPLOY = SCRIPTS.parent.parent / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
COMPONENTS = sorted(one.name for one in (KUBERNETES / "components").iterdir())
CLUSTER_WIDE = {"Namespace", "ClusterRole", "ClusterRoleBinding", "PriorityClass", "ValidatingWebhookConfiguration"}
READ_BY_NAME = {"secrets", "configmaps"}
GRACE_S = 60
"""What is written in the StatefulSet."""


def built(folder: Path) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send."""
    program = cache() / "kubernetes" / "bin" / "kubectl"
    if not program.exists():
        absent("no kubectl on this machine: run tests/servers/cluster.sh install kube")
    done = subprocess.run([program, "kustomize", str(folder)], capture_output=True, text=True, check=True)
    return [one for one in yaml.safe_load_all(done.stdout) if one is not None]


def with_components(place: Path, *names: str) -> list[dict[str, Any]]:
    """The embedded overlay with components, in another namespace than its own."""
    place.mkdir()

    def path(*parts: str) -> str:
        return str(Path(*[".."] * len(place.resolve().parts[1:]), *KUBERNETES.resolve().parts[1:], *parts))

    overlay = {
        "namespace": "elsewhere",
        "resources": [path("overlays", "embedded")],
        "components": [path("components", name) for name in names],
    }
    (place / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return built(place)


def only(objects: list[dict[str, Any]], kind: str, name: str = "retrain") -> dict[str, Any]:
    found = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    assert len(found) == 1, (kind, [one["metadata"]["name"] for one in objects if one["kind"] == kind])
    return found[0]


@pytest.mark.parametrize("component", COMPONENTS)
def test_each_component_follows_the_namespace_of_the_installation(component: str, tmp_path: Path) -> None:
    objects = with_components(tmp_path / "overlay", component)

    spaces = {one["metadata"].get("namespace") for one in objects if one["kind"] not in CLUSTER_WIDE}
    assert spaces == {"elsewhere"}
    subjects = [who for one in objects for who in one.get("subjects", ())]
    # The rights for training operators go where deploy/kubernetes/work goes, to the account of the installation.
    assert {who["namespace"] for who in subjects} <= {"elsewhere"} | ({"retrain"} if "training" in component else set())
    for webhook in (hook for one in objects for hook in one.get("webhooks", ())):
        assert webhook["clientConfig"]["service"]["namespace"] == "elsewhere"


def test_no_rule_names_everything(tmp_path: Path) -> None:
    objects = [*with_components(tmp_path / "overlay", *COMPONENTS), *built(KUBERNETES / "work")]

    rules = [rule for one in objects if one["kind"] in {"Role", "ClusterRole"} for rule in one["rules"]]
    words = [word for rule in rules for words in rule.values() for word in words]
    assert len(rules) > 10
    assert not [word for word in words if "*" in word]
    assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(words)


def test_an_installation_for_one_namespace_has_no_rights_beyond_it() -> None:
    objects = [*built(KUBERNETES / "overlays" / "embedded"), *built(KUBERNETES / "work")]

    assert {one["kind"] for one in objects} & {"ClusterRole", "ClusterRoleBinding"} == set()
    assert {one["metadata"]["namespace"] for one in objects if one["kind"] == "Role"} == {"ml"}


def test_all_namespaces_have_the_same_rights_but_those_to_secrets(tmp_path: Path) -> None:
    role = only(built(KUBERNETES / "work"), "Role")
    everywhere = only(with_components(tmp_path / "overlay", "all-namespaces"), "ClusterRole")

    def without_values(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [rule for rule in rules if not READ_BY_NAME & set(rule["resources"])]

    assert without_values(everywhere["rules"]) == everywhere["rules"]
    assert {str(rule) for rule in without_values(role["rules"])} <= {str(rule) for rule in everywhere["rules"]}
    pod = only(with_components(tmp_path / "again", "all-namespaces"), "StatefulSet")["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"][-2:] == ["--kubernetes", "--all-namespaces"]


def test_the_alert_rules_are_those_of_the_monitoring_folder() -> None:
    rule = yaml.safe_load((KUBERNETES / "components" / "monitoring" / "prometheus_rule.yaml").read_text())

    assert rule["spec"] == yaml.safe_load((DEPLOY / "monitoring" / "alerts.yaml").read_text())


def test_a_pod_has_more_time_to_end_than_the_platform_takes() -> None:
    objects = built(KUBERNETES / "overlays" / "embedded")
    settings = yaml.safe_load(only(objects, "ConfigMap", "retrain-settings")["data"]["retrain.yaml"])
    pod = only(objects, "StatefulSet")["spec"]["template"]["spec"]

    assert pod["terminationGracePeriodSeconds"] == GRACE_S
    # Intake and what it feeds have `shutdown_s` each; then the bus is ended.
    assert 2 * settings["shutdown_s"] + 10 <= GRACE_S


def test_what_is_selected_is_the_pod() -> None:
    objects = built(KUBERNETES / "overlays" / "embedded")
    labels = only(objects, "StatefulSet")["spec"]["template"]["metadata"]["labels"]

    chosen = [
        spec.get("podSelector") or spec.get("selector")
        for spec in (one["spec"] for one in objects if one["kind"] in {"NetworkPolicy", "PodDisruptionBudget"})
    ]
    assert len(chosen) == 4
    assert all(one["matchLabels"].items() <= labels.items() for one in chosen)
    assert only(objects, "Service")["spec"]["selector"].items() <= labels.items()


MONITORED = {"kubernetes.io/metadata.name": "monitoring", "retrain.dev/sends": "true"}
STRANGER = {"kubernetes.io/metadata.name": "somewhere"}


@pytest.mark.parametrize(
    ("space", "port", "may"),
    [
        (MONITORED, "http", True),
        (MONITORED, 12000, True),
        (MONITORED, 4222, False),
        (STRANGER, "http", False),
        (STRANGER, 12000, False),
        (None, "http", True),
        (None, 13000, False),
        (STRANGER, "admission", True),
        (STRANGER, 22, False),
    ],
)
def test_who_may_send_to_which_port_as_the_policies_are_written(
    space: dict[str, str] | None, port: str | int, *, may: bool, tmp_path: Path
) -> None:
    """`space`: the labels of the sender's namespace; None: it is ours. Prometheus reads what its monitor names."""
    objects = with_components(tmp_path / "overlay", "admission", "monitoring")
    labels = only(objects, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    policies = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
    read = only(objects, "ServiceMonitor")["spec"]["endpoints"][0]["port"]
    (http,) = (one for one in only(objects, "Service")["spec"]["ports"] if one["name"] == read)

    assert http["targetPort"] == "http"
    assert any(_denies(policy) for policy in policies)
    rules = [
        rule for policy in policies if _selects(policy["podSelector"], labels) for rule in policy.get("ingress", ())
    ]
    assert any(_from(rule, space) and _to(rule, port) for rule in rules) == may


def _denies(policy: dict[str, Any]) -> bool:
    return set(policy["policyTypes"]) == {"Ingress", "Egress"} and not {"ingress", "egress"} & set(policy)


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= labels.items()


def _from(rule: dict[str, Any], space: dict[str, str] | None) -> bool:
    """Whether a rule is for pods of a namespace; without `from` it is for everybody."""
    peers = rule.get("from")
    if peers is None:
        return True
    return any(
        space is None if "namespaceSelector" not in peer else _selects(peer["namespaceSelector"], space or {})
        for peer in peers
    )


def _to(rule: dict[str, Any], port: str | int) -> bool:
    return any(
        one["port"] == port or (isinstance(port, int) and "endPort" in one and one["port"] <= port <= one["endPort"])
        for one in rule["ports"]
    )
