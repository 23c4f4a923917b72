"""The platform as `kubectl apply -k deploy/kubernetes/overlays/embedded` installs it on the machine's cluster.

What differs from a cluster of one's own stands in overlays that are written here: the namespaces, the image of this
work tree, and a folder of this machine as the volume, since there is no storage class.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.platform_driver import Answer
from tests.servers.cluster_server import PROXIES, ClusterServer
from tests.servers.platform_image import NAME, PlatformImage
from tests.servers.program import SCRIPTS

DEPLOY = SCRIPTS.parent.parent / "deploy" / "kubernetes"
EMBEDDED = DEPLOY / "overlays" / "embedded"
USER = 10001
POD = "retrain-0"
TOKEN = "a-token-for-tests-only"
LIMIT_S = 120
PATIENCE_S = 180
CLUSTER_WIDE = (
    *(f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{name}" for name in ("retrain", "retrain-admission")),
    *(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}" for name in ("retrain", "retrain-admission")),
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/retrain-admission",
    "/apis/scheduling.k8s.io/v1/priorityclasses/retrain",
)
"""What components have outside of namespaces."""
WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/{space}/workflows"


class Installed:
    """One platform in the namespace `space`, at work in the namespace `work`.

    `place` is a folder of this machine: the overlays, and the pod's volume.
    """

    def __init__(self, cluster: ClusterServer, image: PlatformImage, place: Path, space: str) -> None:
        self.cluster = cluster
        self.space = space
        self.work = f"{space}-ml"
        self._place = place
        self._image = image
        self._data = place / "data"
        self._data.mkdir(parents=True)
        cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": self.work}})
        os.chown(self._data, USER, USER)  # a folder of the node is not given to the pod's group

    def apply(self, *, components: Sequence[str] = (), patches: Sequence[dict[str, Any]] = ()) -> None:
        """`kubectl apply -k` of the definitions, the rights and the platform. `patches` are for the platform."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(DEPLOY / "crds"))
        binding = [{"op": "replace", "path": "/subjects/0/namespace", "value": self.space}]
        self._overlay("work", self.work, {"patches": [json_patch("RoleBinding", binding)]}, [DEPLOY / "work"])
        platform = self._place / "platform"
        platform.mkdir(exist_ok=True)
        (platform / "retrain.yaml").write_text(self._settings())
        (platform / "volume.yaml").write_text(yaml.safe_dump(self._volume()))
        settings = {"name": "retrain-settings", "behavior": "merge", "files": ["retrain.yaml"]}
        more = {
            "components": [os.path.relpath(DEPLOY / "components" / one, platform.resolve()) for one in components],
            "images": [{"name": NAME, "newTag": self._image.tag}],
            "configMapGenerator": [{**settings, "options": {"disableNameSuffixHash": True}}],
            "patches": [json_patch("StatefulSet", [_NO_CLASS]), *patches],
        }
        self._overlay("platform", self.space, more, [EMBEDDED, platform / "volume.yaml"])

    def _overlay(self, name: str, space: str, more: dict[str, Any], resources: list[Path]) -> None:
        folder = self._place / name
        folder.mkdir(exist_ok=True)
        paths = [os.path.relpath(one.resolve(), folder.resolve()) for one in resources]
        overlay = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": space}
        (folder / "kustomization.yaml").write_text(yaml.safe_dump({**overlay, "resources": paths, **more}))
        self.kubectl("apply", "-k", str(folder), space=space)

    def _settings(self) -> str:
        """Those of the base, with our namespace in the place of `ml`."""
        given = yaml.safe_load((DEPLOY / "base" / "settings.yaml").read_text())["data"]["retrain.yaml"]
        settings = yaml.safe_load(given)
        assert settings["kubernetes"] == {"namespace": "ml"}
        return yaml.safe_dump({**settings, "kubernetes": {"namespace": self.work}})

    def secret(self, name: str, **values: str) -> None:
        words = [f"--from-literal={key}={value}" for key, value in values.items()]
        self.kubectl("create", "secret", "generic", name, *words)

    def write(self, manifests: str) -> None:
        """`kubectl apply` in the namespace where it works."""
        self.kubectl("apply", "-f", "-", space=self.work, said=manifests)

    def kubectl(self, *words: str, space: str = "", said: str | None = None) -> str:
        """Run kubectl, in the platform's namespace unless `space` is another; what it printed. `said` is its stdin."""
        done = self.tried(*words, space=space, said=said)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def tried(self, *words: str, space: str = "", said: str | None = None) -> subprocess.CompletedProcess[str]:
        """The same, where it may be refused."""
        program = self.cluster.home / "bin" / "kubectl"
        command = [str(program), "--kubeconfig", str(self.cluster.kubeconfig), "-n", space or self.space, *words]
        return subprocess.run(command, input=said, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    def retrain(self, *words: str) -> Any:
        """A command in the pod; its JSON."""
        return json.loads(self.kubectl("exec", POD, "--", "retrain", *words, "-o", "json"))

    def sh(self, script: str) -> str:
        """What a shell in the container prints."""
        return self.kubectl("exec", POD, "--", "sh", "-c", script)

    def pod(self) -> Any:
        return self.cluster.ask("GET", f"/api/v1/namespaces/{self.space}/pods/{POD}")

    def ready(self, *, other_than: str = "") -> Any:
        """Wait for a pod that is Ready, and is not the one with this uid; the pod."""
        path = f"/api/v1/namespaces/{self.space}/pods/{POD}"
        try:
            return self.cluster.until(
                path, lambda pod: pod and pod["metadata"]["uid"] != other_than and _ready(pod), POD
            )
        except RuntimeError as error:
            raise AssertionError(f"{error}\n{self.story()}") from error

    def story(self) -> str:
        """What the pod has printed, and what the cluster says of it."""
        logs, events = ["logs", POD, "--tail=40"], ["get", "events"]
        asked = (
            (["get", "workflows", "-A"], ""),
            (logs, ""),
            ([*logs, "--previous"], ""),
            (events, ""),
            (events, self.work),
        )
        said = (self.tried(*words, space=space) for words, space in asked)
        return "\n".join(one.stdout + one.stderr for one in said)

    def workflows(self, space: str = "") -> list[Any]:
        return self.cluster.ask("GET", WORKFLOWS.format(space=space or self.work))["items"]

    def read(self, path: str, *, service: str = "retrain", port: str = "http") -> str:
        """GET from a port of a Service, by its name and without a token."""
        spec = self.cluster.ask("GET", f"/api/v1/namespaces/{self.space}/services/{service}")["spec"]
        number = next(one["port"] for one in spec["ports"] if one["name"] == port)
        with urllib.request.build_opener(PROXIES).open(
            f"http://{spec['clusterIP']}:{number}{path}", timeout=10
        ) as answer:
            return answer.read().decode()

    def send(self, path: str, body: Any, *, service: str = "retrain", space: str = "", port: int = 7300) -> Answer:
        """POST to a Service, as a client in the cluster does; status 0: nobody has answered."""
        found = self.cluster.ask("GET", f"/api/v1/namespaces/{space or self.space}/services/{service}")
        given = {"Content-Type": "application/cloudevents+json", "Authorization": f"Bearer {TOKEN}"}
        url = f"http://{found['spec']['clusterIP']}:{port}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), given, method="POST")
        try:
            with urllib.request.build_opener(PROXIES).open(request, timeout=10) as answer:
                return Answer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode())
        except OSError as error:
            return Answer(0, str(error))

    def until(self, met: Callable[[], object], what: str) -> None:
        """Wait for what a cluster does that others may load, too."""
        deadline = time.monotonic() + PATIENCE_S
        while not met():
            assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S} s\n{self.story()}"
            time.sleep(0.1)

    def _volume(self) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": self.space},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": self.space, "name": f"data-{POD}"},
                "hostPath": {"path": str(self._data), "type": "Directory"},
            },
        }

    def remove(self) -> None:
        """The namespaces with all in them, and the volume; waits until the pod has left its folder."""
        for space in (self.work, self.space):
            self.cluster.ask("DELETE", f"/api/v1/namespaces/{space}")
        self.cluster.until(f"/api/v1/namespaces/{self.space}/pods/{POD}", lambda pod: pod is None, "the pod's end")
        for path in (f"/api/v1/persistentvolumes/{self.space}", *CLUSTER_WIDE):
            self.cluster.ask("DELETE", path)
        shutil.rmtree(self._data, ignore_errors=True)


@contextmanager
def installation(cluster: ClusterServer, image: PlatformImage, place: Path) -> Generator[Installed]:
    """Nothing installed yet; the namespace has the labels of the overlay."""
    installed = Installed(cluster, image, place, f"f-{uuid.uuid4().hex[:8]}")
    try:
        yield installed
    finally:
        installed.remove()


_NO_CLASS = {"op": "add", "path": "/spec/volumeClaimTemplates/0/spec/storageClassName", "value": ""}


def json_patch(kind: str, operations: list[dict[str, Any]]) -> dict[str, Any]:
    return {"target": {"kind": kind}, "patch": json.dumps(operations)}


def _ready(pod: Any) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
