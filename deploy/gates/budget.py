"""What serving may cost: latency, the model's bytes, memory. All given limits are held."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, cast

from pydantic import Field, model_validator

from deploy.gates.evidence import Evidence
from deploy.gates.verdict import GateSpec, Verdict, missing, number, say
from retrain.events import JsonValue

LATENCIES = ("p50", "p95", "p99")
SIZES = ("bytes", "memory")


class Spec(GateSpec):
    """`p50`, `p95`, `p99` in milliseconds, `bytes` of the model, `memory` in bytes: at most. At least one is there.

    The figures are the run's (`evaluation.latency`, `evaluation.size`), or those that the gate `of` measured (an infra
    gate, by its name).
    """

    kind: Literal["budget"]
    p50: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    p95: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    p99: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    bytes: int | None = Field(default=None, gt=0)
    memory: int | None = Field(default=None, gt=0)
    of: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _some(self) -> Spec:
        if not self.limits:
            raise ValueError(f"a budget needs one of {', '.join((*LATENCIES, *SIZES))}")
        return self

    @property
    def limits(self) -> dict[str, float]:
        """What is limited, in the order of the page."""
        given = {name: getattr(self, name) for name in (*LATENCIES, *SIZES)}
        return {name: limit for name, limit in given.items() if limit is not None}


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """Fail if a figure is over its limit, or is not there."""
    found = _figures(spec, evidence)
    if isinstance(found, Verdict):
        return found
    figures: dict[str, JsonValue] = {}
    wrong: list[str] = []
    for name, limit in spec.limits.items():
        value = number(found, name)
        figures |= {name: None if value is None else float(value), f"{name}Limit": limit}
        if value is None:
            wrong.append(missing(found, name).replace("metric", "figure"))
        elif value > Decimal(str(limit)) or value < 0:
            wrong.append(f"{name} is {_told(name, value)}, {_told(name, limit)} is the limit")
    if wrong:
        return say(spec, "fail", "; ".join(wrong), **figures)
    within = ", ".join(f"{name} {_told(name, limit)}" for name, limit in spec.limits.items())
    return say(spec, "pass", f"within {within}", **figures)


def _told(name: str, value: float | Decimal) -> str:
    """A figure as people read it: bytes in full, with their thousands set apart."""
    return f"{value:,}" if name in SIZES else f"{value:g}"


def _figures(spec: Spec, evidence: Evidence) -> Mapping[str, JsonValue] | Verdict:
    if spec.of is None:
        return {**_percentiles(evidence.facts.latency), **evidence.facts.size}
    answer = cast("Mapping[str, JsonValue] | None", evidence.given.gathered.get(spec.of))
    if answer is None or answer.get("status") == "pending":
        return say(spec, "pending", f"the gate {spec.of!r} has not measured yet")
    if answer.get("status") != "done":
        return say(spec, "error", f"the gate {spec.of!r} could not measure: {answer.get('reason')}")
    return {
        **_percentiles(cast("Mapping[str, JsonValue]", answer.get("latency") or {})),
        **cast("Mapping[str, JsonValue]", answer.get("size") or {}),
    }


def _percentiles(latency: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The latency's percentiles: as given, else of its `samples` (milliseconds), by nearest rank."""
    given = {name: latency[name] for name in LATENCIES if name in latency}
    samples = latency.get("samples")
    numbers = [number({"x": one}, "x") for one in samples] if isinstance(samples, list) else []
    if not numbers or None in numbers:
        return given
    ordered = sorted(cast("list[Decimal]", numbers))
    ranks = {name: max(0, -(-int(name[1:]) * len(ordered) // 100) - 1) for name in LATENCIES}
    return {name: float(ordered[rank]) for name, rank in ranks.items()} | given
