"""A repository that Flux deploys from, served by https: one GitRepository, one Kustomization."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.argocd_world import DEPLOYMENT, FILE
from tests.integration.promotion_world import Remote
from tests.servers.cluster_server import MERGE, ClusterServer
from tests.servers.git_server import git_server

SOURCE = "/apis/source.toolkit.fluxcd.io/v1/namespaces/{}/gitrepositories"
APPLIED = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{}/kustomizations"


@dataclass(frozen=True)
class FluxDelivery:
    """What Flux deploys. Source and Kustomization are named `digits`."""

    server: ClusterServer
    remote: Remote
    space: str
    kubeconfig: str
    """That of an account which may do what docs/promotions.md says that verifying takes, and no more."""

    @property
    def source(self) -> str:
        return f"{SOURCE.format(self.space)}/digits"

    @property
    def applied(self) -> str:
        return f"{APPLIED.format(self.space)}/digits"

    def image(self) -> str:
        deployed = self.server.ask("GET", f"/apis/apps/v1/namespaces/{self.space}/deployments/digits")
        return deployed["spec"]["template"]["spec"]["containers"][0]["image"]

    def suspend(self, does: bool) -> None:
        self.server.ask("PATCH", self.source, {"spec": {"suspend": does}}, MERGE)

    def settle(self) -> None:
        """Wait until what is in the branch runs."""
        tip = self.remote.tip()
        self.server.ask(
            "PATCH", self.source, {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": tip}}}, MERGE
        )
        self.server.until(self.applied, lambda one: _has_applied(one, tip), f"{tip} applied and ready")


def _has_applied(one: Mapping[str, Any], commit: str) -> bool:
    status = one.get("status", {})
    ready = [each["status"] for each in status.get("conditions", ()) if each["type"] == "Ready"]
    return str(status.get("lastAppliedRevision")).endswith(commit) and ready == ["True"]


@contextmanager
def flux_delivery(server: ClusterServer, folder: Path) -> Generator[FluxDelivery]:
    """A first state that runs; all of it goes with the block, but for the namespace's own end."""
    remote = Remote.create(folder / "git" / "deploy.git", {FILE: DEPLOYMENT})
    with git_server(folder / "git", folder / "tls") as served, server.space("flux") as space:
        may = {
            "kustomize.toolkit.fluxcd.io/kustomizations": ["get"],
            "source.toolkit.fluxcd.io/gitrepositories": ["get", "patch"],
        }
        found = FluxDelivery(server, remote, space, server.account(space, may, space))
        secret = {"metadata": {"name": "authority"}, "stringData": {"ca.crt": served.ca}}
        server.ask("POST", f"/api/v1/namespaces/{space}/secrets", secret)
        server.ask("POST", SOURCE.format(space), _source(f"{served.url}/deploy.git"))
        server.ask("POST", APPLIED.format(space), _kustomization(space))
        try:
            found.settle()
            yield found
        finally:
            server.ask("DELETE", found.applied)
            server.until(found.applied, lambda one: one is None, "the Kustomization's end")


def _source(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "digits"},
        "spec": {"url": url, "interval": "1m", "ref": {"branch": "main"}, "secretRef": {"name": "authority"}},
    }


def _kustomization(space: str) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "digits"},
        "spec": {
            "sourceRef": {"kind": "GitRepository", "name": "digits"},
            "path": "./digits",
            "targetNamespace": space,
            "interval": "1m",
            "retryInterval": "2s",
            "timeout": "10s",
            "prune": False,  # the namespace goes as a whole
            "wait": True,
        },
    }
