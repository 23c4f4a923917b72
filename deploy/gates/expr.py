"""A condition in expr-lang over `candidate`, `champion`, `metrics`, `parameters` and the run's other figures."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from deploy.gates.baseline import baseline
from deploy.gates.evidence import Evidence
from deploy.gates.verdict import GateSpec, Verdict, exact, say
from retrain.events import JsonValue

NAMES = ("candidate", "champion", "metrics", "parameters", "latency", "size", "slices")
_CHAMPION = "champion"


class Spec(GateSpec):
    """`expression` is true or false: `metrics.f1 > 0.8 and metrics.f1 >= champion.metrics.f1 - 0.01`.

    `champion` is the live model on the same data, nil if nothing is live yet. Metrics that spell a number are numbers.
    """

    kind: Literal["expr"]
    expression: str = Field(min_length=1, max_length=8192)

    @field_validator("expression")
    @classmethod
    def _compiles(cls, text: str) -> str:
        if unknown := sorted(set(_compiled(text).names) - {*NAMES}):
            raise ValueError(f"unknown name {unknown[0]!r}; there are {', '.join(NAMES)}")
        return text


def _compiled(text: str) -> Any:
    # The language is much code: who has no such gate does not load it.
    from retrain.expressions.exprlang import ExprError, compile_expr

    try:
        return compile_expr(text)
    except ExprError as error:
        raise ValueError(str(error)) from None


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """Pass if it is true, fail if it is false; anything else, and any mistake, is an error."""
    from retrain.expressions.exprlang import ExprError

    compiled = _compiled(spec.expression)
    champion = baseline(evidence) if _CHAMPION in compiled.names else None
    if isinstance(champion, str):
        return say(spec, "error", champion)
    facts: dict[str, Any] = evidence.to_dict()
    shown = {**facts, "metrics": _numbers(facts["candidate"]["metrics"])}
    shown["parameters"] = facts["candidate"]["parameters"]
    shown["candidate"] = {**facts["candidate"], "metrics": shown["metrics"]}
    shown["champion"] = None
    if champion is not None:
        shown["champion"] = {"digest": champion.digest, "metrics": _numbers(dict(champion.metrics))}
    try:
        value = compiled.evaluate({name: shown[name] for name in NAMES}, now=evidence.now)
    except ExprError as error:
        return say(spec, "error", f"the expression failed: {error}", expression=spec.expression)
    if not isinstance(value, bool):
        return say(
            spec, "error", f"the expression gave {str(value)[:80]!r}, not true or false", expression=spec.expression
        )
    said = "is true" if value else "is false"
    return say(spec, "pass" if value else "fail", f"{spec.expression} {said}", expression=spec.expression)


def _numbers(metrics: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The metrics that are finite numbers, as such. Others are left out: a comparison with NaN must not pass."""
    read = {name: exact(value) for name, value in metrics.items()}
    return {name: float(value) for name, value in read.items() if value is not None}
