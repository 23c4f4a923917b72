"""Whether groups are treated alike: rates per group of the candidate's decisions, their difference and ratio."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from deploy.gates.evidence import Evidence
from deploy.gates.examples import Examples, Single, same
from deploy.gates.verdict import GateSpec, Verdict, say
from retrain.events import JsonValue

Rate = Literal["selectionRate", "truePositiveRate", "falsePositiveRate"]
_WORDS = {"selectionRate": "selection rate", "truePositiveRate": "TPR", "falsePositiveRate": "FPR"}


class Spec(GateSpec):
    """`group`: a column among the examples' groups. `rate`: share of positive answers, of all or by their label.

    `maxDifference` between the highest and the lowest group, `minRatio` of lowest to highest (four fifths: 0.8).
    Groups with fewer than `minSamples` examples behind the rate are listed and decide nothing.
    """

    kind: Literal["fairness"]
    group: str = Field(min_length=1)
    rate: Rate = "selectionRate"
    positive: str | int | bool = 1
    maxDifference: float | None = Field(default=None, ge=0, le=1)
    minRatio: float | None = Field(default=None, ge=0, le=1)
    minSamples: int = Field(default=30, ge=1)

    @model_validator(mode="after")
    def _bounded(self) -> Spec:
        if self.maxDifference is None and self.minRatio is None:
            raise ValueError("fairness needs maxDifference or minRatio")
        return self


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """Fail if the groups are further apart than allowed; error without two groups large enough to say."""
    table = evidence.examples
    if table is None:
        return say(spec, "error", evidence.given.examples_problem or "the run gave no table of examples")
    if why := _lacks(spec, table):
        return say(spec, "error", why)
    counts = _counts(spec, table)
    rows: list[JsonValue] = [{"group": name, "n": n, "rate": hits / n if n else None} for name, (hits, n) in counts]
    rates = {name: hits / n for name, (hits, n) in counts if n >= spec.minSamples}
    figures: dict[str, JsonValue] = {"rate": spec.rate, "groups": rows}
    if len(rates) < 2:
        return say(spec, "error", f"{len(rates)} groups have {spec.minSamples} examples; two are needed", **figures)
    low, high = min(rates, key=lambda name: rates[name]), max(rates, key=lambda name: rates[name])
    return _held(spec, (low, rates[low]), (high, rates[high]), figures)


def _lacks(spec: Spec, table: Examples) -> str:
    if spec.group not in table.groups:
        return (
            f"the table of examples has no group {spec.group!r}; there are {', '.join(sorted(table.groups)) or 'none'}"
        )
    wanted = ("candidate",) if spec.rate == "selectionRate" else ("candidate", "label")
    absent = [column for column in wanted if column not in table.plain]
    return f"the table of examples has no column {absent[0]!r}" if absent else ""


def _counts(spec: Spec, table: Examples) -> list[tuple[str, tuple[int, int]]]:
    """Each group's positive answers, and the examples that they are of."""
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    said = _positive(table.plain["candidate"], spec.positive)
    labels = _positive(table.plain["label"], spec.positive) if "label" in table.plain else [False] * len(table)
    for group, answer, label in zip(table.groups[spec.group], said, labels, strict=True):
        pair = counts[str(group)]
        if spec.rate == "selectionRate" or label == (spec.rate == "truePositiveRate"):
            pair[0] += answer
            pair[1] += 1
    return [(name, (counts[name][0], counts[name][1])) for name in sorted(counts)]


def _positive(column: Sequence[Single], positive: Single) -> list[bool]:
    return [same(one, positive) or (isinstance(one, bool) and one == positive) for one in column]


def _held(spec: Spec, low: tuple[str, float], high: tuple[str, float], figures: dict[str, JsonValue]) -> Verdict:
    difference = high[1] - low[1]
    # Nobody selected anywhere is equal treatment.
    ratio = low[1] / high[1] if high[1] else 1.0
    figures = {**figures, "difference": round(difference, 12), "ratio": round(ratio, 12)}
    words = f"{_WORDS[spec.rate]} is {low[1]:.4g} for {low[0]}, {high[1]:.4g} for {high[0]}"
    if spec.maxDifference is not None and difference > spec.maxDifference + 1e-12:
        return say(spec, "fail", f"{words}: further apart than {spec.maxDifference:g}", **figures)
    if spec.minRatio is not None and ratio < spec.minRatio - 1e-12:
        return say(spec, "fail", f"{words}: a ratio of {ratio:.4g}, less than {spec.minRatio:g}", **figures)
    return say(spec, "pass", words, **figures)
