"""The world of the page's tests: a lake whose days are trained, and a model whose way to production people decide on.

People have tokens. `ben` sends the data, so he is an author; `ada` and `cyd` approve; `eve` operates; `vic` looks.
Training takes as long as the file `go` is not there in the project.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.platform_driver import Platform, make_repository

NAMES = ("ada", "ben", "cyd", "eve", "vic")
TOKENS = {name: f"token-of-{name}-0123456789" for name in NAMES}
SETTINGS = f"""\
access:
  users:
    ada: {{token: {TOKENS["ada"]}, roles: [approver]}}
    ben: {{token: {TOKENS["ben"]}, roles: [approver, operator]}}
    cyd: {{token: {TOKENS["cyd"]}, roles: [approver]}}
    eve: {{token: {TOKENS["eve"]}, roles: [operator]}}
    vic: {{token: {TOKENS["vic"]}, roles: [viewer]}}
"""
SENSORS = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: retrain-orders}
spec:
  dependencies:
    - {name: features, eventSourceName: lake, eventName: features, key: date}
    - name: labels
      eventSourceName: lake
      eventName: labels
      key: date
      filters: {data: [{path: rows, type: number, comparator: ">=", value: ["100"]}]}
  triggers:
    - template:
        name: train
        conditions: features && labels
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {generateName: orders-}
              spec:
                workflowTemplateRef: {name: orders}
                arguments: {parameters: [{name: date, value: ""}]}
          parameters:
            - {src: {dependencyName: labels, dataKey: date}, dest: spec.arguments.parameters.0.value}
---
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: promote-orders}
spec:
  dependencies: [{name: built, eventSourceName: lab, eventName: model}]
  triggers:
    - template:
        name: propose
        promotion:
          name: orders
          parameters: [{src: {dependencyName: built, dataKey: candidate}, dest: candidate}]
"""
WORKFLOW = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: orders}
spec:
  entrypoint: all
  arguments: {parameters: [{name: date}]}
  templates:
    - name: all
      dag:
        tasks:
          - {name: validate, template: step}
          - name: train
            template: train
            depends: validate
            withItems: [linear, forest, boosted]
            arguments: {parameters: [{name: family, value: "{{item}}"}]}
          - {name: evaluate, template: step, depends: train}
          - {name: package, template: package, depends: evaluate}
      outputs: {parameters: [{name: model, valueFrom: {parameter: "{{tasks.package.outputs.parameters.model}}"}}]}
    - name: step
      container: {image: alpine:3, command: [sh, -c, "echo rows of {{workflow.parameters.date}} are fine"]}
    - name: train
      inputs: {parameters: [{name: family}]}
      script:
        image: alpine:3
        command: [sh]
        source: |
          echo "training {{inputs.parameters.family}}"
          n=0
          while [ ! -e "$RETRAIN_PROJECT/go" ]; do
            n=$((n+1)); echo "{{inputs.parameters.family}} epoch $n"; sleep 0.2
          done
          echo "{{inputs.parameters.family}} is trained"
    - name: package
      script:
        image: alpine:3
        command: [sh]
        source: |
          echo s3://models/orders/{{workflow.parameters.date}} > model
          printf 'epoch,loss\\n1,0.5\\n2,0.25\\n' > losses.csv
      outputs:
        parameters: [{name: model, valueFrom: {path: model}}]
        artifacts: [{name: losses, path: losses.csv}]
"""
PROMOTION = """\
apiVersion: retrain.dev/v1
kind: Promotion
metadata: {name: orders}
spec:
  repo: {url: REPOSITORY}
  environments:
    - name: staging
      edits: [{file: staging/model.yaml, path: spec.uri, value: "{{candidate.uri}}"}]
      gates:
        - {name: good, kind: threshold, metric: accuracy, min: 0.9}
    - name: production
      edits: [{file: production/model.yaml, path: spec.uri, value: "{{candidate.uri}}"}]
      gates:
        - {name: good, kind: threshold, metric: accuracy, min: 0.9}
        - {name: fast, kind: budget, p95: 20, bytes: 50000000}
        - {name: fair, kind: threshold, metric: recall, min: 0.93, advisory: true}
      approvals: {required: 2}
      waivers: {roles: [approver], expires: 4h}
