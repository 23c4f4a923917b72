"""The live model scored anew on the candidate's data by a workflow, where nobody else has done so.

The workflow is submitted once for each candidate and champion. Its output parameter `metrics` is a JSON object, as the
run of the candidate would give it; `dataset` and `code`, where it says them, must be the candidate's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import orjson
from pydantic import Field

from deploy.gates import answers, workflow
from deploy.gates.baseline import baseline
from deploy.gates.evidence import Evidence, Measured
from deploy.gates.gathering import Tools
from deploy.gates.verdict import GateSpec, Verdict, say
from deploy.shape import Shape
from retrain.events import JsonValue


class Evaluate(Shape):
    """`template`: a WorkflowTemplate of the project. `parameters`: its arguments, as those of a `workflow` gate."""

    template: str = Field(pattern=workflow.TEMPLATE)
    parameters: dict[str, str] = Field(default_factory=dict)


def is_needed(evidence: Evidence) -> bool:
    """Whether a model is live whose figures on the candidate's data are not known."""
    return evidence.champion is not None and isinstance(baseline(evidence), str)


async def gather(spec: GateSpec, evaluate: Evaluate | None, evidence: Evidence, tools: Tools) -> JsonValue:
    """Have it scored, if that is needed.

    Raises:
        ConfigError, NotFound: the workflow cannot be submitted.
    """
    if evaluate is None or not is_needed(evidence) or evidence.candidate.dataset is None:
        return answers.done()
    return await workflow.ran(spec, evaluate.template, evaluate.parameters, evidence, tools)


def scored(spec: GateSpec, evidence: Evidence) -> Measured | Verdict:
    """The champion as the workflow measured it; what there is to say where it did not."""
    live, candidate = evidence.champion, evidence.candidate
    assert live is not None
    if candidate.dataset is None:
        return say(spec, "error", "the candidate names no data set (evaluation.dataset) to score the champion on")
    answer = answers.answered(spec, evidence)
    if isinstance(answer, Verdict):
        return answer
    run, outputs = answer.get("run"), cast("Mapping[str, JsonValue]", answer.get("outputs") or {})
    metrics = _object(outputs.get("metrics"))
    if metrics is None:
        return say(spec, "error", f"run {run}: its output metrics is no JSON object", run=run)
    for name, mine in (("dataset", candidate.dataset), ("code", candidate.code)):
        said = str(outputs.get(name) or "").strip()
        if said and said != mine:
            words = f"run {run} scored the champion with another {name}: {said[:80]}, the candidate's is {mine}"
            return say(spec, "error", words, run=run)
    return Measured(live.digest, metrics, candidate.dataset, candidate.code, live.signature)


def _object(text: JsonValue) -> dict[str, JsonValue] | None:
    try:
        body = orjson.loads(text) if isinstance(text, str) else text
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None
