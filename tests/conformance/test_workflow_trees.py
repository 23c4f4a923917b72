"""The node trees of Argo's controller, replayed: its answers for the leaves go in, its whole tree must come out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.core.engine import Decision, begin
from pipelines.core.happenings import Task, TaskResult
from pipelines.core.nodes import Node, Phase
from pipelines.core.plan import Catalog
from pipelines.core.rehearse import rehearse
from retrain.errors import ConfigError

CORPUS = Path(__file__).resolve().parents[3] / "shared/corpus/argo-workflows"
if not CORPUS.exists():
    pytest.skip("the corpus of the controller's answers is not on this machine", allow_module_level=True)

NAME, UID = "run-abc12", "uid-123456"
T = datetime(2026, 11, 20, tzinfo=UTC)
CASES = [
    (path, CORPUS / suite / path.relative_to(CORPUS / answers).as_posix().removesuffix(".json"))
    for suite, answers in (("examples", "status"), ("e2e", "e2e-status"))
    for path in sorted((CORPUS / answers).rglob("*.json"))
]
NEEDS_ARTIFACTS = {"archive-location.yaml"}


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    files = [*CORPUS.glob("examples/**/*.yaml"), *CORPUS.glob("e2e/**/*.yaml"), CORPUS / "status/setup.yaml"]
    return Catalog.of(document for path in files for document in documents(path))


def ours(value: Any) -> Any:
    """A recorded value with our names in the place of the neutral ones."""
    return json.loads(json.dumps(value).replace("<wf>", NAME).replace("<uid>", UID))


def answers(golden: Mapping[str, Any]) -> Any:
    recorded = {node["name"]: node for node in golden["nodes"]}

    def answer(task: Task) -> TaskResult:
        node = recorded.get(task.node_name)
        if node is None:
            return TaskResult(task.node_id, Phase.Error, message="the controller never ran this")
        outputs = node["outputs"]
        return TaskResult(
            task.node_id,
            Phase(node["phase"]),
            exit_code=int(outputs["exitCode"]) if "exitCode" in outputs else None,
            result=outputs.get("result", ""),
            parameters=outputs.get("parameters", {}),
            message=node.get("message", ""),
        )

    return answer


def facts_of(node: Node, names: Mapping[str, str]) -> dict[str, Any]:
    message = re.sub(re.escape(NAME) + r"-\d+", lambda m: names.get(m[0], m[0]), node.message)
    return {
        "displayName": node.display_name,
        "type": node.type,
        "phase": str(node.phase),
        "message": message,
        "boundary": names.get(node.boundary_id),
        "children": sorted(names[child] for child in node.children),
        "inputs": dict(node.inputs.parameters),
        "outputs": node.outputs.to_argo(),
    }


def recorded_facts(node: Mapping[str, Any]) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    if node["outputs"].get("parameters"):
        outputs["parameters"] = [{"name": k, "value": v} for k, v in node["outputs"]["parameters"].items()]
    outputs |= {key: node["outputs"][key] for key in ("result", "exitCode") if key in node["outputs"]}
    return {
        **{key: node.get(key, "") for key in ("displayName", "type", "phase", "message")},
        "boundary": node["boundary"],
        "children": sorted(node["children"]),
        "inputs": node["inputs"].get("parameters", {}),
        "outputs": outputs,
    }


def tree(decision: Decision) -> dict[str, dict[str, Any]]:
    names = {key: node.name for key, node in decision.run.nodes.items()}
    return {node.name: facts_of(node, names) for node in decision.run.nodes.values()}


@pytest.mark.parametrize(("answer", "file"), CASES, ids=[file.relative_to(CORPUS).as_posix() for _, file in CASES])
def test_the_tree_is_the_controllers(answer: Path, file: Path, catalog: Catalog) -> None:
    golden = ours(json.loads(answer.read_text()))
    (manifest,) = [document for document in documents(file) if document.get("kind") == "Workflow"][:1]
    try:
        run = begin(manifest, name=NAME, uid=UID, created=T, templates=catalog)
    except ConfigError as error:
        if golden["message"].startswith(("invalid spec", "cannot unmarshal")):
            return
        if "not built yet" in str(error):
            pytest.skip(str(error))
        raise

    decision = rehearse(run, answers(golden), now=T)

    if golden["unstable"] == "tree":
        return
    assert str(decision.phase) == golden["phase"]
    want, got = {node["name"]: recorded_facts(node) for node in golden["nodes"]}, tree(decision)
    assert sorted(got) == sorted(want)
    for name, facts in want.items():
        volatile = {path.removeprefix(f"nodes/{name}/").split("/")[0] for path in golden["unstable"]}
        for key in facts.keys() - volatile - ({"outputs"} if file.name in NEEDS_ARTIFACTS else set()):
            assert got[name][key] == facts[key], (name, key)
