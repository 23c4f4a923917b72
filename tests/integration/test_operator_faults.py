"""What a watching platform does while something is lacking: the API server, its memory, kinds, rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform_driver import Platform
from tests.integration.operator_world import Objects, install, namespace, parts, platform, post
from tests.integration.test_operator import SENSOR, SOURCE, active, fired, listens, send
from tests.servers import kube_server
from tests.servers.kube_proxy import proxied, spoil
from tests.servers.kube_server import KubeApi
from tests.servers.launch import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

WATCHES = ("eventbus.argoproj.io", "eventsources.argoproj.io", "sensors.argoproj.io", "sensors.retrain.dev")


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    """An API server of one's own, to kill; it has no kinds of ours to begin with."""
    with kube_server.kube_api(tmp_path_factory.mktemp("fragile") / "data") as server:
        yield server


@pytest.fixture
def space(fragile: KubeApi) -> Iterator[Objects]:
    install(fragile)
    with namespace(fragile) as objects:
        yield objects


def lacks(running: Platform, words: str) -> None:
    """Wait until `/readyz` says of one of the watches what it lacks."""

    def said() -> bool:
        found = [one for name, one in parts(running).items() if name.startswith("watch of ")]
        return any(not one["ready"] and words in one["waitingFor"] for one in found)

    running.wait(said, f"/readyz says {words!r}")


def lacks_nothing(running: Platform) -> None:
    running.wait(
        lambda: all(one["ready"] for name, one in parts(running).items() if name.startswith("watch of ")),
        "nothing is lacking",
    )


def test_kinds_that_are_missing_are_said_and_waited_for(tmp_path: Path, fragile: KubeApi) -> None:
    """The first test here: the server has no CRDs yet."""
    fragile.make_namespace("early")
    space = Objects(fragile, "early")
    with platform(tmp_path, fragile.kubeconfig(), "--namespace", "early") as running:
        lacks(running, "sensors.retrain.dev: the cluster has no such kind; apply deploy/kubernetes/crds")
        assert running.get("/readyz")["status"] == "ready", "what needs no cluster works"
        install(fragile)
        number = free_port()
        space.apply(SOURCE, PORT=number)
        space.apply(SENSOR)
        active(running, space, "train")
        send(running, number, {"n": 1})
        fired(running, "train", 1)
        lacks_nothing(running)


def test_while_the_server_is_away_all_runs_on_even_from_the_start(
    tmp_path: Path, fragile: KubeApi, space: Objects
) -> None:
    number = free_port()
    with platform(tmp_path, fragile.kubeconfig(), "--namespace", space.namespace) as running:
        space.apply(SOURCE, PORT=number)
        space.apply(SENSOR)
        active(running, space, "train")
        listens(running, space)

        fragile.kill()
        lacks(running, "cannot be reached")
        assert post(number, "/orders", {"n": 1})
        fired(running, "train", 1)
        running.kill()
        running.start()
        send(running, number, {"n": 2})
        fired(running, "train", 2)
        lacks(running, "cannot be reached")

        fragile.start()
        space.apply(SENSOR.replace("say", "shout"))
        active(running, space, "train")
        lacks_nothing(running)
        send(running, number, {"n": 3})
        fired(running, "train", 3)
        assert {one["trigger"] for one in running.items("firings")} == {"say", "shout"}
        running.wait(lambda: space.status("EventSource", "hooks").get("events") == 2, "the status is told")


def test_a_server_that_forgets_is_listed_anew(tmp_path: Path, fragile: KubeApi, space: Objects) -> None:
    """Each watch ends with 410 until the server remembers again; what is deleted meanwhile is found out."""
    with (
        proxied(fragile) as proxy,
        platform(tmp_path, proxy.kubeconfig, "--namespace", space.namespace) as running,
    ):
        space.apply(SENSOR)
        space.apply(SENSOR.replace("train", "other"))
        active(running, space, "other")
        proxy.spoils = (spoil("expire", "watch", part="/sensors"),)
        proxy.cut_watches()
        running.wait(lambda: proxy.done["expire"] > 1, "the server forgets")
        space.delete("Sensor", "other")
        space.apply(SENSOR.replace("say", "shout"))
        active(running, space, "train")
        running.wait(lambda: [one["name"] for one in running.items("sensors")] == ["train"], "the other one is gone")
        proxy.spoils = ()
        space.delete("Sensor", "train")
        running.wait(lambda: not running.items("sensors"), "and so is this")


