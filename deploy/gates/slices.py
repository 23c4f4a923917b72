"""No part of the data where the candidate is bad, or worse than the champion: the mean hides that."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, cast

from pydantic import Field, model_validator

from deploy.gates.baseline import Direction, OnNoChampion, gain, none_live
from deploy.gates.evidence import Evidence
from deploy.gates.verdict import GateSpec, Verdict, missing, number, say
from retrain.events import JsonValue


class Spec(GateSpec):
    """`min` and `max` hold every slice's metric; `maxRegression` holds it to the champion's in the same slice.

    Slices of fewer than `minSamples` examples are listed and decide nothing. `only` names those that must be there.
    """

    kind: Literal["slices"]
    metric: str = Field(min_length=1)
    direction: Direction = "higher"
    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)
    maxRegression: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    minSamples: int = Field(default=1, ge=1)
    only: tuple[str, ...] = ()
    onNoChampion: OnNoChampion = "fail"

    @model_validator(mode="after")
    def _bounded(self) -> Spec:
        if self.min is None and self.max is None and self.maxRegression is None:
            raise ValueError("slices need min, max or maxRegression")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is greater than max")
        return self


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """Fail if one slice is out of bounds; error if a slice cannot be compared, or none is large enough."""
    slices = evidence.facts.slices
    if absent := [name for name in spec.only if name not in slices]:
        there = ", ".join(sorted(slices)[:20]) or "none"
        return say(spec, "fail", f"there is no slice {absent[0]!r}; there are {there}", absent=list(absent))
    compares = spec.maxRegression is not None and bool(slices)
    if compares and (why := _not_comparable(evidence)):
        return say(spec, "error", why)
    first = evidence.champion is None
    if compares and first and spec.onNoChampion == "fail":
        return none_live(spec, "fail")
    found = {name: _one(spec, slices[name], first) for name in sorted(spec.only or slices)}
    rows: list[JsonValue] = [{"slice": name, **row} for name, row in found.items()]
    bad = [name for name, row in found.items() if row["verdict"] == "fail"]
    unknown = [name for name, row in found.items() if row["verdict"] == "error"]
    small = [name for name, row in found.items() if row["verdict"] == "small"]
    figures: dict[str, Any] = {"slices": rows, "small": small}
    if bad:
        reason = "; ".join(f"{name}: {found[name]['reason']}" for name in bad[:5])
        return say(spec, "fail", reason + (f" (and {len(bad) - 5} more)" if len(bad) > 5 else ""), **figures)
    if unknown:
        return say(spec, "error", f"{unknown[0]}: {found[unknown[0]]['reason']}", **figures)
    judged = len(found) - len(small)
    if judged == 0:
        why = f"none has {spec.minSamples} examples" if found else "the run gave none (evaluation.slices)"
        return say(spec, "error", f"there is no slice to judge: {why}", **figures)
    return say(spec, "pass", f"{judged} slices are within bounds, {len(small)} are too small to say", **figures)


def _not_comparable(evidence: Evidence) -> str:
    """The champion's figures of a slice are those of this run's `evaluation.champion`, or of nobody."""
    if evidence.champion_unknown:
        return evidence.champion_unknown
    if evidence.champion is None:
        return ""
    if evidence.rescored is None:
        return (
            "maxRegression needs evaluation.champion: the digest of the model that the slices' champion figures are of"
        )
    if evidence.rescored.digest != evidence.champion.digest:
        live = evidence.champion.digest
        return f"stale baseline: the slices compare with {evidence.rescored.digest}, but {live} is live; evaluate again"
    return ""


def _one(spec: Spec, part: Mapping[str, JsonValue], first: bool) -> dict[str, Any]:
    metrics, n = cast("Mapping[str, JsonValue]", part.get("metrics") or {}), cast("int", part.get("n") or 0)
    value = number(metrics, spec.metric)
    row: dict[str, Any] = {"n": n, "value": None if value is None else float(value), "verdict": "pass", "reason": ""}
    if n < spec.minSamples:
        return {**row, "verdict": "small", "reason": f"{n} examples, fewer than {spec.minSamples}"}
    if value is None:
        return {**row, "verdict": "fail", "reason": missing(metrics, spec.metric)}
    if spec.min is not None and value < Decimal(str(spec.min)):
        return {**row, "verdict": "fail", "reason": f"{spec.metric} is {value}, less than {spec.min}"}
    if spec.max is not None and value > Decimal(str(spec.max)):
        return {**row, "verdict": "fail", "reason": f"{spec.metric} is {value}, more than {spec.max}"}
    return row if first or spec.maxRegression is None else _compared(spec, part, value, row)


def _compared(spec: Spec, part: Mapping[str, JsonValue], value: Decimal, row: dict[str, Any]) -> dict[str, Any]:
    champion = cast("Mapping[str, JsonValue]", part.get("champion") or {})
    before = number(champion, spec.metric)
    if before is None:
        return {**row, "verdict": "error", "reason": f"of the champion: {missing(champion, spec.metric)}"}
    row = {**row, "baseline": float(before), "delta": float(gain(value, before, spec.direction))}
    if gain(value, before, spec.direction) >= -Decimal(str(spec.maxRegression)):
        return row
    words = f"{spec.metric} is {value}, the champion's {before}: worse by more than {spec.maxRegression}"
    return {**row, "verdict": "fail", "reason": words}
