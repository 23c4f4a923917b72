"""Commands that only read files load no database, bus or client: whoever waits for them would wait for that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"aiohttp", "kubernetes", "nats", "sqlalchemy", "starlette", "structlog"}
RUNS = f"""\
import sys
from retrain.cli import call
try:
    sys.exit(call(sys.argv[1:]))
finally:
    print(sorted({HEAVY} & set(sys.modules)), file=sys.stderr)
"""
MANIFESTS = """\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: hooks}
spec: {webhook: {orders: {port: "12000", endpoint: /orders, method: POST}}}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: train, annotations: {retrain.dev/engine: argo}}
spec:
  dependencies:
    - name: order
      eventSourceName: hooks
      eventName: orders
      filters: {data: [{path: body.n, type: number, comparator: ">", value: ["1"]}]}
  triggers: [{template: {name: say, log: {}}}]
"""
EVENT = {"specversion": "1.0", "id": "1", "source": "hooks", "subject": "orders", "type": "t", "data": {"n": 1}}


@pytest.mark.parametrize("words", [["lint", "."], ["sensors", "explain", "train.yaml", "--event", "event.json"]])
def test_a_command_that_reads_files_loads_no_client(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text(MANIFESTS)
    (tmp_path / "event.json").write_text(json.dumps(EVENT))

    done = subprocess.run(
        [sys.executable, "-c", RUNS, *words], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )

    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "[]"), done