RULES: dict[str, dict[str, list[str]]] = {
    "argoproj.io": {
        "eventsources": ["list", "watch"],
        "sensors": ["list", "watch"],
        "eventbus": ["list", "watch"],
        "eventsources/status": ["patch"],
        "sensors/status": ["patch"],
        "eventbus/status": ["patch"],
    },
    "retrain.dev": {
        "eventsources": ["list", "watch"],
        "sensors": ["list", "watch"],
        "promotions": ["list", "watch"],
        "eventsources/status": ["patch"],
        "sensors/status": ["patch"],
        "promotions/status": ["patch"],
    },
    "": {"events": ["create", "patch"], "secrets": ["get"], "configmaps": ["get"]},
}


def account(space: Objects) -> str:
    """The token of an account that has a role without any right."""
    accounts = f"/api/v1/namespaces/{space.namespace}/serviceaccounts"
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.namespace}"
    name = {"metadata": {"name": "retrain"}}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "retrain"}
    whom = {"kind": "ServiceAccount", "name": "retrain", "namespace": space.namespace}
    space.api.ask("POST", accounts, name)
    space.api.ask("POST", f"{rights}/roles", {**name, "rules": []})
    space.api.ask("POST", f"{rights}/rolebindings", {**name, "roleRef": role, "subjects": [whom]})
    asked = {"spec": {"expirationSeconds": 24 * 3600}}
    return space.api.ask("POST", f"{accounts}/retrain/token", asked)["status"]["token"]


def allow(space: Objects, without: tuple[str, str, str] | None = None) -> None:
    """Give the account all rights that the operator needs, but one (group, resource, verb)."""
    rules: list[dict[str, Any]] = []
    for group, resources in RULES.items():
        for resource, verbs in resources.items():
            left = [verb for verb in verbs if (group, resource, verb) != without]
            rules += [{"apiGroups": [group], "resources": [resource], "verbs": left}] if left else []
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.namespace}/roles/retrain"
    space.api.ask("PATCH", path, {"rules": rules}, kind="application/merge-patch+json")


def test_rights_that_are_lacking_are_named_and_each_one_is_needed(
    tmp_path: Path, fragile: KubeApi, space: Objects
) -> None:
    token = account(space)
    number = free_port()
    space.apply(SOURCE.replace("method: POST", "method: POST, authSecret: {name: gate, key: token}"), PORT=number)
    space.apply(SENSOR)
    space.apply("{apiVersion: v1, kind: Secret, metadata: {name: gate}, stringData: {token: open}}")
    with platform(tmp_path, fragile.kubeconfig(token), "--namespace", space.namespace) as running:
        lacks(running, f"the right to list sensors.argoproj.io in {space.namespace} is lacking")
        allow(space, without=("argoproj.io", "sensors", "watch"))
        lacks(running, f"the right to watch sensors.argoproj.io in {space.namespace} is lacking")

        allow(space, without=("", "secrets", "get"))
        lacks_nothing(running)
        lacking = f"Secret 'gate' in {space.namespace} may not be read: the right to get secrets there is lacking"
        running.wait(lambda: space.status("EventSource", "hooks").get("lacking") == [lacking], "the Secret's right")
        assert parts(running)["secrets and config maps"]["waitingFor"] == lacking

        allow(space, without=("argoproj.io", "sensors/status", "patch"))
        running.post("/api/v1/reload")
        space.apply(SENSOR.replace("say", "shout"))
        said = "statuses of sensors.argoproj.io: the right to patch sensors/status is lacking"
        running.wait(lambda: said in str(parts(running)["statuses on the cluster"]["waitingFor"]), "the status' right")

        allow(space)
        active(running, space, "train")
        running.wait(lambda: post(number, "/orders", {}, token="open"), "the event is taken")
        running.wait(lambda: "Fired" in space.reasons("train"), "all is told")
        mine = ("statuses on the cluster", "secrets and config maps")
        running.wait(lambda: all(parts(running)[name]["ready"] for name in mine), "nothing is lacking")
        lacks_nothing(running)
