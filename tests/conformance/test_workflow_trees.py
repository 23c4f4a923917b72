"""The node trees of Argo's controller, replayed: its answers for the leaves go in, its whole tree must come out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.core.engine import Decision, Run, begin, status
from pipelines.core.happenings import ContainerNews, Happening, Resume, SetNodes, Task, TaskResult
from pipelines.core.nodes import Node, Outputs, Phase
from pipelines.core.plan import Catalog
from pipelines.core.rehearse import Person, rehearse
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
SCALARS = ("displayName", "type", "phase", "templateName", "templateScope", "templateRef", "nodeFlag")
DIFFERS: Mapping[tuple[str, str], str] = {}
"""(file, field): why it is not the controller's."""


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

    def answer(task: Task) -> list[Happening]:
        node = recorded.get(task.node_name)
        if node is None:
            return [TaskResult(task.node_id, Phase.Error, message="the controller never ran this")]
        return [*containers(task), result_of(task.node_id, node)]

    def containers(task: Task) -> list[Happening]:
        inside = (task.template.get("containerSet") or {}).get("containers") or ()
        found = [(one["name"], recorded[f"{task.node_name}.{one['name']}"]) for one in inside]
        return [ContainerNews(task.node_id, name, Phase(node["phase"]), message=node.get("message", ""))
                for name, node in found]  # fmt: skip

    return answer


def result_of(node_id: str, node: Mapping[str, Any]) -> TaskResult:
    outputs = node["outputs"]
    return TaskResult(
        node_id,
        Phase(node["phase"]),
        exit_code=int(outputs["exitCode"]) if "exitCode" in outputs else None,
        result=outputs.get("result", ""),
        parameters=outputs.get("parameters", {}),
        message=node.get("message", ""),
        artifacts=tuple({"name": name, "s3": {"key": f"{node_id}/{name}"}} for name in outputs.get("artifacts", ())),
    )


def person(golden: Mapping[str, Any]) -> Person:
    """Whoever resumed the recorded workflow, after the values that were set then."""
    recorded = {node["name"]: node for node in golden["nodes"]}

    def act(run: Run) -> Sequence[Happening]:
        waiting = [n for n in run.nodes.values() if n.type == "Suspend" and not n.phase.fulfilled]
        said: list[Happening] = []
        for node in waiting:
            values = recorded[node.name]["outputs"].get("parameters", {})
            said += [SetNodes(f"id={node.id}", outputs=Outputs(values))] if values else []
        return [*said, Resume(by="admin")] if waiting else []

    return act


def facts_of(node: Node, names: Mapping[str, str], children: Sequence[str]) -> dict[str, Any]:
    body = node.to_argo(children)
    message = re.sub(re.escape(NAME) + r"-\d+", lambda m: names.get(m[0], m[0]), node.message)
    return {
        **{key: body.get(key, "") for key in SCALARS},
        "message": message,
        "boundary": names.get(node.boundary_id),
        "children": sorted(names[child] for child in children),
        "outboundNodes": sorted(names[one] for one in node.outbound_nodes),
        "inputs": values(body.get("inputs")),
        "outputs": values(body.get("outputs")),
        "memoized": body.get("memoizationStatus", ""),
    }


def values(side: Mapping[str, Any] | None) -> dict[str, Any]:
    side = side or {}
    found: dict[str, Any] = {key: side[key] for key in ("result", "exitCode") if key in side}
    if side.get("parameters"):
        found["parameters"] = {one["name"]: one.get("value") for one in side["parameters"]}
    if side.get("artifacts"):
        found["artifacts"] = sorted(one["name"] for one in side["artifacts"])
    return found


def recorded_facts(node: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{key: node.get(key, "") for key in (*SCALARS, "message", "memoized")},
        "boundary": node["boundary"],
        **{key: sorted(node[key]) for key in ("children", "outboundNodes")},
        **{
            key: {k: sorted(v) if k == "artifacts" else v for k, v in node[key].items()}
            for key in ("inputs", "outputs")
        },
    }


def with_sorted(side: Mapping[str, Any]) -> dict[str, Any]:
    return {key: sorted(value) if key == "artifacts" else value for key, value in side.items()}


def tree(decision: Decision) -> dict[str, dict[str, Any]]:
    run = decision.run
    names = {key: node.name for key, node in run.nodes.items()}
    return {node.name: facts_of(node, names, run.children.get(key, ())) for key, node in run.nodes.items()}


def neutral(path: str) -> re.Pattern[str]:
    return re.compile(re.escape(path).replace(r"\*", ".*") + r"(?:/.*)?\Z", re.S)


@pytest.mark.parametrize(("answer", "file"), CASES, ids=[file.relative_to(CORPUS).as_posix() for _, file in CASES])
def test_the_tree_is_the_controllers(answer: Path, file: Path, catalog: Catalog) -> None:
    golden = ours(json.loads(answer.read_text()))
    (manifest,) = [document for document in documents(file) if document.get("kind") == "Workflow"][:1]
    try:
        run = begin(manifest, name=NAME, uid=UID, created=T, templates=catalog)
    except ConfigError as error:
        if golden["message"].startswith(("invalid spec", "cannot unmarshal")):
            return
        pytest.fail(f"refused: {error}")

    decision = rehearse(run, answers(golden), now=T, person=person(golden))

    if golden["unstable"] == "tree":
        return
    assert str(decision.phase) == golden["phase"], decision.message
    assert values(status(run).get("outputs")) == golden["outputs"]
    want, got = {node["name"]: recorded_facts(node) for node in golden["nodes"]}, tree(decision)
    assert sorted(got) == sorted(want)
    volatile = [neutral(path) for path in golden["unstable"]]
    wrong = [
        (name, key, facts[key], got[name][key])
        for name, facts in want.items()
        for key in facts
        if got[name][key] != facts[key] and not any(rule.match(f"nodes/{name}/{key}") for rule in volatile)
        and (file.name, key) not in DIFFERS
    ]  # fmt: skip
    assert [one for one in wrong if not _unstable_inside(one, volatile)] == []


def _unstable_inside(one: tuple[str, str, Any, Any], volatile: Sequence[re.Pattern[str]]) -> bool:
    """Both are maps that differ only in fields which the controller itself does not repeat."""
    name, key, want, got = one
    if not isinstance(want, dict) or not isinstance(got, dict):
        return False
    differing = [k for k in want.keys() | got.keys() if want.get(k) != got.get(k)]
    paths = [f"nodes/{name}/{key}/{k}" for k in differing]
    deeper = [f"nodes/{name}/{key}/{k}/{p}" for k in differing if k == "parameters" for p in want.get(k, {})
              if want[k].get(p) != got.get(k, {}).get(p)]  # fmt: skip
    return all(any(rule.match(p) for rule in volatile) for p in deeper or paths)
