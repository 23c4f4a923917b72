"""The candidate against the model that is live, both measured on the same data by the same code.

The champion's metrics come from the candidate's own run (which scored both), or from the champion's record if that
names the same data set and code; else the verdict is `error` and says so. With `test`, a gain must also be more than
noise.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field, model_validator

from deploy.gates import paired, rescoring
from deploy.gates.baseline import Direction, OnNoChampion, baseline, figure_of, gain, none_live
from deploy.gates.evidence import Evidence, Measured
from deploy.gates.examples import Examples
from deploy.gates.gathering import Tools
from deploy.gates.paired import Tested
from deploy.gates.rescoring import Evaluate
from deploy.gates.verdict import GateSpec, Verdict, missing, number, say
from retrain.errors import ConfigError
from retrain.events import JsonValue


class Spec(GateSpec):
    """`minDelta`: by how much the candidate must be better (0: as good; negative: that much worse is allowed).

    `maxRegression: 0.01` and `margin: 0.01` (non-inferiority) are the same as `minDelta: -0.01`. With `relative` they
    are shares of the champion's figure. `test`: the gain, example by example, is above the margin at this `confidence`.
    `evaluate`: a workflow that scores the live model on the candidate's data, where the run has not.
    """

    kind: Literal["champion"]
    metric: str = Field(min_length=1)
    direction: Direction = "higher"
    minDelta: float | None = Field(default=None, allow_inf_nan=False)
    maxRegression: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    margin: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    relative: bool = False
    test: Literal["bootstrap", "mcnemar"] | None = None
    confidence: float | None = Field(default=None, gt=0.5, lt=1)
    onNoChampion: OnNoChampion = "fail"
    evaluate: Evaluate | None = None

    @model_validator(mode="after")
    def _one_margin(self) -> Spec:
        if sum(one is not None for one in (self.minDelta, self.maxRegression, self.margin)) > 1:
            raise ValueError("minDelta, maxRegression and margin say the same thing; write one of them")
        if self.confidence is not None and self.test is None:
            raise ValueError("confidence needs test: bootstrap or test: mcnemar")
        if self.test is not None and self.relative:
            raise ValueError("a test compares example by example, in absolute figures; take relative out")
        if self.test == "mcnemar" and self.least != 0:
            raise ValueError("test: mcnemar asks only who is right more often; with a margin write test: bootstrap")
        if self.test is not None and self.evaluate is not None:
            raise ValueError("a test needs what both said of each example, which only the run gives; take evaluate out")
        return self

    @property
    def asks(self) -> bool:
        """Whether somebody may have to be asked before it can judge."""
        return self.evaluate is not None

    @property
    def least(self) -> Decimal:
        """The least difference that passes."""
        allowed = self.margin if self.maxRegression is None else self.maxRegression
        return Decimal(str(self.minDelta or 0.0)) if allowed is None else -Decimal(str(allowed))

    @property
    def sure(self) -> float:
        """The confidence of the test."""
        return self.confidence or 0.95


async def gather(spec: Spec, evidence: Evidence, tools: Tools) -> JsonValue:
    """Have the live model scored where that is wanted and needed. Raises as `rescoring.gather`."""
    return await rescoring.gather(spec, spec.evaluate, evidence, tools)


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """Compare; equal to the margin passes. A candidate without the metric fails, a champion without it is an error."""
    candidate = number(evidence.candidate.metrics, spec.metric)
    if candidate is None:
        return say(spec, "fail", missing(evidence.candidate.metrics, spec.metric))
    champion = baseline(evidence)
    if spec.evaluate is not None and rescoring.is_needed(evidence):
        champion = rescoring.scored(spec, evidence)
        if isinstance(champion, Verdict):
            return champion
    if isinstance(champion, str):
        live = evidence.champion.digest if evidence.champion else None
        return say(spec, "error", champion, champion=live)
    if champion is None:
        return none_live(spec, spec.onNoChampion)
    figure = figure_of(spec, champion, spec.metric)
    if isinstance(figure, Verdict):
        return figure
    verdict = _compare(spec, candidate, figure, champion)
    if spec.test is None or verdict.verdict != "pass":
        return verdict
    return _tested(spec, evidence, verdict)


def _compare(spec: Spec, candidate: Decimal, champion: Decimal, measured: Measured) -> Verdict:
    delta = gain(candidate, champion, spec.direction)
    figures: dict[str, JsonValue] = {
        "value": float(candidate),
        "baseline": float(champion),
        "delta": float(delta),
        "margin": float(spec.least),
        "champion": measured.digest,
        "dataset": measured.dataset,
    }
    if spec.relative:
        if champion == 0:
            return say(spec, "error", "the champion's figure is 0, so a relative margin means nothing", **figures)
        delta /= abs(champion)
        figures["delta"] = float(delta)
    words = f"{spec.metric} is {candidate}, the champion's {champion}: a gain of {float(delta):+.6g}"
    if delta >= spec.least:
        return say(spec, "pass", f"{words}, at least {spec.least} was asked", **figures)
    return say(spec, "fail", f"{words}, less than the {spec.least} asked", **figures)


def _tested(spec: Spec, evidence: Evidence, compared: Verdict) -> Verdict:
    """The gain held against noise. The table must say who the champion in it is: the live model."""
    figures = {**compared.figures, "test": spec.test, "confidence": spec.sure}
    found = run_test(spec, evidence)
    if isinstance(found, str):
        return say(spec, "error", found, **figures)
    figures |= {"n": found.n, "p": found.p, "ci": [found.low, found.high], "gain": found.gain, **found.figures}
    asked = f"more than {spec.least}" if spec.least >= 0 else f"not worse by {-spec.least}"
    words = f"over {found.n} examples the gain is {found.gain:+.6g} (p = {found.p:.4g})"
    if found.p <= round(1 - spec.sure, 12):
        return say(spec, "pass", f"{compared.reason}; {words}: {asked} with {spec.sure:.4g} confidence", **figures)
    return say(spec, "fail", f"{words}: that it is {asked} is not certain to {spec.sure:.4g}", **figures)


def run_test(spec: Spec, evidence: Evidence) -> Tested | str:
    """The test over the table of examples; or why there can be none."""
    table = evidence.examples
    if table is None:
        why = evidence.given.examples_problem or "the run gave no table of examples (evaluation.examples)"
        return f"test: {spec.test} cannot be made: {why}"
    if evidence.rescored is None:
        return f"test: {spec.test} needs evaluation.champion: the digest of the model in the table's champion column"
    least = paired.LEAST[spec.test or "bootstrap"]
    if len(table) < least:
        return f"{len(table)} examples say too little; test: {spec.test} takes at least {least}"
    seed = paired.seed_of(evidence.candidate.digest, evidence.rescored.digest, table.digest)
    try:
        return _mcnemar(table) if spec.test == "mcnemar" else _bootstrap(spec, table, seed)
    except ConfigError as error:
        return str(error)


def _mcnemar(table: Examples) -> Tested | str:
    candidate, champion = table.right("candidate"), table.right("champion")
    if isinstance(candidate, str):
        return candidate
    return champion if isinstance(champion, str) else paired.mcnemar(candidate, champion)


def _bootstrap(spec: Spec, table: Examples, seed: int) -> Tested | str:
    candidate, champion = table.losses("candidate"), table.losses("champion")
    if isinstance(candidate, str):
        return candidate
    if isinstance(champion, str):
        return champion
    gains = [other - mine for mine, other in zip(candidate, champion, strict=True)]
    return paired.bootstrap(gains, float(spec.least), spec.sure, seed)
