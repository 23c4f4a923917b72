"""A real Kubernetes of one node; Argo Workflows, Argo CD and Flux beside it. Tests share the machine's one of each."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.servers.launch import absent, wait_until
from tests.servers.program import SCRIPTS, cache
from tests.servers.shared import Shared

API = "https://10.244.0.1:6443"
MERGE = "application/merge-patch+json"
PROXIES = urllib.request.ProxyHandler({})


@dataclass(frozen=True)
class ClusterServer:
    """A running cluster, asked as its administrator."""

    home: Path

    @property
    def kubeconfig(self) -> Path:
        return self.home / "run" / "kubeconfig"

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """One request; the answer's JSON, or None where there is no such thing. AssertionError: it is refused."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(API + path, data, {"Content-Type": kind}, method=method)
        opener = urllib.request.build_opener(PROXIES, urllib.request.HTTPSHandler(context=self._context()))
        try:
            with opener.open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            said = error.read().decode(errors="replace")
            raise AssertionError(f"{method} {path}: {error.code} {said}") from error

    def until(self, path: str, met: Callable[[Any], object], what: str) -> Any:
        """Wait until an object (None where it is not there) is as it should be; the object."""
        found: list[Any] = [None]

        def look() -> bool:
            found[0] = self.ask("GET", path)
            return bool(met(found[0]))

        wait_until(look, what)
        return found[0]

    @contextmanager
    def space(self, stem: str) -> Generator[str]:
        """A namespace of one's own. Its end is not waited for."""
        name = f"{stem}-{uuid.uuid4().hex[:8]}"
        self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self.until(f"/api/v1/namespaces/{name}/serviceaccounts/default", bool, "the namespace's account")
        try:
            yield name
        finally:
            self.ask("DELETE", f"/api/v1/namespaces/{name}")

    def account(self, space: str, verbs: dict[str, list[str]], within: str) -> str:
        """A kubeconfig of an account in `space` that may do these verbs of each GROUP/RESOURCE in `within`, no more."""
        accounts = f"/api/v1/namespaces/{space}/serviceaccounts"
        roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{within}"
        name = f"{space}-reader"
        rules = [
            {"apiGroups": [group], "resources": [resource], "verbs": allowed}
            for what, allowed in verbs.items()
            for group, _, resource in [what.partition("/")]
        ]
        self.ask("POST", accounts, {"metadata": {"name": name}})
        self.ask("POST", f"{roles}/roles", {"metadata": {"name": name}, "rules": rules})
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": space}],
        }
        self.ask("POST", f"{roles}/rolebindings", binding)
        token = self.ask("POST", f"{accounts}/{name}/token", {"spec": {"expirationSeconds": 3600}})["status"]["token"]
        config = yaml.safe_load(self.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        return yaml.safe_dump(config)

    def forget(self, space: str, within: str) -> None:
        """Take the account's rights away again, where they outlive its namespace."""
        for kind in ("rolebindings", "roles"):
            path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{within}/{kind}/{space}-reader"
            self.ask("DELETE", path)

    def _context(self) -> ssl.SSLContext:
        pki = self.home / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        return context


@contextmanager
def cluster() -> Generator[ClusterServer]:
    """The machine's cluster; started if it does not run."""
    home = _home("cluster", "kubernetes", "bin/kube")
    if os.geteuid() != 0:
        absent("a cluster needs root: containers, cgroups and iptables")
    with Shared(SCRIPTS / "cluster.sh", home).used():
        yield ClusterServer(home)


@contextmanager
def argo(beside: ClusterServer) -> Generator[ClusterServer]:
    """Argo Workflows beside a cluster: the same cluster, with Argo's controller in it."""
    with Shared(SCRIPTS / "argo.sh", _home("argo", "kubernetes", "bin/workflow-controller"), "argo.").used():
        yield beside


@contextmanager
def argocd(beside: ClusterServer) -> Generator[ClusterServer]:
    """Argo CD beside a cluster: the same cluster, with Argo CD in it."""
    with Shared(SCRIPTS / "argocd.sh", _home("argocd", "argocd", "manifests")).used():
        yield beside


@contextmanager
def flux(beside: ClusterServer) -> Generator[ClusterServer]:
    """Flux beside a cluster: the same cluster, with Flux in it."""
    with Shared(SCRIPTS / "flux.sh", _home("flux", "flux", "manifests")).used():
        yield beside


def _home(script: str, folder: str, needed: str) -> Path:
    home = cache() / folder
    if not (home / needed).exists():
        absent(f"no {script} on this machine: run tests/servers/{script}.sh install")
    return home
