"""A Kubernetes to break: an API server, its etcd and Argo's controller, each killed and started again as a test likes.

There are no nodes, so a Workflow here is made of what needs no pod: `suspend: {duration: ...}` and `when`. Each of the
three keeps its port and its data through a kill.
"""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from tests.servers.kube_server import KubeApi
from tests.servers.launch import absent, free_port, wait_until
from tests.servers.program import SCRIPTS, Program, cache

WORKFLOWS = "/apis/argoproj.io/v1alpha1"
APPLY_S = 120
PAGE = 500


@dataclass
class Controller(Program):
    """Argo's workflow controller. It listens nowhere of its own."""

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the controller ended at its start:\n{self.output.read_text()[-2000:]}")
        return self.output.read_text(errors="replace").count("Manager initialized") == self.starts

    starts: int = field(default=0)

    def start(self) -> None:
        self.starts += 1
        super().start()


@dataclass
class Lab:
    """The three of them. `kubeconfig` is the administrator's."""

    etcd: Program
    api: KubeApi
    controller: Controller

    @property
    def kubeconfig(self) -> str:
        return self.api.kubeconfig()

    def kill_api(self) -> None:
        """The API server ends as by a power cut; start it again with `self.api.start()`."""
        self.api.kill()

    def restart_etcd(self) -> None:
        """Kill etcd and start it on the same data; the API server stays and finds it again."""
        self.etcd.kill()
        self.etcd.start()
        self.until_answers()

    def until_answers(self) -> None:
        """Wait until the API server says that it is ready, and knows Workflows."""

        def answers() -> bool:
            return self.api.answers("/readyz") and self.api.answers(f"{WORKFLOWS}/workflows?limit=1")

        wait_until(answers, "the API server and its etcd")

    def account(self, namespace: str, by: str = "") -> str:
        """A kubeconfig of a ServiceAccount that may do everything with the namespace's Workflows, and nothing else.

        `by`: the address of a proxy that it goes by.
        """
        rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        name = {"metadata": {"name": "retrain"}}
        rule = {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["*"]}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "retrain"}
        whom = {"kind": "ServiceAccount", "name": "retrain", "namespace": namespace}
        self.api.ask("POST", accounts, name)
        self.api.ask("POST", f"{rights}/roles", {**name, "rules": [rule]})
        self.api.ask("POST", f"{rights}/rolebindings", {**name, "roleRef": role, "subjects": [whom]})
        asked = {"spec": {"expirationSeconds": 24 * 3600}}
        token = self.api.ask("POST", f"{accounts}/retrain/token", asked)["status"]["token"]
        return self.api.kubeconfig(token, f"https://{by}" if by else "")

    def workflows(self, namespace: str) -> list[dict[str, Any]]:
        """All Workflows of a namespace, page by page."""
        found: list[dict[str, Any]] = []
        more = ""
        while True:
            path = f"{WORKFLOWS}/namespaces/{namespace}/workflows?limit={PAGE}"
            body = self.api.ask("GET", f"{path}&continue={more}" if more else path)
            found += body["items"]
            more = body["metadata"].get("continue", "")
            if not more:
                return found

    def nudge(self, namespace: str) -> None:
        """Touch all Workflows that have not ended. Argo's controller does not come back to one whose update met an API
        server that was away, before it looks at all of them again: that is after 20 minutes."""
        path = f"{WORKFLOWS}/namespaces/{namespace}/workflows"
        note = {"metadata": {"annotations": {"nudged": uuid4().hex}}}
        for one in self.workflows(namespace):
            if one["metadata"].get("labels", {}).get("workflows.argoproj.io/completed") != "true":
                self.api.ask("PATCH", f"{path}/{one['metadata']['name']}", note, "application/merge-patch+json")

    def requests(self, verb: str, resource: str = "workflows") -> int:
        """How many requests of this verb (LIST, WATCH, POST ...) the API server has answered since its start."""
        total = 0.0
        for line in self.api.text("/metrics").splitlines():
            if (
                line.startswith("apiserver_request_total{")
                and f'resource="{resource}"' in line
                and f'verb="{verb}"' in line
            ):
                total += float(line.rpartition(" ")[2])
        return int(total)


@contextmanager
def lab(data: Path, *, controller: bool = True) -> Generator[Lab]:
    """All three, or the first two, for as long as the block lasts."""
    home = cache() / "kubernetes"
    for program in ("kube", "workflow-controller"):
        if not (home / "bin" / program).exists():
            absent(f"no {program} on this machine: run tests/servers/argo.sh install")
    made = _made(data)
    with ExitStack() as stack:
        stack.callback(made.etcd.kill)
        made.etcd.start()
        stack.callback(made.api.kill)
        made.api.start()
        _install(made, home)
        stack.callback(made.controller.kill)
        if controller:
            made.controller.start()
        yield made


def _made(data: Path) -> Lab:
    data.mkdir(parents=True)
    etcd = Program("etcd", data / "etcd", words=[str(free_port())])
    api = KubeApi("kubeapi", data / "api", etcd=etcd.port)
    api.prepare()
    kubeconfig = data / "controller.kubeconfig"
    config = yaml.safe_load(api.kubeconfig())
    config["contexts"][0]["context"]["namespace"] = "argo"
    kubeconfig.write_text(yaml.safe_dump(config))
    return Lab(etcd, api, Controller("workflow_controller", data / "controller", words=[str(kubeconfig)]))


def _install(made: Lab, home: Path) -> None:
    """Argo's definitions and its controller's configuration."""
    kubeconfig = made.api.data / "kubeconfig"
    kubeconfig.write_text(made.kubeconfig)
    kubectl = [str(home / "bin" / "kubectl"), f"--kubeconfig={kubeconfig}"]
    apply = [*kubectl, "apply", "--server-side", "-f", str(home / "crds" / "minimal"), "-f"]
    subprocess.run(
        [*apply, str(SCRIPTS / "argo" / "controller.yaml")], check=True, capture_output=True, timeout=APPLY_S
    )
    wait = [*kubectl, "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"]
    subprocess.run(wait, check=True, capture_output=True, timeout=APPLY_S)
    made.until_answers()
