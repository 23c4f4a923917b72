"""A repository that Argo CD deploys from: one Deployment, one Application, in a namespace of their own."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.promotion_world import Remote, candidate
from tests.servers.cluster_server import MERGE, ClusterServer

FILE = "digits/deployment.yaml"
OTHER = "elsewhere/settings.yaml"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: digits
  labels: {version: none}   # promoted by Retrain
spec:
  replicas: 1
  progressDeadlineSeconds: 3
  selector: {matchLabels: {app: digits}}
  template:
    metadata: {labels: {app: digits}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: server
          image: busybox   # promoted by Retrain
          command: [sleep, "100000"]
          env:
            - name: MODEL_URI
              value: none
"""
SETTINGS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {model: none}\n"
EDITS = [
    {"file": FILE, "path": "metadata.labels.version", "value": "{{candidate.version}}"},
    {
        "file": FILE,
        "path": "spec.template.spec.containers[name=server].image",
        "value": "{{candidate.parameters.image}}",
    },
    {
        "file": FILE,
        "path": "spec.template.spec.containers[name=server].env[name=MODEL_URI].value",
        "value": "{{candidate.uri}}",
    },
]
ABSENT = "registry.invalid/absent:1"
"""An image that no node can get."""
AUTOMATED = {"prune": True, "selfHeal": True}
APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"


def model(name: str, image: str = "busybox", version: str | None = None) -> dict[str, Any]:
    """A candidate that EDITS can write."""
    return candidate(name, version=version or name, parameters={"image": image})


@dataclass(frozen=True)
class Delivery:
    """What Argo CD deploys. The Application has its namespace's name."""

    server: ClusterServer
    remote: Remote
    space: str
    kubeconfig: str
    """That of an account which may do what docs/promotions.md says that verifying takes, and no more."""

    @property
    def path(self) -> str:
        return f"{APPLICATIONS}/{self.space}"

    def application(self) -> dict[str, Any]:
        return self.server.ask("GET", self.path)

    def deployed(self) -> dict[str, Any]:
        return self.server.ask("GET", f"/apis/apps/v1/namespaces/{self.space}/deployments/digits")

    def image(self) -> str:
        return self.deployed()["spec"]["template"]["spec"]["containers"][0]["image"]

    def sync_by_itself(self, does: bool) -> None:
        """Without it, `null` takes the policy out of the object."""
        policy = {"automated": AUTOMATED if does else None}
        self.server.ask("PATCH", self.path, {"spec": {"syncPolicy": policy}}, MERGE)

    def refresh(self) -> None:
        note = {"argocd.argoproj.io/refresh": "normal"}
        self.server.ask("PATCH", self.path, {"metadata": {"annotations": note}}, MERGE)

    def settle(self) -> None:
        """Wait until what is in the branch runs."""
        tip = self.remote.tip()
        self.refresh()
        self.server.until(self.path, lambda app: _is_at(app, tip), f"Synced and Healthy at {tip}")


def _is_at(app: Mapping[str, Any], commit: str) -> bool:
    status = app.get("status", {})
    sync = status.get("sync", {})
    return (sync.get("status"), sync.get("revision"), status.get("health", {}).get("status")) == (
        "Synced",
        commit,
        "Healthy",
    )


@contextmanager
def delivery(server: ClusterServer, folder: Path) -> Generator[Delivery]:
    """A first state that runs; all of it goes with the block, but for the namespace's own end."""
    remote = Remote.create(folder / "deploy.git", {FILE: DEPLOYMENT, OTHER: SETTINGS})
    with server.space("argocd") as space:
        server.ask("POST", APPLICATIONS, _application(space, f"file://{remote.path}"))
        may = {"argoproj.io/applications": ["get", "patch"]}
        found = Delivery(server, remote, space, server.account(space, may, "argocd"))
        try:
            found.settle()
            yield found
        finally:
            server.ask("DELETE", found.path)
            server.forget(space, "argocd")


def _application(name: str, url: str) -> dict[str, Any]:
    """Without the finalizer that would delete what was deployed: the namespace goes as a whole."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name},
        "spec": {
            "project": "default",
            "source": {"repoURL": url, "path": "digits", "targetRevision": "main"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": name},
            # Its own retries would keep an operation alive for minutes before it counts as failed.
            "syncPolicy": {"automated": AUTOMATED, "retry": {"limit": 0}},
        },
    }
