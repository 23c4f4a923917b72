"""Upstream's own examples of variables, artifacts and skipped outputs, played whole: nothing stays that should not."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.core.engine import begin
from pipelines.core.happenings import Task, TaskResult
from pipelines.core.nodes import Artifact, Phase
from pipelines.core.plan import Catalog
from pipelines.core.rehearse import rehearse
from retrain.errors import ConfigError

EXAMPLES = Path(__file__).resolve().parents[3] / "shared/corpus/argo-workflows/examples"
if not EXAMPLES.exists():
    pytest.skip("the corpus of upstream's examples is not on this machine", allow_module_level=True)

NOW = datetime(2026, 11, 20, tzinfo=UTC)
_TAG = re.compile(r"\{\{=?\s*(?:inputs|outputs|item|steps|tasks|workflow|node|pod|retries|lastRetry)\b[^}]*\}\}")


def tags_of(value: Any) -> list[str]:
    """Every tag of ours that is left in a value; those of metrics are filled in when the step has ended."""
    return _TAG.findall(json.dumps({key: inner for key, inner in value.items() if key != "metrics"}))


def answer(task: Task) -> TaskResult:
    """As a step that gives all that it declares; `flip-coin` prints heads."""
    outputs: dict[str, Any] = task.template.get("outputs") or {}
    name = str(task.template.get("name"))
    parameters = {p["name"]: f"{name}-{p['name']}" for p in outputs.get("parameters") or ()}
    found: list[Artifact] = [
        {**a, "s3": {"key": f"{task.pod_name}/{a['name']}"}} for a in outputs.get("artifacts") or ()
    ]
    result = {"flip-coin": "heads"}.get(name, '{"a":1}')
    return TaskResult(task.node_id, Phase.Succeeded, 0, result, parameters, artifacts=tuple(found), started_at=NOW)


def play(name: str) -> tuple[dict[str, Any], dict[str, Task]]:
    """Nodes by name as Argo's status has them, and tasks by node name."""
    tasks: dict[str, Task] = {}

    def keep(task: Task) -> TaskResult:
        tasks[task.node_name] = task
        return answer(task)

    manifest: dict[str, Any] = yaml.safe_load((EXAMPLES / name).read_text())
    run = begin(manifest, name="wf", uid="u-1", created=NOW, templates=Catalog())
    decision = rehearse(run, keep, now=NOW)
    return {node.name: node.to_argo(()) for node in decision.run.nodes.values()}, tasks


def arguments(task: Task) -> str:
    body = task.template.get("container") or task.template.get("script") or {}
    return "\n".join([*(body.get("args") or ()), body.get("source") or ""])


def test_the_showcase_of_all_variables_resolves_whole() -> None:
    nodes, tasks = play("variables-showcase.yaml")

    assert {name: found for name, task in tasks.items() if (found := tags_of(task.template))} == {}
    assert nodes["wf"]["phase"] == "Succeeded"
    consume = arguments(tasks["wf[2].consume"])
    assert 'fanout.result        = [{"a":1},{"a":1}]' in consume
    assert 'fanout.echoed-param  = ["per-item-echoed","per-item-echoed"]' in consume
    assert "current step.name    = consume" in consume
    assert "prepare.status       = Succeeded" in consume
    report = arguments(tasks["wf.onExit[0].report"])
    assert "workflow.status                  = Succeeded" in report
    assert "workflow.outputs.params.prepared = prepare-greeting-out" in report
    (artifact,) = tasks["wf.onExit[0].report"].inputs.artifacts
    assert artifact["path"] == "/tmp/global.txt"
    assert artifact["s3"]["key"].endswith("/prepared")


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if isinstance(one, dict)]


FILES = sorted(EXAMPLES.rglob("*.yaml"))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.of(one for path in FILES for one in documents(path))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(EXAMPLES)) for path in FILES])
def test_nothing_is_left_to_fill_in_when_a_step_starts(path: Path, catalog: Catalog) -> None:
    """However the play ends: the answers are not those of the real steps."""
    left: dict[str, list[str]] = {}

    def keep(task: Task) -> TaskResult:
        if found := tags_of(task.template):
            left[task.node_name] = found
        return answer(task)

    for manifest in documents(path):
        if manifest.get("kind") != "Workflow":
            continue
        try:
            run = begin(manifest, name="wf", uid="u-1", created=NOW, templates=catalog)
        except ConfigError as error:
            pytest.skip(f"refused by name: {error}")
        rehearse(run, keep, now=NOW)

    assert left == {}


@pytest.mark.parametrize("name", ["conditional-artifacts.yaml", "dag-conditional-artifacts.yaml"])
def test_the_artifact_of_the_branch_that_ran_is_handed_out(name: str) -> None:
    nodes, tasks = play(name)

    heads = next(task for at, task in tasks.items() if at.endswith(".heads"))
    assert nodes["wf"]["outputs"]["artifacts"][0]["s3"]["key"].startswith(heads.pod_name)
