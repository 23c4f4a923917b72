"""Upstream's workflows on the real controller, by both ways that lead there, beside what this machine's engine makes of
them and what the controller answered when its answers were recorded: four trees, and all are the same.

RETRAIN_TABLE=FILE writes them down as a table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import ChainMap
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.platform_driver import RETRAIN, Platform
from tests.servers.cluster_server import ClusterServer
from tests.support.size import size

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

SHARED = Path(__file__).resolve().parents[3] / "shared"
CORPUS = SHARED / "corpus/argo-workflows"
COMPARE = SHARED / "check/same_as_argo.py"
"""Reduces a Workflow to what the controller answered of it, and compares."""
NAMES = [
    "arguments-parameters-from-configmap",
    "arguments-parameters",
    "cluster-workflow-template/workflow-template-ref-with-entrypoint-arg-passing",
    "cluster-workflow-template/workflow-template-ref",
    "continue-on-fail",
    "dag-diamond",
    "dag-targets",
    "default-pdb-support",
    "dns-config",
    "expression-destructure-json",
    "expression-reusing-verbose-snippets",
    "global-parameters-from-configmap-referenced-as-local-variable",
    "global-parameters-from-configmap",
    "hello-world",
    "image-pull-secrets",
    "init-container",
    "loops",
    "memoize-simple",
    "node-selector",
    "pod-metadata-wf-field",
    "pod-resources-template-override",
    "pod-spec-patch",
    "pod-spec-yaml-patch",
    "scripts-bash",
    "steps",
    "synchronization-mutex-wf-level",
    "synchronization-wf-level",
    "volumes-emptydir",
    "workflow-template/hello-world",
    "workflow-template/workflow-template-ref",
]
"""Those that were recorded, need busybox alone, keep no artifacts, are over soon, and end the same on a busy machine
(`step-level-timeout` and `dag-task-level-timeout` do not: there a pod may not have begun when its time is up)."""
FIRED = size(NAMES[::4], NAMES)
"""Those that also go by an event."""
CLUSTER_TEMPLATES = "cluster-workflow-template/clustertemplates.yaml"
BESIDE = (
    "workflow-template/templates.yaml",
    CLUSTER_TEMPLATES,
    "configmaps/simple-parameters-configmap.yaml",
    "../status/setup.yaml",
)
"""What the workflows of upstream's examples refer to."""
AT_ONCE = 10
"""So many `retrain run` on the cluster, each with its share of the files: most of their time they wait for pods."""
OVER = ("Succeeded", "Failed", "Error")
WAYS = {"run": "retrain run --engine argo", "get": "a sensor, then runs get", "here": "retrain run"}


@dataclass(frozen=True, slots=True)
class Trees:
    """What each way said of each workflow, and what the cluster has of those that ran there."""

    said: Mapping[str, Mapping[str, dict[str, Any]]]
    there: Mapping[str, Mapping[str, dict[str, Any]]]
    folder: Path

    def differing(self, way: str) -> dict[str, list[str]]:
        """The workflows whose tree is not the recorded one, and what differs."""
        answers = self.folder / way
        stand_in = self.folder / f"{way}.sh"
        stand_in.write_text(f'#!/bin/sh\nexec cat {answers}/"$(echo "$2" | sed "s#.*/examples/##; s#/#,#g")".json\n')
        stand_in.chmod(0o755)
        words = [sys.executable, str(COMPARE), "--retrain", str(stand_in), "-v"]
        words += [f"{name}.yaml" for name in self.said[way]]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        return _differences(done.stdout)


def _differences(said: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    name = ""
    for line in said.splitlines():
        if line.startswith("      "):
            found.setdefault(name, []).append(line.strip())
        elif line.startswith("  "):
            name = line.strip()
            if not name.endswith("(the same tree)"):
                found.setdefault(name, [])
    return {name: lines for name, lines in found.items() if not name.endswith("(the same tree)")}


def run(names: Sequence[str], *more: str, **environment: str) -> dict[str, dict[str, Any]]:
    """What `retrain run FILE ...` prints of each of these workflows, which run one after the other."""
    examples = CORPUS / "examples"
    beside = [word for file in BESIDE for word in ("--with", str(examples / file))]
    words = [RETRAIN, "run", *(str(examples / f"{name}.yaml") for name in names), *beside, "-o", "json", *more]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **environment}, timeout=600)
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(objects) == len(names), done.stdout + done.stderr
    return dict(zip(names, objects, strict=True))


def sensor(number: int, name: str) -> dict[str, Any]:
    workflow = next(yaml.safe_load_all((CORPUS / "examples" / f"{name}.yaml").read_text()))
    trigger = {"template": {"name": "t", "argoWorkflow": {"source": {"resource": workflow}}}}
    dependency = {"name": "d", "eventSourceName": "outside", "eventName": f"n{number}"}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Sensor",
        "metadata": {"name": f"s{number}"},
        "spec": {"dependencies": [dependency], "triggers": [trigger]},
    }


