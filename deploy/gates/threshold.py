"""A metric of the candidate within bounds."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deploy.gates.verdict import Evidence, Verdict, missing, number


class Spec(BaseModel):
    """`min` and `max` are inclusive; at least one is there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=63)
    kind: Literal["threshold"]
    metric: str = Field(min_length=1)
    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _bounded(self) -> Spec:
        if self.min is None and self.max is None:
            raise ValueError("a threshold needs min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is greater than max")
        return self


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """Fail if the metric is missing, NaN, infinite or out of bounds."""
    metrics = evidence.candidate.metrics
    value = number(metrics, spec.metric)
    bounds = {name: bound for name, bound in (("min", spec.min), ("max", spec.max)) if bound is not None}
    if value is None:
        return Verdict(spec.name, spec.kind, "fail", missing(metrics, spec.metric), bounds)
    figures = {"value": float(value), **bounds}
    low = number(bounds, "min")
    high = number(bounds, "max")
    if low is not None and value < low:
        return Verdict(spec.name, spec.kind, "fail", f"{spec.metric} is {value}, less than {low}", figures)
    if high is not None and value > high:
        return Verdict(spec.name, spec.kind, "fail", f"{spec.metric} is {value}, more than {high}", figures)
    wanted = " and ".join([f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None))
    return Verdict(spec.name, spec.kind, "pass", f"{spec.metric} is {value}, {wanted}", figures)
