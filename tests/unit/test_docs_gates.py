"""The page of gates and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import TypeAdapter

from deploy.evaluation import Evaluation
from deploy.gates import KINDS
from deploy.gates.examples import NUMBERS, PLAIN
from deploy.gates.expr import NAMES
from deploy.gates.report import SCHEMA
from deploy.gates.spec import Gate, build
from deploy.gates.verdict import GateSpec, Outcome, Verdict

PAGE = (Path(__file__).parents[2] / "docs" / "gates.md").read_text()
PARTS: dict[str, str] = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
COMMON = set(GateSpec.model_fields)


def told(part: str) -> set[str]:
    """The names in the first column of the part's table."""
    rows = re.findall(r"^\| (`[^|]+) \|", PARTS[part], re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_every_kind_is_told_and_no_other(kind: str) -> None:
    assert told(kind) == set(KINDS[kind].Spec.model_fields) - COMMON


def test_the_fields_of_every_gate_are_told() -> None:
    assert told("Every gate") == COMMON


def test_every_verdict_is_told() -> None:
    assert told("Verdicts") == set(get_args(Outcome))


def test_all_that_a_verdict_has_is_named() -> None:
    named = set(Verdict("g", "k", "pass", "", advisory=True, expires_at="t", evidence="e").to_dict())

    assert named - {"name", "kind", "verdict", "advisory"} <= set(re.findall(r"`(\w+)`", PARTS["Verdicts"]))
    assert SCHEMA in PAGE


def test_all_that_a_run_may_say_is_told_and_no_more() -> None:
    assert told("What the run says") == set(Evaluation.model_fields)


@pytest.mark.parametrize("column", ["id", *PLAIN, *NUMBERS])
def test_every_column_of_the_table_of_examples_is_told(column: str) -> None:
    assert f"`{column}`" in PARTS["What the run says"]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_an_expression_is_told(name: str) -> None:
    assert f"`{name}`" in PARTS["expr"]


def test_the_gates_of_the_page_can_be_built() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    gates: list[Any] = [gate for block in blocks for gate in yaml.safe_load(block)["gates"]]

    assert len(build([TypeAdapter(Gate).validate_python(gate) for gate in gates])) == 5


def test_the_defaults_that_the_page_names_are_those_of_the_code() -> None:
    def default(kind: str, field: str) -> Any:
        return KINDS[kind].Spec.model_fields[field].default

    assert default("calibration", "bins") == default("drift", "bins") == 10
    assert default("fairness", "minSamples") == 30
    assert default("infra", "tolerance") == 0.000001
    assert default("infra", "memory") == 4 << 30
    assert default("infra", "timeout").total_seconds() == 60
    assert default("http", "timeout").total_seconds() == 30
    assert default("champion", "onNoChampion") == default("schema", "onNoChampion") == "fail"
