"""`promotions plan`: what a Promotion in a file would change, and what its gates would say. Needs no platform."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import anyio

from retrain.app.projects.catalog import build
from retrain.app.projects.secrets import ProjectSecrets
from retrain.app.sensing.explaining import load, refuse, select
from retrain.errors import ConfigError


def plan_file(
    file: Path, candidate: Mapping[str, Any], name: str | None = None, environment: str | None = None
) -> dict[str, Any]:
    """The changes, the diff and the verdicts for a candidate.

    `environment`: None is where candidates enter.

    Raises:
        ConfigError: there is no such Promotion, it is wrong, or the candidate is none.
        Transient, Permanent, Refused: the repository is away, says no, or holds not what the edits name.
    """
    from deploy.plan import place, plan
    from deploy.spec import PromotionDocument

    documents = load(file)
    document = select([one for one in documents if one.kind == "Promotion"], "Promotion", file, name)
    item, findings = build(document)
    refuse(findings)
    assert item is not None
    assert isinstance(item.model, PromotionDocument)
    with tempfile.TemporaryDirectory(prefix="retrain-plan-") as scratch:
        secrets = ProjectSecrets([one.body for one in documents if one.kind == "Secret"], (), os.environ)
        where = place(Path(scratch), file.parent, os.environ, secrets)
        return anyio.run(plan, where, item.model, candidate, None, environment)


def read_candidate(inputs: Mapping[str, str]) -> dict[str, Any]:
    """`{"metrics.accuracy": "0.97"}` as `{"metrics": {"accuracy": 0.97}}`; values are JSON where they can be.

    Raises:
        ConfigError: one input is a value and the beginning of another's path.
    """
    candidate: dict[str, Any] = {}
    for path, text in inputs.items():
        *parents, last = path.split(".")
        place_: Any = candidate
        for parent in parents:
            place_ = place_.setdefault(parent, {})
            if not isinstance(place_, dict):
                raise ConfigError(f"--input {path}: {parent!r} has a value already")
        place_[last] = _value(text)
    return candidate


def candidate_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """The candidate that a run (a Workflow object) has made: its output `candidate`, the JSON of an object; without
    one its outputs by their names. `run` names the run, where the candidate does not.

    Raises:
        ConfigError: the run has no outputs, or that one is no object.
    """
    name = run["metadata"]["name"]
    given = ((run.get("status") or {}).get("outputs") or {}).get("parameters") or ()
    outputs = {str(one["name"]): one.get("value") for one in given}
    if not outputs:
        raise ConfigError(
            f"run {name} has no output parameters (it is {run['status']['phase']}): there is no candidate"
        )
    found: Any = _value(str(outputs["candidate"])) if "candidate" in outputs else outputs
    if not isinstance(found, dict):
        raise ConfigError(f"the output `candidate` of run {name} is no JSON object: {str(outputs['candidate'])[:80]!r}")
    return {"run": str(run["metadata"].get("uid") or name), **cast("dict[str, Any]", found)}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
