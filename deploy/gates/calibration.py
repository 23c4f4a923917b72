"""Whether a probability means what it says: the expected calibration error and the Brier score, of the examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from deploy.gates.evidence import Evidence
from deploy.gates.examples import Single, same
from deploy.gates.verdict import GateSpec, Verdict, say


class Spec(GateSpec):
    """`maxEce`, `maxBrier`: at most; one is there. `positive`: the label whose probability the scores are.

    `bins`: how many equal bins of probability the calibration error has. `minSamples`: fewer examples fail.
    """

    kind: Literal["calibration"]
    maxEce: float | None = Field(default=None, ge=0, le=1)
    maxBrier: float | None = Field(default=None, ge=0, le=1)
    positive: str | int | bool = 1
    bins: int = Field(default=10, ge=2, le=1000)
    minSamples: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _bounded(self) -> Spec:
        if self.maxEce is None and self.maxBrier is None:
            raise ValueError("calibration needs maxEce or maxBrier")
        return self


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """Fail if an error is over its limit or the examples are too few; error if there is no table to judge by."""
    table = evidence.examples
    if table is None:
        return say(spec, "error", evidence.given.examples_problem or "the run gave no table of examples")
    scores, labels = table.numbers.get("candidateScore"), table.plain.get("label")
    if scores is None or labels is None:
        column = "candidateScore" if scores is None else "label"
        return say(spec, "error", f"the table of examples has no column {column!r}")
    if len(table) < spec.minSamples:
        return say(spec, "fail", f"only {len(table)} examples, {spec.minSamples} were asked", n=len(table))
    hits = _hits(labels, spec.positive)
    if not any(hits):
        return say(spec, "error", f"no example has the label {spec.positive!r}; write positive", n=len(table))
    ece, brier = ece_of(scores, hits, spec.bins), brier_of(scores, hits)
    figures = {"n": len(table), "ece": round(ece, 12), "brier": round(brier, 12), "bins": spec.bins}
    limits = (("calibration error", ece, spec.maxEce), ("Brier score", brier, spec.maxBrier))
    said = [(f"{name} is {value:.6g}", value, limit) for name, value, limit in limits if limit is not None]
    wrong = [f"{words}, more than {limit:g}" for words, value, limit in said if value > limit + 1e-12]
    if wrong:
        return say(spec, "fail", "; ".join(wrong), **figures)
    return say(spec, "pass", "; ".join(f"{words}, at most {limit:g}" for words, _, limit in said), **figures)


def ece_of(scores: Sequence[float], hits: Sequence[bool], bins: int) -> float:
    """The distance of what was said from what came, in bins of probability, weighted by their examples."""
    said, came = [0.0] * bins, [0] * bins
    for score, hit in zip(scores, hits, strict=True):
        place = min(int(score * bins), bins - 1)
        said[place] += score
        came[place] += hit
    return math.fsum(abs(one - other) for one, other in zip(said, came, strict=True)) / len(scores)


def brier_of(scores: Sequence[float], hits: Sequence[bool]) -> float:
    """The mean of the squared distance of each probability from what came."""
    return math.fsum((score - hit) ** 2 for score, hit in zip(scores, hits, strict=True)) / len(scores)


def _hits(labels: Sequence[Single], positive: Single) -> list[bool]:
    # YAML's 1 and a table's true mean the same class.
    return [same(label, positive) or (isinstance(label, bool) and label == positive) for label in labels]
