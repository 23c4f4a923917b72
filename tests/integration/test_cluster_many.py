"""Two thousand Workflows of twenty nodes: followed by one watch, never listed as a whole again, in little memory."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.cluster_host_world import WORKFLOWS, install, stamp
from tests.servers.kube_server import TOKEN, KubeApi
from tests.support.size import size

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(590)]

MOST_MB = 200
"""All of the process that follows them: the interpreter and the Kubernetes client, too."""
STEPS = 19
HANDS = 4
MERGE = "application/merge-patch+json"


def nodes(phase: str) -> dict[str, Any]:
    """Twenty nodes, as a controller writes them."""
    steps = {f"s{number}": node(f"s{number}", "Pod", phase) for number in range(STEPS)}
    return {"w": {**node("w", "Steps", phase), "children": list(steps)}, **steps}


def node(name: str, kind: str, phase: str) -> dict[str, Any]:
    return {
        "id": name,
        "name": f"w[0].{name}",
        "displayName": name,
        "type": kind,
        "phase": phase,
        "templateName": "train",
        "templateScope": "local/train-abcde",
        "startedAt": stamp(),
        "finishedAt": stamp(),
        "progress": "1/1",
        "resourcesDuration": {"cpu": 3, "memory": 90},
        "inputs": {"parameters": [{"name": "learning-rate", "value": "0.0003"}, {"name": "data", "value": "s3://d/k"}]},
        "outputs": {
            "exitCode": "0",
            "artifacts": [{"name": "main-logs", "s3": {"key": f"train-abcde/{name}/main.log"}}],
        },
    }


def live(api: KubeApi, path: str, numbers: Iterable[int]) -> None:
    """These workflows' lives: they begin, go on, and succeed. All over one connection, as a controller has it."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": MERGE}
    line = http.client.HTTPSConnection("127.0.0.1", api.port, context=api.context(), timeout=60)
    with closing(line):
        for number in numbers:
            for phase, more in (
                ("Running", {}),
                ("Running", {"progress": "19/19"}),
                ("Succeeded", {"finishedAt": stamp()}),
            ):
                status = {"phase": phase, "startedAt": stamp(), "nodes": nodes(phase), **more}
                line.request("PATCH", f"{path}/w{number}", json.dumps({"status": status}), headers)
                with line.getresponse() as answer:
                    said = answer.read()
                    assert answer.status == 200, said


def lists(api: KubeApi) -> int:
    """How often Workflows were listed since the server's start."""
    lines = [one for one in api.text("/metrics").splitlines() if one.startswith("apiserver_request_total{")]
    mine = [one for one in lines if 'resource="workflows"' in one and 'verb="LIST"' in one]
    return int(sum(float(one.rpartition(" ")[2]) for one in mine))


def test_many_workflows_are_followed_by_one_watch_in_little_memory(kube_api: KubeApi, tmp_path: Path) -> None:
    many, space = size(300, 2000), f"a-many-{uuid4().hex[:6]}"
    install(kube_api)
    kube_api.make_namespace(space)
    config, path = tmp_path / "kubeconfig", WORKFLOWS.format(space)
    config.write_text(kube_api.kubeconfig())
    words = [sys.executable, "-m", "tests.integration.cluster_many", str(config), space, str(tmp_path), str(many)]

    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        while len(kube_api.ask("GET", f"{path}?limit={many}&resourceVersion=0")["items"]) < many:
            time.sleep(0.5)  # the test's own time limit ends it
        listed = lists(kube_api)
        with ThreadPoolExecutor(HANDS) as pool:
            list(pool.map(partial(live, kube_api, path), [range(hand, many, HANDS) for hand in range(HANDS)]))
        out, _ = process.communicate(timeout=400)

    said = json.loads(out.splitlines()[-1])
    assert said["told"] == 2 * many
    assert said["nodes"] == 20 * many
    assert said["mb"] < MOST_MB, said
    assert lists(kube_api) == listed, "nothing is listed again"