def by_events(platform: Platform) -> dict[str, dict[str, Any]]:
    """Fire every sensor, wait for the ends, and ask for the runs."""
    same = {"specversion": "1.0", "source": "outside", "type": "webhook", "data": {}}
    assert platform.emit(*({**same, "id": f"e{n}", "subject": f"n{n}"} for n in range(len(FIRED)))).taken

    def over() -> bool:
        phases = [(run.get("status") or {}).get("phase") for run in platform.items("runs")]
        return len(phases) == len(FIRED) and all(phase in OVER for phase in phases)

    platform.wait(over, f"the ends of {len(FIRED)} runs", timeout_s=600)
    of = {run["metadata"]["labels"]["retrain.dev/sensor"]: run["metadata"]["name"] for run in platform.items("runs")}
    runs = [of[f"s{number}"] for number in range(len(FIRED))]
    with ThreadPoolExecutor(2) as threads:
        answers = threads.map(partial(platform.command, "runs", "get", "-o", "json"), runs)
        return dict(zip(FIRED, map(json.loads, answers), strict=True))


@pytest.fixture(scope="module")
def trees(argo_cluster: ClusterServer, tmp_path_factory: pytest.TempPathFactory) -> Trees:
    if not COMPARE.exists():
        pytest.skip("the controller's recorded answers are not on this machine")
    folder = tmp_path_factory.mktemp("trees")
    with argo_cluster.space("same") as space, argo_cluster.space("same-events") as events:
        kubeconfig = str(argo_cluster.kubeconfig)
        platform = Platform(folder / "platform", environment={"RETRAIN_KUBERNETES_KUBECONFIG": kubeconfig})
        platform.write("retrain.yaml", yaml.safe_dump({"pipelines": {"engine": "argo"}, **in_space(events)}))
        platform.write("sensors.yaml", yaml.safe_dump_all(sensor(n, name) for n, name in enumerate(FIRED)))

        def on_the_cluster(names: Sequence[str], namespace: str = space) -> dict[str, dict[str, Any]]:
            return run(names, "--engine", "argo", "-n", namespace, KUBECONFIG=kubeconfig)

        with platform, ThreadPoolExecutor(AT_ONCE + 2) as threads:
            here = threads.submit(run, NAMES)
            on_the_cluster(["hello-world"], events)  # brings what must stand beside the others
            fired = threads.submit(by_events, platform)
            ran = threads.map(on_the_cluster, [NAMES[first::AT_ONCE] for first in range(AT_ONCE)])
            said = {"run": dict(ChainMap(*ran)), "get": fired.result(), "here": here.result()}
        there = {
            way: {name: argo_cluster.ask("GET", path_of(answer)) for name, answer in said[way].items()}
            for way in ("run", "get")
        }
    forget_cluster_templates(argo_cluster)
    for way, answers in said.items():
        (folder / way).mkdir()
        for name, answer in answers.items():
            (folder / way / f"{name.replace('/', ',')}.yaml.json").write_text(json.dumps(answer))
    found = Trees(said, there, folder)
    if table := os.environ.get("RETRAIN_TABLE"):
        Path(table).write_text(as_table(found))
    return found


def forget_cluster_templates(cluster: ClusterServer) -> None:
    """Take out what is in no namespace, and so outlives the test's."""
    for template in yaml.safe_load_all((CORPUS / "examples" / CLUSTER_TEMPLATES).read_text()):
        cluster.ask("DELETE", f"/apis/argoproj.io/v1alpha1/clusterworkflowtemplates/{template['metadata']['name']}")


def in_space(namespace: str) -> dict[str, Any]:
    return {"kubernetes": {"namespace": namespace}}


def path_of(workflow: dict[str, Any]) -> str:
    metadata = workflow["metadata"]
    return f"/apis/argoproj.io/v1alpha1/namespaces/{metadata['namespace']}/workflows/{metadata['name']}"


def as_table(trees: Trees) -> str:
    """Phase and number of nodes by each way, and whether the tree is the recorded one."""
    differing = {way: trees.differing(way) for way in WAYS}
    lines = ["| workflow | recorded | " + " | ".join(WAYS.values()) + " |", "|---|---|---|---|---|"]
    for name in NAMES:
        recorded = json.loads((CORPUS / "status" / f"{name}.yaml.json").read_text())
        cells = [f"{recorded['phase']}, {len(recorded['nodes'])} nodes"]
        for way in WAYS:
            if name not in trees.said[way]:
                cells.append("not asked")
                continue
            status = trees.said[way][name]["status"]
            same = "same" if f"{name}.yaml" not in differing[way] else "**differs**"
            cells.append(f"{status['phase']}, {len(status.get('nodes') or {})} nodes, {same}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", NAMES)
def test_what_run_and_runs_get_say_is_what_the_cluster_has(name: str, trees: Trees) -> None:
    for way in ("run", "get") if name in trees.said["get"] else ("run",):
        said, there = trees.said[way][name], trees.there[way][name]

        assert said["status"] == there["status"], WAYS[way]
        assert said["spec"] == there["spec"], WAYS[way]
        assert {key: there["metadata"].get(key) for key in said["metadata"]} == said["metadata"], WAYS[way]


@pytest.mark.parametrize("way", WAYS)
def test_each_way_gives_the_trees_that_were_recorded(way: str, trees: Trees) -> None:
    assert len(NAMES) >= 30
    assert trees.differing(way) == {}
