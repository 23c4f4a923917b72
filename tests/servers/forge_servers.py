"""A Gitea and an MLflow server for tests."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.program import Program, cache, running

USER, PASSWORD = "retrain", "retrain-password"


@contextmanager
def mlflow(data: Path) -> Generator[Program]:
    """An MLflow server with its model registry."""
    there = bool(list(cache().glob("mlflow-*/bin/mlflow")))
    with running(
        Program("mlflow", data, health="/health"), there=there, how="tests/servers/mlflow.sh install"
    ) as server:
        yield server


@dataclass
class Gitea:
    """A Gitea with an administrator, whose token may do everything."""

    server: Program
    token: str = ""

    @property
    def url(self) -> str:
        return f"http://{self.server.address}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call of its API; None where the answer is empty."""
        credentials = f"token {self.token}" if self.token else f"Basic {_basic()}"
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": credentials, "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def repository(self, name: str) -> str:
        """Make a repository with one commit; its full name."""
        self.call("POST", "/user/repos", {"name": name, "auto_init": True, "default_branch": "main"})
        return f"{USER}/{name}"

    def commit(self, repository: str, file: str, text: str) -> str:
        """Commit a new file to main; the commit's hash."""
        content = b64encode(text.encode()).decode()
        body = {"content": content, "message": f"add {file}", "branch": "main"}
        return self.call("POST", f"/repos/{repository}/contents/{file}", body)["commit"]["sha"]

    def hooks(self, repository: str) -> list[dict[str, Any]]:
        return self.call("GET", f"/repos/{repository}/hooks")


@contextmanager
def gitea(data: Path) -> Generator[Gitea]:
    """A Gitea server."""
    there = bool(list(cache().glob("gitea-*/gitea")))
    program = Program("gitea", data, health="/api/healthz")
    with running(program, there=there, how="tests/servers/gitea.sh install") as server:
        made = Gitea(server)
        scopes = ["write:repository", "write:user", "write:organization"]
        made.token = made.call("POST", f"/users/{USER}/tokens", {"name": "tests", "scopes": scopes})["sha1"]
        yield made


def _basic() -> str:
    return b64encode(f"{USER}:{PASSWORD}".encode()).decode()
