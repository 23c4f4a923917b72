"""What a person does with an MLflow server: models, versions with files, aliases, tags. By its REST API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

FILES = {"MLmodel": b"flavors: {}\n", "data/model.pkl": b"weights"}


@dataclass
class MlflowWorld:
    """One server, and one registered model of a test's own."""

    url: str
    model: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call; what it answers."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        request = urllib.request.Request(f"{self.url}{path}", data, {"Content-Type": kind}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            raw = answer.read()
        return json.loads(raw) if raw.strip() else None

    def api(self, path: str, **words: Any) -> Any:
        return self.call("POST", f"/api/2.0/mlflow/{path}", words)

    def get(self, path: str, **words: str) -> Any:
        return self.call("GET", f"/api/2.0/mlflow/{path}?{urlencode(words)}")

    def create(self) -> None:
        self.api("registered-models/create", name=self.model)

    def register(self, files: dict[str, bytes] | None = None, accuracy: float = 0.95, dataset: str = "d1") -> str:
        """A run with metrics and a model, registered as a version; its number."""
        run = self.api("runs/create", experiment_id="0", start_time=0)["run"]
        run_id, root = run["info"]["run_id"], run["info"]["artifact_uri"]
        self.api("runs/log-metric", run_id=run_id, key="accuracy", value=accuracy, timestamp=0)
        self.api("runs/log-parameter", run_id=run_id, key="depth", value="3")
        given = {"name": "holdout", "digest": dataset, "source_type": "code", "source": "{}"}
        context = [{"key": "mlflow.data.context", "value": "eval"}]
        self.api("runs/log-inputs", run_id=run_id, datasets=[{"tags": context, "dataset": given}])
        place = root.removeprefix("mlflow-artifacts:/").lstrip("/")
        for name, body in (files or FILES).items():
            self.call("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{quote(f'{place}/model/{name}')}", body)
        made = self.api("model-versions/create", name=self.model, source=f"{root}/model", run_id=run_id)
        return str(made["model_version"]["version"])

    def point(self, alias: str, version: str) -> None:
        self.api("registered-models/alias", name=self.model, alias=alias, version=version)

    def alias(self, alias: str) -> str | None:
        """The version that it points to."""
        try:
            return self.get("registered-models/alias", name=self.model, alias=alias)["model_version"]["version"]
        except urllib.error.HTTPError:
            return None

    def tags(self, version: str) -> dict[str, str]:
        found = self.get("model-versions/get", name=self.model, version=version)["model_version"].get("tags", [])
        return {one["key"]: one["value"] for one in found}