"""
MODEL = "kind: Model\nmetadata:\n  name: orders\nspec:\n  uri: s3://models/orders/none\n  replicas: 2\n"
CLOUD_EVENT = {"Content-Type": "application/cloudevents+json"}


@dataclass
class PageWorld:
    """A running platform and who speaks to it."""

    platform: Platform
    repository: Path
    sent: int = field(default=0)

    @property
    def url(self) -> str:
        return self.platform.url

    def ask(self, name: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        said = {"Authorization": f"Bearer {TOKENS[name]}", **headers}
        return self.platform.send(method, path, body, said)

    def send(self, source: str, subject: str, data: Any, *, event_id: str = "", by: str = "ben") -> str:
        """Send an event; its id."""
        self.sent += 1
        name = event_id or f"{source}-{subject}-{self.sent}"
        event = {"specversion": "1.0", "id": name, "source": source, "type": f"{subject}.v1", "subject": subject}
        said = {"Authorization": f"Bearer {TOKENS[by]}", **CLOUD_EVENT}
        answer = self.platform.send("POST", "/api/v1/events", json.dumps({**event, "data": data}).encode(), said)
        assert answer.status == 202, answer
        return name

    def day(self, date: str) -> None:
        """Send both halves of a day: a run begins."""
        self.send("lake", "features", {"date": date, "rows": 5000, "path": f"s3://lake/features/{date}.parquet"})
        self.send("lake", "labels", {"date": date, "rows": 5000})

    def go(self) -> None:
        """Let trainings end."""
        (self.platform.project / "go").touch()

    def items(self, noun: str) -> list[dict[str, Any]]:
        return self.ask("vic", "GET", f"/api/v1/{noun}").body["items"]

    def model(self, version: str, accuracy: float = 0.97) -> str:
        """Propose a model; the promotion to production that waits for people."""
        digest = f"sha256:{version.encode().hex().ljust(64, '0')[:64]}"
        self.send(
            "lab",
            "model",
            {"candidate": {"digest": digest, "uri": f"s3://models/orders/{version}", **measured(accuracy)}},
        )

        def waits() -> str | None:
            found = self.items("promotions")
            mine = (one for one in found if one["candidate"]["digest"] == digest and one["state"] == "awaiting")
            return next((one["id"] for one in mine if one["environment"] == "production"), None)

        return self.platform.wait(waits, f"the model {version} waits for approval")

    def state(self, promotion: str) -> str:
        return self.ask("vic", "GET", f"/api/v1/promotions/{promotion}").body["state"]

    def approve(self, promotion: str, *names: str) -> None:
        """Let these people approve it, and wait until it is in the branch."""
        for name in names:
            answer = self.ask(name, "POST", f"/api/v1/promotions/{promotion}/approve", {"reason": "looks right"})
            assert answer.status == 200, answer
        self.platform.wait(lambda: self.state(promotion) == "committed", f"{promotion} is committed")


def measured(accuracy: float) -> dict[str, Any]:
    points = [n / 20 for n in range(21)]
    curve = {"x": points, "y": [x ** (1 - accuracy) if x else 0.0 for x in points]}
    slices = {
        f"region={name}": {"n": 900, "metrics": {"accuracy": accuracy - n / 100}}
        for n, name in enumerate(("eu", "us", "asia"))
    }
    metrics = {"accuracy": accuracy, "recall": 0.92}
    size = {"bytes": 4_200_000}
    return {
        "evaluation": {
            "dataset": "orders-holdout-7",
            "code": "c0ffee",
            "samples": 2700,
            "metrics": metrics,
            "slices": slices,
            "curves": {"roc": curve},
            "latency": {"p95": 11.5},
            "size": size,
        }
    }


@contextmanager
def page_world(place: Path, *, people: bool = True) -> Iterator[PageWorld]:
    """A platform on that project. Without `people` whoever is at this machine may do everything."""
    repository = place / "deploy.git"
    make_repository(repository, {"staging/model.yaml": MODEL, "production/model.yaml": MODEL})
    platform = Platform(place)
    platform.write("retrain.yaml", SETTINGS if people else "{}\n")
    platform.write("sensors.yaml", SENSORS)
    platform.write("workflow.yaml", WORKFLOW)
    platform.write("promotion.yaml", PROMOTION.replace("REPOSITORY", str(repository)))
    with platform:
        yield PageWorld(platform, repository)
