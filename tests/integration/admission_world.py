"""A real API server that asks a webhook of ours, served by its own certificate on this machine."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import yaml
from anyio import fail_after

from retrain.app.admission.admission import Admission, Wanted
from retrain.app.admission.certificates import Lives
from retrain.app.admission.vaults import FileVault, SecretVault, Vault
from retrain.clock import SystemClock
from retrain.kube import Cluster, cluster
from tests.integration.operator_world import drop, install
from tests.servers.kube_server import TOKEN, KubeApi
from tests.servers.launch import free_port, wait_until

SHIPPED = Path(__file__).parents[2] / "deploy/kubernetes/components/admission/webhook.yaml"
PROBE: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "EventSource",
    "metadata": {"name": "probe"},
    "spec": {"calendar": {"tick": {"interval": "1h"}}},
}
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


def configuration(name: str, url: str, namespace: str, **more: Any) -> dict[str, Any]:
    """That of deploy/kubernetes, but by URL, for one namespace alone, and where a failure is not passed over."""
    body: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
    (one,) = body["webhooks"]
    one |= {"clientConfig": {"url": f"{url}/admission"}, "failurePolicy": "Fail", "timeoutSeconds": 30, **more}
    one["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return {**body, "metadata": {"name": name}}


@dataclass
class Asked:
    """What the API server said: its answer, or its refusal, and what it warned of."""

    body: dict[str, Any]
    warnings: list[str] = field(default_factory=list[str])

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def made(self) -> bool:
        return self.body.get("kind") != "Status"


@dataclass
class World:
    """A namespace whose objects are reviewed."""

    api: KubeApi
    namespace: str
    name: str
    admission: Admission

    def put(self, body: dict[str, Any], *, method: str = "POST", query: str = "", kind: str = "") -> Asked:
        """Create an object, or change one."""
        group, plural = body["apiVersion"], f"{body['kind'].lower()}s"
        path = f"/apis/{group}/namespaces/{self.namespace}/{plural}"
        path += f"/{body['metadata']['name']}" if method != "POST" else ""
        return asked(self.api, method, f"{path}{query}", body, kind or "application/json")

    def get(self) -> dict[str, Any]:
        """The configuration as it is."""
        return self.api.ask("GET", f"{WEBHOOKS}/{self.name}")

    def change(self, path: str, value: Any) -> None:
        """Something of the only webhook of the configuration."""
        change = [{"op": "replace", "path": f"/webhooks/0/{path}", "value": value}]
        self.api.ask("PATCH", f"{WEBHOOKS}/{self.name}", change, kind="application/json-patch+json")


def asked(api: KubeApi, method: str, path: str, body: Any, kind: str) -> Asked:
    """One request with the warnings of its answer."""
    request = urllib.request.Request(f"https://{api.address}{path}", json.dumps(body).encode(), method=method)
    request.add_header("Authorization", f"Bearer {TOKEN}")
    request.add_header("Content-Type", kind)
    try:
        with urllib.request.urlopen(request, timeout=30, context=api.context()) as answer:
            return Asked(json.load(answer), answer.headers.get_all("Warning") or [])
    except urllib.error.HTTPError as error:
        return Asked(json.load(error), error.headers.get_all("Warning") or [])


@asynccontextmanager
async def reviewed(
    api: KubeApi, data: Path, *, lives: Lives | None = None, secret: str = "", look_s: float = 0.2, **webhook: Any
) -> AsyncGenerator[World]:
    """A webhook that runs, and a namespace whose objects it is asked about."""
    ident = uuid.uuid4().hex[:8]
    name = space = f"admission-{ident}"
    port = free_port()
    await anyio.to_thread.run_sync(install, api)
    api.make_namespace(space)
    api.ask("POST", WEBHOOKS, configuration(name, f"https://127.0.0.1:{port}", space, **webhook))
    try:
        with fail_after(120):
            async with cluster(api.kubeconfig()) as server, anyio.create_task_group() as group:
                wanted = Wanted(
                    "127.0.0.1", port, name, "retrain-admission", ("127.0.0.1",), lives or Lives(), look_s, settle_s=1.0
                )
                made = Admission(wanted, _vault(server, data, secret), opened(server), SystemClock())
                await group.start(made.run)
                await until(lambda: made.waiting_for is None)
                world = World(api, space, name, made)
                # The API server hears of the configuration, and of whom to trust, a moment after it was written.
                await until(lambda: world.put(PROBE, query="?dryRun=All").made, "the API server asks the webhook")
                made.door.asked = made.door.refused = 0
                yield world
                group.cancel_scope.cancel()
    finally:
        api.ask("DELETE", f"{WEBHOOKS}/{name}")
        drop(api, space)


def opened(server: Cluster) -> Callable[[], Any]:
    async def give() -> Cluster:
        return server

    return give


def _vault(server: Cluster, data: Path, secret: str) -> Vault:
    return SecretVault(opened(server), secret, "default") if secret else FileVault(data / "admission.json")


async def until(true: Callable[[], bool], what: str = "it is so") -> None:
    """Wait for a condition."""
    await anyio.to_thread.run_sync(wait_until, true, what)


def lives(seconds: float) -> Lives:
    """So short that everything is made anew while a test looks on."""
    return Lives(timedelta(seconds=3 * seconds), timedelta(seconds=seconds))
