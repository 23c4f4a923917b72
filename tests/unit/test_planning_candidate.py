"""The candidate that a run has made, as `promotions plan --run` takes it."""

from __future__ import annotations

from typing import Any

import pytest

from retrain.app.promotions.planning import candidate_of
from retrain.errors import ConfigError


def run(**outputs: str) -> dict[str, Any]:
    given = [{"name": name, "value": value} for name, value in outputs.items()]
    return {"metadata": {"name": "w", "uid": "r-1"}, "status": {"phase": "Succeeded", "outputs": {"parameters": given}}}


def test_a_whole_candidate_is_one_output() -> None:
    found = candidate_of(run(candidate='{"digest": "d", "metrics": {"accuracy": 0.9}}', drift="0.1"))

    assert found == {"run": "r-1", "digest": "d", "metrics": {"accuracy": 0.9}}


def test_a_candidate_that_names_its_run_keeps_it() -> None:
    assert candidate_of(run(candidate='{"digest": "d", "run": "r-0"}')) == {"digest": "d", "run": "r-0"}


def test_outputs_are_its_fields_where_none_is_the_whole() -> None:
    assert candidate_of(run(digest="d", uri="u")) == {"run": "r-1", "digest": "d", "uri": "u"}


@pytest.mark.parametrize("text", ["no JSON", "[1]", '"text"', "7"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="the output `candidate` of run w is no JSON object"):
        candidate_of(run(candidate=text))


def test_a_run_without_outputs_has_made_none() -> None:
    with pytest.raises(ConfigError, match=r"run w has no output parameters \(it is Running\)"):
        candidate_of({"metadata": {"name": "w"}, "status": {"phase": "Running"}})
