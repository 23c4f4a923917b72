"""The data that the model learned from is not older than allowed, at the time of the intent."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from deploy.gates.evidence import Evidence
from deploy.gates.verdict import GateSpec, Verdict, say
from retrain.manifests.duration import Duration, spell

AHEAD = timedelta(minutes=5)
"""Clocks differ by so much; data from further ahead is a mistake of somebody's."""


class Spec(GateSpec):
    """`maxAge` of `evaluation.dataTime`, such as `36h` or `7d`."""

    kind: Literal["freshness"]
    maxAge: Duration


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """Fail if the data is too old, or nobody says how old."""
    time = evidence.facts.data_time
    if time is None:
        return say(spec, "fail", "the run does not say from when the data is (evaluation.dataTime)")
    if evidence.now is None:
        return say(spec, "error", "the time of the intent is not known")
    age = evidence.now - time
    figures = {"dataTime": time.isoformat(), "age": age.total_seconds(), "maxAge": spec.maxAge.total_seconds()}
    if age < -AHEAD:
        return say(spec, "error", f"the data is from {time.isoformat()}, which is still to come", **figures)
    old = spell(max(timedelta(), timedelta(seconds=int(age.total_seconds()))))
    if age > spec.maxAge:
        return say(spec, "fail", f"the data is {old} old, {spell(spec.maxAge)} is allowed", **figures)
    return say(spec, "pass", f"the data is {old} old, {spell(spec.maxAge)} is allowed", **figures)
