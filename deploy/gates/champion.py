"""The candidate against the model that is live, both measured on the same data.

Figures from different data are not compared: that is the commonest silent mistake of champion and challenger. The
champion's metrics come from the candidate's own run (which scored both), or from the champion's record if that names
the same data set; else the verdict is `error` and says so.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deploy.gates.verdict import Evidence, Measured, Verdict, missing, number
from retrain.events import JsonValue


class Spec(BaseModel):
    """`minDelta`: by how much the candidate must be better (0: as good; negative: that much worse is allowed).

    `maxRegression: 0.01` is the same as `minDelta: -0.01`. With `relative` both are shares of the champion's figure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=63)
    kind: Literal["champion"]
    metric: str = Field(min_length=1)
    direction: Literal["higher", "lower"] = "higher"
    minDelta: float | None = Field(default=None, allow_inf_nan=False)
    maxRegression: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    relative: bool = False
    onNoChampion: Literal["pass", "fail"] = "fail"

    @model_validator(mode="after")
    def _one_margin(self) -> Spec:
        if self.minDelta is not None and self.maxRegression is not None:
            raise ValueError("minDelta and maxRegression say the same thing; write one of them")
        return self

    @property
    def margin(self) -> Decimal:
        """The least difference that passes."""
        if self.maxRegression is not None:
            return -Decimal(str(self.maxRegression))
        return Decimal(str(self.minDelta or 0.0))


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """Compare; equal to the margin passes. A candidate without the metric fails, a champion without it is an error."""
    candidate = number(evidence.candidate.metrics, spec.metric)
    if candidate is None:
        return _say(spec, "fail", missing(evidence.candidate.metrics, spec.metric))
    if evidence.champion_unknown:
        return _say(spec, "error", evidence.champion_unknown)
    if evidence.champion is None:
        if spec.onNoChampion == "pass":
            return _say(spec, "pass", "nothing is on record as live yet, and onNoChampion is pass")
        return _say(
            spec, "fail", "nothing is on record as live yet; set onNoChampion: pass to let the first one through"
        )
    baseline = _baseline(evidence, evidence.champion)
    if isinstance(baseline, str):
        return _say(spec, "error", baseline, champion=evidence.champion.digest)
    champion = number(baseline.metrics, spec.metric)
    if champion is None:
        return _say(
            spec, "error", f"of the champion: {missing(baseline.metrics, spec.metric)}", champion=baseline.digest
        )
    return _compare(spec, candidate, champion, baseline)


def _baseline(evidence: Evidence, live: Measured) -> Measured | str:
    """The champion's figures on the candidate's data, or why there are none."""
    rescored, dataset = evidence.rescored, evidence.candidate.dataset
    if rescored is not None and rescored.digest == live.digest:
        return rescored
    if rescored is not None:
        return f"stale baseline: the run compared with {rescored.digest}, but {live.digest} is live; evaluate again"
    if dataset is not None and dataset == live.dataset:
        return live
    return (
        f"stale baseline: the champion was measured on {live.dataset or 'unnamed data'}, the candidate on "
        f"{dataset or 'unnamed data'}; let the run score both and pass evaluation.champion"
    )


def _compare(spec: Spec, candidate: Decimal, champion: Decimal, baseline: Measured) -> Verdict:
    delta = candidate - champion if spec.direction == "higher" else champion - candidate
    figures: dict[str, JsonValue] = {
        "value": float(candidate),
        "baseline": float(champion),
        "delta": float(delta),
        "margin": float(spec.margin),
        "champion": baseline.digest,
    }
    if spec.relative:
        if champion == 0:
            return _say(spec, "error", "the champion's figure is 0, so a relative margin means nothing", **figures)
        delta /= abs(champion)
        figures["delta"] = float(delta)
    words = f"{spec.metric} is {candidate}, the champion's {champion}: a gain of {float(delta):+.6g}"
    if delta >= spec.margin:
        return _say(spec, "pass", f"{words}, at least {spec.margin} was asked", **figures)
    return _say(spec, "fail", f"{words}, less than the {spec.margin} asked", **figures)


def _say(spec: Spec, verdict: Literal["pass", "fail", "error"], reason: str, **figures: JsonValue) -> Verdict:
    return Verdict(spec.name, spec.kind, verdict, reason, figures)
