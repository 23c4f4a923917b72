"""What a step printed or an event brought is data: an expression in it is never evaluated, whichever way it goes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.engine import begin
from pipelines.core.nodes import Phase
from pipelines.core.plan import Catalog
from pipelines.core.rehearse import rehearse, succeed

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SHOW = {
    "name": "show",
    "inputs": {"parameters": [{"name": "m"}]},
    "container": {"image": "a:1", "command": ["echo"], "args": ["<{{inputs.parameters.m}}>"]},
}
PRINT = {"name": "print", "container": {"image": "a:1", "command": ["x"]}}
HOSTILE = ("{{=1+1}}", "{{=nothing.at.all}}", "a {{=", "{{= '{{=2}}' }}", "{{{=1}}", "{{=sprig.repeat(9,'x')}} }}")


def play(templates: list[dict[str, Any]], printed: str, **metadata: Any) -> dict[str, Any]:
    """The nodes by name, of which those of `print` give this."""
    spec = {"entrypoint": "main", "templates": [*templates, SHOW, PRINT]}
    manifest = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": spec}
    run = begin(manifest, name="w", uid="u", created=NOW, templates=Catalog())
    told: list[list[str]] = []

    def answer(task: Any) -> Any:
        if task.template["name"] == "show":
            told.append(task.template["container"]["args"])
        return replace(succeed(task), result=printed)

    done = rehearse(run, answer, now=NOW)
    assert done.run.phase is Phase.Succeeded, done.run.message
    return {"told": told, "nodes": {node.name: node for node in done.run.nodes.values()}}


def steps(value: str, **more: Any) -> list[dict[str, Any]]:
    arguments = {"parameters": [{"name": "m", "value": value}]}
    second = {"name": "b", "template": "show", "arguments": arguments, **more}
    return [{"name": "main", "steps": [[{"name": "a", "template": "print"}], [second]]}]


@pytest.mark.parametrize("text", HOSTILE)
def test_an_expression_that_a_step_printed_reaches_the_next_step_as_it_is(text: str) -> None:
    found = play(steps("{{steps.a.outputs.result}}"), text)

    assert found["told"] == [[f"<{text}>"]]
    assert found["nodes"]["w[1].b"].inputs.parameters == {"m": text}


@given(st.text("{}=1+ a", max_size=12))
def test_whatever_a_step_prints_is_data(text: str) -> None:
    assert play(steps("{{steps.a.outputs.result}}"), text)["told"] == [[f"<{text}>"]]


@pytest.mark.parametrize("text", HOSTILE)
def test_an_expression_in_an_item_of_a_loop_is_data(text: str) -> None:
    found = play(steps("{{item}}", withParam="{{steps.a.outputs.result}}"), json.dumps([text]))

    assert found["told"] == [[f"<{text}>"]]


@pytest.mark.parametrize("text", HOSTILE)
def test_an_expression_in_the_result_of_an_expression_is_data(text: str) -> None:
    assert play(steps("{{=steps.a.outputs.result}}"), text)["told"] == [[f"<{text}>"]]


def test_a_condition_reads_what_was_printed_and_not_what_it_would_make() -> None:
    found = play(steps("x", when="'{{steps.a.outputs.result}}' == '{{=1+1}}'"), "2")
    assert found["nodes"]["w[1].b"].phase is Phase.Succeeded

    assert play(steps("x", when="'{{steps.a.outputs.result}}' != '2'"), "{{=1+1}}")["told"]


def test_the_arguments_of_a_fired_run_are_data_and_those_of_its_author_are_evaluated() -> None:
    main = [{"name": "main", "inputs": {"parameters": [{"name": "p"}]}, "steps": [[
        {"name": "b", "template": "show",
         "arguments": {"parameters": [{"name": "m", "value": "{{inputs.parameters.p}} {{workflow.parameters.p}}"}]}},
    ]]}]  # fmt: skip
    spec = {
        "entrypoint": "main",
        "templates": [*main, SHOW],
        "arguments": {"parameters": [{"name": "p", "value": "{{=1+1}}"}]},
    }

    def told(labels: dict[str, str]) -> list[str]:
        manifest = {
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"labels": labels}, "spec": spec,
        }  # fmt: skip
        run = begin(manifest, name="w", uid="u", created=NOW, templates=Catalog())
        found: list[str] = []

        def answer(task: Any) -> Any:
            found.extend(task.template["container"]["args"])
            return succeed(task)

        rehearse(run, answer, now=NOW)
        return found

    assert told({"retrain.dev/firing": "f-1"}) == ["<{{=1+1}} {{=1+1}}>"]
    assert told({})[0].startswith("<2 ")
