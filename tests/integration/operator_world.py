"""A platform that watches a real API server, and what tests do with the objects there."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import yaml

from tests.e2e.platform_driver import Platform
from tests.servers.kube_server import KubeApi
from tests.servers.launch import wait_until

CRDS = Path(__file__).parents[2] / "deploy" / "kubernetes" / "crds"
APPLY = "application/apply-patch+yaml"
START_S = 180.0
PLURALS = {
    "EventSource": "eventsources",
    "Sensor": "sensors",
    "EventBus": "eventbus",
    "Promotion": "promotions",
    "WorkflowTemplate": "workflowtemplates",
    "ConfigMap": "configmaps",
    "Secret": "secrets",
}

KINDS = (
    *(("argoproj.io/v1alpha1", plural) for plural in ("eventsources", "sensors", "eventbus")),
    *(("retrain.dev/v1", plural) for plural in ("eventsources", "sensors", "promotions")),
)


def base(api_version: str, namespace: str, plural: str) -> str:
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    return f"{root}/namespaces/{namespace}/{plural}"


class Refusal(Exception):
    """What the server answers instead of doing it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code


class Server(Protocol):
    """An API server that is asked as its administrator."""

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any: ...


def ask(api: Server, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
    """One request to the server; the answer's JSON.

    Raises:
        Refusal: it is refused.
    """
    try:
        return api.ask(method, path, body, kind)
    except urllib.error.HTTPError as error:
        with error:
            raise Refusal(error.code, str(json.load(error).get("message"))) from None


def columns(api: KubeApi, path: str) -> list[str]:
    """What `kubectl get` shows of the objects at a path, without `-o wide`."""
    table = api.text(path, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    return [one["name"] for one in json.loads(table)["columnDefinitions"] if one["priority"] == 0]


class Objects:
    """The objects of one namespace, as kubectl handles them."""

    def __init__(self, api: Server, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    def apply(self, text: str, **fill: Any) -> None:
        """Apply the documents of a text, as `kubectl apply --server-side` does."""
        for name, value in fill.items():
            text = text.replace(f"${name}", str(value))
        for body in yaml.safe_load_all(text):
            self.put(body)

    def put(self, body: Mapping[str, Any], query: str = "") -> Any:
        """Apply one object."""
        path = f"{base(body['apiVersion'], self.namespace, PLURALS[body['kind']])}/{body['metadata']['name']}"
        return ask(self.api, "PATCH", f"{path}?fieldManager=kubectl&force=true{query}", body, kind=APPLY)

    def get(self, kind: str, name: str, api_version: str = "argoproj.io/v1alpha1") -> Any:
        return ask(self.api, "GET", f"{base(api_version, self.namespace, PLURALS[kind])}/{name}")

    def delete(self, kind: str, name: str, api_version: str = "argoproj.io/v1alpha1") -> None:
        ask(self.api, "DELETE", f"{base(api_version, self.namespace, PLURALS[kind])}/{name}")

    def status(self, kind: str, name: str, api_version: str = "argoproj.io/v1alpha1") -> dict[str, Any]:
        return self.get(kind, name, api_version).get("status") or {}

    def conditions(self, kind: str, name: str, api_version: str = "argoproj.io/v1alpha1") -> dict[str, str]:
        return {one["type"]: one["status"] for one in self.status(kind, name, api_version).get("conditions", ())}

    def told(self, name: str) -> list[dict[str, Any]]:
        """The Events on an object."""
        found = ask(self.api, "GET", f"{base('v1', self.namespace, 'events')}?fieldSelector=involvedObject.name={name}")
        return found["items"]

    def reasons(self, name: str) -> set[str]:
        return {one["reason"] for one in self.told(name)}


def install(api: Server) -> None:
    """Put our CRDs on the server, and wait until it serves them."""
    for file in sorted(CRDS.glob("*.*.yaml")):
        body = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
        name = body["metadata"]["name"]
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        api.ask("PATCH", f"{path}?fieldManager=kubectl&force=true", body, kind=APPLY)
        wait_until(lambda: _established(api, path), f"{name} is served")  # noqa: B023 - called at once


def _established(api: Server, path: str) -> bool:
    conditions = (api.ask("GET", path).get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


@contextmanager
def namespace(api: KubeApi, stem: str = "op") -> Generator[Objects]:
    name = f"{stem}-{uuid.uuid4().hex[:8]}"
    api.make_namespace(name)
    try:
        yield Objects(api, name)
    finally:
        drop(api, name)


def drop(api: KubeApi, name: str) -> None:
    """Delete a namespace, with the objects that a platform for all namespaces would see there."""
    # Nobody empties a namespace here: there is no controller.
    for version, plural in KINDS:
        api.ask("DELETE", base(version, name, plural))
    api.ask("DELETE", f"/api/v1/namespaces/{name}")


class Patient(Platform):
    """Many such tests start a platform at once, beside API servers: that takes its time."""

    def await_ready(self, timeout_s: float = START_S) -> None:
        super().await_ready(timeout_s)


def platform(place: Path, kubeconfig: str, *options: str, **variables: str) -> Platform:
    """A platform that takes its manifests from the server."""
    place.mkdir(parents=True, exist_ok=True)
    file = place / "kubeconfig"
    file.write_text(kubeconfig)
    environment = {"RETRAIN_KUBERNETES_KUBECONFIG": str(file), "KUBECONFIG": "", **variables}
    return Patient(place, environment=environment, options=["--kubernetes", *options])


def parts(running: Platform) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in running.get("/readyz")["parts"]}


def post(port: int, endpoint: str, body: Any, token: str = "", host: str = "127.0.0.1") -> bool:
    """Call a webhook on a port of its own; whether it has taken the event."""
    request = urllib.request.Request(f"http://{host}:{port}{endpoint}", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return 200 <= answer.status < 300
    except OSError:  # not open yet, or it answers that it cannot now
        return False
