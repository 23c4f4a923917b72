"""A platform that may do what `deploy/kubernetes/work` allows and nothing else, on an API server that writes down who
asks for what."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.e2e.platform_driver import Platform
from tests.integration.operator_world import install, platform
from tests.servers.kube_lab import Lab, lab
from tests.servers.launch import free_port, wait_until
from tests.servers.program import SCRIPTS, cache

DEPLOY = SCRIPTS.parent.parent / "deploy" / "kubernetes"
ACCOUNT = "system:serviceaccount:retrain:retrain"
WORK = "ml"
ROLE = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{WORK}/roles/retrain"
POLICY = f"""
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{{level: Metadata, users: ["{ACCOUNT}"]}}]
"""


class Right(NamedTuple):
    """One verb of one resource, which may have a part: `workflows`, `pods/log`."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{'.' if self.group else ''}{self.group}"


def rights() -> list[Right]:
    """What the Role allows."""
    rules = yaml.safe_load((DEPLOY / "work" / "role.yaml").read_text())["rules"]
    return [
        Right(g, r, v) for rule in rules for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]
    ]


class RightsWorld:
    """The server, the account with its Role, and what was asked."""

    def __init__(self, place: Path, made: Lab, audit: Path) -> None:
        self.lab, self._place, self._audit = made, place, audit
        self.port = free_port()
        self._token = ""

    def prepare(self) -> None:
        """The definitions, and `kubectl apply -k deploy/kubernetes/work`."""
        install(self.lab.api)
        for name in ("retrain", WORK):
            self.lab.api.make_namespace(name)
        accounts = "/api/v1/namespaces/retrain/serviceaccounts"
        self.lab.api.ask("POST", accounts, {"metadata": {"name": "retrain"}})
        self.kubectl("apply", "-k", str(DEPLOY / "work"))
        self._rules: Any = self.lab.api.ask("GET", ROLE)["rules"]
        asked = {"spec": {"expirationSeconds": 24 * 3600}}
        self._token = self.lab.api.ask("POST", f"{accounts}/retrain/token", asked)["status"]["token"]

    def platform(self, name: str) -> Platform:
        """One that works in the namespace by the account's token."""
        place = self._place / name
        kubeconfig = self.lab.api.kubeconfig(self._token)
        return platform(place, kubeconfig, "--namespace", WORK, RETRAIN_KUBERNETES_ADDRESS="10.1.2.3")

    def kubectl(self, *words: str, said: str | None = None) -> str:
        file = self._place / "kubeconfig"
        file.write_text(self.lab.kubeconfig)
        command = [str(cache() / "kubernetes" / "bin" / "kubectl"), f"--kubeconfig={file}", *words]
        done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, manifests: str) -> None:
        self.kubectl("apply", "-n", WORK, "-f", "-", said=manifests.replace("$PORT", str(self.port)))

    def ports(self) -> list[int]:
        """Where the Service of the EventSource leads, by its slice; none once both are gone."""
        paths = (f"/api/v1/namespaces/{WORK}/services", f"/apis/discovery.k8s.io/v1/namespaces/{WORK}/endpointslices")
        services, slices = (self.lab.api.ask("GET", path)["items"] for path in paths)
        if not slices:
            return [one["spec"]["ports"][0]["targetPort"] for one in services]
        return [port["port"] for one in slices for port in one["ports"]]

    def said_on(self, name: str) -> str:
        """What stands on an EventSource."""
        path = f"/apis/argoproj.io/v1alpha1/namespaces/{WORK}/eventsources/{name}"
        return json.dumps(self.lab.api.ask("GET", path).get("status"))

    def wipe(self, group: str, resource: str) -> str:
        """Take the status off all objects of a kind: it is to be written anew."""
        version = "v1alpha1" if group == "argoproj.io" else "v1"
        path = f"/apis/{group}/{version}/namespaces/{WORK}/{resource}"
        for one in self.lab.api.ask("GET", path)["items"]:
            merge = "application/merge-patch+json"
            self.lab.api.ask("PATCH", f"{path}/{one['metadata']['name']}/status", {"status": None}, kind=merge)
        return ""

    def remove(self, group: str, resource: str) -> str:
        """Delete the Service of the EventSource, or its slice."""
        root = f"/apis/{group}/v1" if group else "/api/v1"
        path = f"{root}/namespaces/{WORK}/{resource}"
        for one in self.lab.api.ask("GET", path)["items"]:
            self.lab.api.ask("DELETE", f"{path}/{one['metadata']['name']}")
        return ""

    def begin(self, pod: str) -> None:
        """What a kubelet says of a pod whose step runs; there is none here."""
        state = {"name": "main", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "ready": True}
        status = {"phase": "Running", "containerStatuses": [{**state, "image": "", "imageID": "", "restartCount": 0}]}
        path = f"/api/v1/namespaces/{WORK}/pods/{pod}/status"
        self.lab.api.ask("PATCH", path, {"status": status}, kind="application/merge-patch+json")

    def asked(self) -> Iterator[tuple[Right, bool]]:
        """Everything that the account has asked for up to now, and whether it was allowed."""
        for line in self._audit.read_text().splitlines():
            event = json.loads(line)
            what = event.get("objectRef")
            if what is None or "resource" not in what:
                continue  # the server's own pages: versions, what kinds there are
            part = f"/{what['subresource']}" if "subresource" in what else ""
            right = Right(what.get("apiGroup", ""), f"{what['resource']}{part}", event["verb"])
            yield right, event["annotations"]["authorization.k8s.io/decision"] == "allow"

    @contextmanager
    def without(self, *taken: Right) -> Generator[None]:
        """The Role with all but these, for as long as the block lasts."""
        rules: list[Any] = self._rules
        for right in taken:
            rules = [less for rule in rules for less in _less(rule, right)]
        self._put(rules, taken, allowed=False)
        try:
            yield
        finally:
            self._put(self._rules, taken, allowed=True)

    def _put(self, rules: list[Any], those: Sequence[Right], *, allowed: bool) -> None:
        self.lab.api.ask("PATCH", ROLE, {"rules": rules}, kind="application/merge-patch+json")
        for right in those:
            wait_until(lambda: self.may(right) == allowed, f"{right}: {allowed}")  # noqa: B023 - called at once

    def may(self, right: Right) -> bool:
        """What the server answers when asked whether the account may."""
        resource, _, part = right.resource.partition("/")
        attributes = {"namespace": WORK, "verb": right.verb, "group": right.group, "resource": resource}
        spec = {"user": ACCOUNT, "resourceAttributes": {**attributes, "subresource": part}}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(self.lab.api.ask("POST", path, {"spec": spec})["status"]["allowed"])


@contextmanager
def rights_world(place: Path) -> Generator[RightsWorld]:
    """Nothing runs on it yet but the server and Argo's controller."""
    audit, policy = place / "audit.log", place / "policy.yaml"
    policy.write_text(POLICY)
    flags = f"--audit-policy-file={policy} --audit-log-path={audit}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEAPI_FLAGS", flags)
        with lab(place / "lab") as made:
            world = RightsWorld(place, made, audit)
            world.prepare()
            yield world


def _less(rule: dict[str, list[str]], right: Right) -> list[dict[str, list[str]]]:
    """A rule without one right: what is left of it, as rules."""
    if right.group not in rule["apiGroups"] or right.resource not in rule["resources"]:
        return [rule]
    others = [one for one in rule["resources"] if one != right.resource]
    verbs = [one for one in rule["verbs"] if one != right.verb]
    parts = [{**rule, "resources": others}, {**rule, "resources": [right.resource], "verbs": verbs}]
    return [one for one in parts if one["resources"] and one["verbs"]]
