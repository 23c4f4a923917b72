"""A real Kubernetes API server, and ways to make and change objects there."""

from __future__ import annotations

import io
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.servers.certificates import Authority
from tests.servers.launch import free_port
from tests.servers.program import Program, cache, running

TOKEN = "test-token-of-the-administrator"
BUSY_TRIES = 20


@dataclass
class KubeApi(Program):
    """`kubeconfig()` is the administrator's. `etcd`: the port of one that runs already; else it has its own."""

    authority: Authority = field(default_factory=Authority)
    etcd: int = 0

    def __post_init__(self) -> None:
        self.words = [str(self.etcd)] if self.etcd else [str(free_port()), str(free_port())]

    def prepare(self) -> None:
        """Lay down its certificate and who may ask."""
        self.data.mkdir(parents=True, exist_ok=True)
        pair = self.authority.sign()
        (self.data / "tls.crt").write_text(pair.cert)
        (self.data / "tls.key").write_text(pair.key)
        (self.data / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')

    def kubeconfig(self, token: str = TOKEN, server: str = "") -> str:
        (self.data / "ca.crt").write_text(self.authority.cert)
        cluster = {"server": server or f"https://{self.address}", "certificate-authority": str(self.data / "ca.crt")}
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {"token": token}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """One request; the answer's JSON. Raises HTTPError."""
        return json.loads(self.text(path, method, body, kind))

    def text(
        self, path: str, method: str = "GET", body: Any = None, kind: str = "application/json", accept: str = "*/*"
    ) -> str:
        """One request; the answer as it is. A server that says it is busy (a kind is just being made) is asked again.

        Raises HTTPError.
        """
        for _ in range(BUSY_TRIES):
            try:
                return self._asked(path, method, body, kind, accept)
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    raise
                time.sleep(1)
        return self._asked(path, method, body, kind, accept)

    def _asked(self, path: str, method: str, body: Any, kind: str, accept: str) -> str:
        request = urllib.request.Request(f"https://{self.address}{path}", method=method)
        request.add_header("Authorization", f"Bearer {TOKEN}")
        request.add_header("Accept", accept)
        if body is not None:
            request.data = body if isinstance(body, bytes) else json.dumps(body).encode()
            request.add_header("Content-Type", kind)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.context()) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:  # its connection stays open otherwise, for as long as somebody has the error
                said = io.BytesIO(error.read())
            raise urllib.error.HTTPError(error.url, error.code, error.msg, error.headers, said) from None

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority.cert)

    def make_namespace(self, name: str) -> None:
        self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def _ready(self) -> bool:
        # It answers before it is ready, and makes the namespace a moment after.
        return super()._ready() and self.answers("/readyz") and self.answers("/api/v1/namespaces/default")

    def answers(self, path: str) -> bool:
        """Whether it says 200 to a GET."""
        try:
            self.text(path)
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except (OSError, ValueError):
            return False
        return True


@contextmanager
def kube_api(data: Path) -> Generator[KubeApi]:
    program = KubeApi("kubeapi", data)
    program.prepare()
    there = (cache() / "kubernetes" / "bin" / "kube").exists()
    with running(program, there=there, how="run tests/servers/kubeapi.sh install"):
        yield program
