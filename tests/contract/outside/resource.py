"""ConfigMaps of a real Kubernetes API server, in a namespace of this test's own."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio.to_thread

from retrain.events import Event
from tests.contract.outside import World
from tests.servers.kube_server import TOKEN

if TYPE_CHECKING:
    from tests.servers.kube_server import KubeApi


class Outside(World):
    kind = "resource"
    fixture = "kube_api"
    payload = frozenset({"type", "body", "oldBody", "group", "version", "resource"})
    many = 2_000  # the API server makes some hundred objects in a second

    def __init__(self, folder: Path, server: KubeApi, version: str) -> None:
        super().__init__(folder, server, version)
        self.namespace = f"n-{uuid4().hex[:12]}"
        self._kubeconfig = os.environ.get("KUBECONFIG")
        (folder / "kubeconfig").write_text(server.kubeconfig())
        os.environ["KUBECONFIG"] = str(folder / "kubeconfig")  # where a document of Argo's has its server from

    async def prepare(self) -> None:
        await anyio.to_thread.run_sync(self.running.make_namespace, self.namespace)

    def entry(self) -> dict[str, Any]:
        what = {"namespace": self.namespace, "version": "v1", "resource": "configmaps", "eventTypes": ["ADD"]}
        return {**what, "kubeconfig": {"name": "kube", "key": "config"}} if self.ours else what

    def secrets(self) -> dict[tuple[str, str], str]:
        return {("kube", "config"): self.running.kubeconfig(), ("kube", "away"): self._away()} if self.ours else {}

    def _away(self) -> str:
        return self.running.kubeconfig(server="https://127.0.0.1:1")

    def wrong_secrets(self) -> dict[tuple[str, str], str] | None:
        if not self.ours:
            return None
        return {**self.secrets(), ("kube", "config"): self.running.kubeconfig(token="not-the-token")}

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        await anyio.to_thread.run_sync(self._make, names)

    def _make(self, names: Sequence[str]) -> None:
        connection = http.client.HTTPSConnection(self.running.address, context=self.running.context(), timeout=30)
        for name in names:
            body = json.dumps({"metadata": {"name": name}, "data": {"a": "b"}})
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            connection.request("POST", f"/api/v1/namespaces/{self.namespace}/configmaps", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 201, answer.status
        connection.close()

    def name_in(self, event: Event) -> str:
        return event.data["body"]["metadata"]["name"]

    async def close(self) -> None:
        os.environ.pop("KUBECONFIG")
        if self._kubeconfig is not None:
            os.environ["KUBECONFIG"] = self._kubeconfig
