"""Any Workflow as a gate: it is submitted with parameters, and its outputs say the verdict."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, cast

import orjson
from pydantic import Field

from deploy import render
from deploy.gates import answers
from deploy.gates.evidence import Evidence
from deploy.gates.gathering import Tools
from deploy.gates.verdict import GateSpec, Verdict, say
from retrain.events import JsonValue

TEMPLATE = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
OVER = frozenset({"Succeeded", "Failed", "Error"})


class Spec(GateSpec):
    """`template`: a WorkflowTemplate of the project. `parameters`: its arguments, with `{{candidate.uri}}` filled in.

    Known are `candidate.digest|uri|dataset|metrics.NAME|parameters.NAME` and `champion.digest|uri` (empty without one).
    The outputs are `verdict`, and where there are, `reason` and `figures` (the text of a JSON object).
    """

    kind: Literal["workflow"]
    template: str = Field(pattern=TEMPLATE)
    parameters: dict[str, str] = Field(default_factory=dict)


async def gather(spec: Spec, evidence: Evidence, tools: Tools) -> JsonValue:
    """Submit the workflow, or look how it is. Raises as `ran`."""
    return await ran(spec, spec.template, spec.parameters, evidence, tools)


async def ran(
    spec: GateSpec, template: str, parameters: Mapping[str, str], evidence: Evidence, tools: Tools
) -> dict[str, JsonValue]:
    """How the gate's run is: the same gate and evidence are the same run, whoever asks.

    Raises:
        ConfigError, NotFound: it cannot be submitted.
    """
    run_id = f"gate-{answers.key_of(spec, evidence).removeprefix('sha256:')[:32]}"
    run = await tools.run(manifest(spec.name, template, parameters, evidence, run_id), run_id)
    phase, said = str(run.get("phase") or "Pending"), str(run.get("message") or "")
    if phase not in OVER:
        return answers.pending(f"run {run_id} is {phase}", run=run_id)
    if phase != "Succeeded":
        reason = f"run {run_id} is {phase}: {said or 'no message'}; retry it with `retrain runs retry {run_id}`"
        return answers.trouble(reason, again=True, run=run_id)
    return answers.done(run=run_id, outputs=run.get("parameters") or {})


def manifest(
    name: str, template: str, parameters: Mapping[str, str], evidence: Evidence, run_id: str
) -> dict[str, Any]:
    """The Workflow that is submitted.

    Raises:
        ConfigError: a parameter names what the candidate has not.
    """
    facts = _facts(evidence)
    values = [{"name": key, "value": str(render.render(text, facts))} for key, text in parameters.items()]
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "gate"
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": f"gate-{plain}-{run_id[-8:]}", "labels": {"retrain.dev/gate": plain}},
        "spec": {"workflowTemplateRef": {"name": template}, "arguments": {"parameters": values}},
    }


def _facts(evidence: Evidence) -> dict[str, JsonValue]:
    body = cast("dict[str, dict[str, JsonValue]]", evidence.to_dict())
    live = evidence.champion
    champion: dict[str, JsonValue] = {"digest": live.digest if live else "", "uri": live.uri if live else ""}
    return {"candidate": {**body["candidate"]}, "champion": champion}


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """What the run's outputs say; error if that is no verdict."""
    answer = answers.answered(spec, evidence)
    if isinstance(answer, Verdict):
        return answer
    run = answer["run"]
    verdict = _said(spec, cast("Mapping[str, JsonValue]", answer["outputs"]), f"run {run}")
    # The run is over: asking again gives the same outputs.
    return replace(verdict, figures={**verdict.figures, "run": run}, again=False)


def _said(spec: Spec, outputs: Mapping[str, JsonValue], who: str) -> Verdict:
    figures: JsonValue = outputs.get("figures") or {}
    if isinstance(figures, str):
        try:
            figures = orjson.loads(figures)
        except orjson.JSONDecodeError as error:
            return say(spec, "error", f"{who}: its output figures is no JSON: {error}")
    verdict = _text(outputs.get("verdict"))
    if verdict == "pending":
        return say(spec, "error", f"{who} is over, and said pending")
    return answers.opinion(spec, {"verdict": verdict, "reason": outputs.get("reason"), "figures": figures}, who)


def _text(value: JsonValue) -> JsonValue:
    return value.strip() if isinstance(value, str) else value
