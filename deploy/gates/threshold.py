"""A metric of the candidate within bounds: fixed ones, or bounds that follow the champion's figure."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, cast

from pydantic import Field, model_validator

from deploy.gates.baseline import Direction, OnNoChampion, baseline, figure_of, gain, none_live
from deploy.gates.evidence import Evidence
from deploy.gates.verdict import GateSpec, Verdict, missing, number, say
from deploy.shape import Shape
from retrain.events import JsonValue


class Relative(Shape):
    """How far from the champion's figure: at least `min` times it, or at most `max` times it."""

    min: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class Spec(GateSpec):
    """`min` and `max` are inclusive; at least one bound is there, whether fixed, `relative` or by `tolerance`.

    `tolerance`: how much worse than the champion it may be, in the metric's units; `direction` says what worse is.
    `slice` takes the metric of that slice; `minSamples` asks for so many examples behind it.
    """

    kind: Literal["threshold"]
    metric: str = Field(min_length=1)
    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)
    relative: Relative | None = None
    direction: Direction | None = None
    tolerance: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    slice: str | None = Field(default=None, min_length=1)
    minSamples: int | None = Field(default=None, ge=1)
    onNoChampion: OnNoChampion = "fail"

    @model_validator(mode="after")
    def _bounded(self) -> Spec:
        relative = self.relative is not None and (self.relative.min, self.relative.max) != (None, None)
        if self.min is None and self.max is None and not relative and self.tolerance is None:
            raise ValueError("a threshold needs min or max (or relative, or tolerance)")
        if (self.direction is None) != (self.tolerance is None):
            raise ValueError("tolerance and direction go together: how much worse, and what worse is")
        for bounds in (self, self.relative):
            if bounds and bounds.min is not None and bounds.max is not None and bounds.min > bounds.max:
                raise ValueError("min is greater than max")
        if self.slice is not None and (relative or self.tolerance is not None):
            raise ValueError("a slice is held to min and max here; the kind 'slices' compares slices with the champion")
        return self

    @property
    def compares(self) -> bool:
        """Whether a bound follows the champion's figure."""
        return self.relative is not None or self.tolerance is not None


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """Fail if the metric is missing, NaN, infinite, out of bounds, or of too few examples."""
    metrics, samples = evidence.candidate.metrics, evidence.facts.samples
    if spec.slice is not None:
        part = evidence.facts.slices.get(spec.slice)
        if part is None:
            there = ", ".join(sorted(evidence.facts.slices)[:20]) or "none"
            return say(spec, "fail", f"there is no slice {spec.slice!r}; there are {there}")
        metrics, samples = cast("dict[str, JsonValue]", part.get("metrics") or {}), cast("int | None", part.get("n"))
    value = number(metrics, spec.metric)
    bounds = {name: bound for name, bound in (("min", spec.min), ("max", spec.max)) if bound is not None}
    if value is None:
        return say(spec, "fail", missing(metrics, spec.metric), **bounds)
    if spec.minSamples is not None and (samples is None or samples < spec.minSamples):
        said = "the run does not say how many examples" if samples is None else f"only {samples} examples"
        return say(spec, "fail", f"{said} are behind {spec.metric}, {spec.minSamples} were asked", samples=samples)
    verdict = _within(spec, value, bounds)
    return _compared(spec, evidence, value, verdict) if spec.compares else verdict


def _within(spec: Spec, value: Decimal, bounds: dict[str, float]) -> Verdict:
    low, high = number(bounds, "min"), number(bounds, "max")
    figures = {"value": float(value), **bounds}
    if low is not None and value < low:
        return say(spec, "fail", f"{spec.metric} is {value}, less than {low}", **figures)
    if high is not None and value > high:
        return say(spec, "fail", f"{spec.metric} is {value}, more than {high}", **figures)
    wanted = " and ".join([f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None))
    return say(spec, "pass", f"{spec.metric} is {value}" + f", {wanted}" * bool(wanted), **figures)


def _compared(spec: Spec, evidence: Evidence, value: Decimal, within: Verdict) -> Verdict:
    """The same held to the champion's figure, too."""
    champion = baseline(evidence)
    if within.verdict == "fail":
        return within
    if isinstance(champion, str):
        return say(spec, "error", champion, **within.figures)
    if champion is None:
        return none_live(spec, spec.onNoChampion)
    figure = figure_of(spec, champion, spec.metric)
    if isinstance(figure, Verdict):
        return figure
    figures = {**within.figures, "baseline": float(figure), "champion": champion.digest}
    for wrong in (_relative(spec, value, figure), _tolerated(spec, value, figure)):
        if wrong:
            return say(spec, "error" if figure <= 0 and spec.relative else "fail", wrong, **figures)
    return say(spec, "pass", f"{within.reason}; the champion's is {figure}", **figures)


def _relative(spec: Spec, value: Decimal, figure: Decimal) -> str:
    if spec.relative is None:
        return ""
    if figure <= 0:
        return f"the champion's {spec.metric} is {figure}, and a share of that means nothing; use tolerance"
    for bound, word, over in ((spec.relative.min, "less", False), (spec.relative.max, "more", True)):
        if bound is None:
            continue
        limit = figure * Decimal(str(bound))
        if (value > limit) if over else (value < limit):
            return f"{spec.metric} is {value}, {word} than {bound} times the champion's {figure}"
    return ""


def _tolerated(spec: Spec, value: Decimal, figure: Decimal) -> str:
    if spec.tolerance is None or spec.direction is None:
        return ""
    if gain(value, figure, spec.direction) >= -Decimal(str(spec.tolerance)):
        return ""
    return f"{spec.metric} is {value}, worse than the champion's {figure} by more than {spec.tolerance}"
