"""What a workflow would do, shown without running it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from pipelines.core.dry_run import dry_run
from pipelines.core.engine import begin
from pipelines.core.plan import Catalog

T = datetime(2026, 11, 20, tzinfo=UTC)
LEAF: dict[str, Any] = {
    "name": "leaf",
    "inputs": {"parameters": [{"name": "m", "default": "hi"}]},
    "container": {"image": "busybox", "command": ["echo", "{{inputs.parameters.m}}", "{{workflow.name}}"]},
    "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/tmp/o"}}]},
}


def shown(*templates: dict[str, Any], **spec: Any) -> dict[str, Any]:
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"},
        "spec": {"entrypoint": "main", "templates": [*templates, LEAF], **spec},
    }  # fmt: skip
    found = dry_run(begin(manifest, name="w", uid="u", created=T, templates=Catalog()))
    assert json.loads(json.dumps(found)) == found
    return found


def by_name(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    stack = list(found["nodes"])
    while stack:
        node = stack.pop()
        table[node["name"]] = node
        stack += node["children"]
    return table


def m(value: str) -> dict[str, Any]:
    return {"parameters": [{"name": "m", "value": value}]}


def test_leaves_show_their_commands_and_what_is_not_known_stands_as_a_mark() -> None:
    use = {"name": "b", "template": "leaf", "arguments": m("<{{steps.a.outputs.parameters.o}}>")}
    found = by_name(shown({"name": "main", "steps": [[{"name": "a", "template": "leaf"}], [use]]}))

    assert found["w[0].a"]["does"]["command"] == ["echo", "hi", "w"]
    assert found["w[1].b"]["does"]["command"] == ["echo", "<<steps.a.outputs.parameters.o>>", "w"]
    assert found["w[1].b"]["inputs"]["parameters"] == {"m": "<<steps.a.outputs.parameters.o>>"}


def test_conditions_are_decided_where_they_can_be() -> None:
    tasks = [
        {"name": "a", "template": "leaf", "when": "1 == 1"},
        {"name": "b", "template": "leaf", "when": "1 == 2", "depends": "a"},
        {"name": "c", "template": "leaf", "when": "{{tasks.a.outputs.parameters.o}} == x", "depends": "a.Succeeded"},
    ]
    found = by_name(shown({"name": "main", "dag": {"tasks": tasks}}))

    assert [found[f"w.{name}"]["when"]["decided"] for name in "abc"] == [True, False, None]
    assert (found["w.b"]["type"], found["w.b"]["does"], found["w.b"]["needs"]) == ("Skipped", None, ["a"])
    assert found["w.c"]["when"]["text"] == "<tasks.a.outputs.parameters.o> == x"


def test_loops_are_expanded_if_their_list_is_known() -> None:
    known = {"name": "k", "template": "leaf", "withItems": ["x", "y"], "arguments": m("{{item}}")}
    later = {
        "name": "l",
        "template": "leaf",
        "withParam": "{{steps.k.outputs.parameters.o}}",
        "arguments": m("{{item.p}}"),
    }
    found = by_name(shown({"name": "main", "steps": [[known], [later]]}))

    assert found["w[0].k(1:y)"]["inputs"]["parameters"] == {"m": "y"}
    assert found["w[1].l(...)"]["inputs"]["parameters"] == {"m": "<item.p>"}
    assert found["w[1].l(...)"]["loop"] == "<steps.k.outputs.parameters.o>"


def test_a_template_that_calls_itself_is_shown_once() -> None:
    again = {"name": "again", "template": "main", "when": "{{steps.a.outputs.parameters.o}} == tails"}
    found = by_name(shown({"name": "main", "steps": [[{"name": "a", "template": "leaf"}], [again]]}))

    assert "calls itself" in found["w[1].again"]["note"]
    assert found["w[1].again"]["children"] == []


def test_exit_handlers_hooks_retries_and_gates_are_shown() -> None:
    step = {"name": "a", "template": "flaky", "hooks": {"exit": {"template": "leaf", "arguments": m(
        "{{steps.a.outputs.parameters.o}}")}, "on": {"template": "leaf", "expression": "true"}}}  # fmt: skip
    gate = {"name": "gate", "suspend": {"duration": "5m"}}
    flaky = {**LEAF, "name": "flaky", "retryStrategy": {"limit": "3"}}
    bye = {"name": "bye", "container": {"image": "a", "command": ["x", "{{workflow.status}}"]}}
    found = by_name(shown({"name": "main", "steps": [[step], [{"name": "g", "template": "gate"}]]}, gate, flaky, bye,
                          onExit="bye"))  # fmt: skip

    assert found["w[0].a"]["retry"] == {"limit": "3"}
    assert found["w[0].a.onExit"]["inputs"]["parameters"] == {"m": "<steps.a.outputs.parameters.o>"}
    assert found["w[0].a.hooks.on"]["when"] == {"text": "true", "decided": None}
    assert found["w[1].g"]["does"] == {"kind": "suspend", "duration": "5m"}
    assert found["w.onExit"]["does"]["command"] == ["x", "<workflow.status>"]


def test_artifacts_of_other_steps_are_marks() -> None:
    maker = {"name": "maker", "container": {"image": "a", "command": ["x"]},
             "outputs": {"artifacts": [{"name": "m", "path": "/m"}]}}  # fmt: skip
    user = {"name": "user", "container": {"image": "a", "command": ["x", "{{inputs.artifacts.m.path}}"]},
            "inputs": {"artifacts": [{"name": "m", "path": "/in/m"}]}}  # fmt: skip
    hand = {"artifacts": [{"name": "m", "from": "{{steps.a.outputs.artifacts.m}}"}]}
    found = by_name(shown({"name": "main", "steps": [[{"name": "a", "template": "maker"}], [
        {"name": "b", "template": "user", "arguments": hand}]]}, maker, user))  # fmt: skip

    (artifact,) = found["w[1].b"]["inputs"]["artifacts"]
    assert artifact["raw"] == {"data": "<steps.a.outputs.artifacts.m>"}
    assert found["w[1].b"]["does"]["command"] == ["x", "/in/m"]


def test_items_that_are_mappings_are_filled_in() -> None:
    argument = {"parameters": [{"name": "m", "value": "{{item.depth}} of {{item.trees}}"}]}
    items = [{"depth": 2, "trees": 10}, {"depth": 8, "trees": 40}]
    loop = {"name": "try", "template": "leaf", "withItems": items, "arguments": argument}

    found = by_name(shown({"name": "main", "steps": [[loop]]}))

    given = [node["inputs"]["parameters"]["m"] for name, node in sorted(found.items()) if "try" in name]
    assert given == ["2 of 10", "8 of 40"]
