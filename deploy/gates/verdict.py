"""What a gate says, and the parts that every kind of gate has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Protocol

from pydantic import BaseModel, Field

from deploy.shape import Shape
from retrain.events import JsonValue
from retrain.manifests.duration import Duration

Outcome = Literal["pass", "fail", "error", "pending", "skipped"]
"""`fail`: judged, and no. `error`: could not be judged, which never passes. `pending`: an answer is still to come."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate's report, as the command line shows it. `figures` are what it was judged by, as JSON.

    `advisory`: reported, decides nothing. `expires_at`: ISO time after which it must be judged again. `evidence`:
    digest of what it was judged by. `again`: it could not be judged now, and asking again may help. `waived`: who lets
    the promotion go on although it said no, and why (`deploy.waivers`).
    """

    name: str
    kind: str
    verdict: Outcome
    reason: str
    figures: Mapping[str, JsonValue] = field(default_factory=dict)
    advisory: bool = False
    expires_at: str | None = None
    evidence: str | None = None
    again: bool = False
    waived: Mapping[str, JsonValue] | None = None

    @property
    def ok(self) -> bool:
        """Whether the promotion may go on as far as this gate is asked."""
        waived = self.verdict == "fail" and self.waived is not None
        return self.advisory or waived or self.verdict in {"pass", "skipped"}

    def to_dict(self) -> dict[str, JsonValue]:
        """The report as JSON. What is not so is left out: `advisory`, `expires_at`, `evidence`, `waived`."""
        body: dict[str, JsonValue] = {
            "name": self.name,
            "kind": self.kind,
            "verdict": self.verdict,
            "reason": self.reason,
            "figures": dict(self.figures),
        }
        more: dict[str, JsonValue] = {
            "advisory": self.advisory,
            "expires_at": self.expires_at,
            "evidence": self.evidence,
            "waived": dict(self.waived) if self.waived else None,
        }
        return body | {name: value for name, value in more.items() if value}


def overall(verdicts: Sequence[Verdict]) -> Literal["pass", "fail", "error", "pending"]:
    """What all gates come to, in any order: one `fail` is no; then `error`; then `pending`; else they passed."""
    said = {verdict.verdict for verdict in verdicts if not verdict.ok}
    for outcome in ("fail", "error", "pending"):
        if outcome in said:
            return outcome
    return "pass"


class GateSpec(Shape):
    """What users write of every gate."""

    name: str = Field(min_length=1, max_length=63)
    kind: Any
    advisory: bool = False
    """Report only: whatever it says, it keeps nothing back."""
    validFor: Duration | None = None
    """How long the verdict holds; then the gate is asked again."""


def say(spec: GateSpec, verdict: Outcome, reason: str, **figures: JsonValue) -> Verdict:
    """A verdict of this gate."""
    return Verdict(spec.name, spec.kind, verdict, reason, figures)


class Kind(Protocol):
    """One kind of gate: the model of what users write, and the judgement.

    A kind that must ask somebody has `async gather(spec, evidence, tools) -> JsonValue`, too (see `gathering`).
    """

    @property
    def Spec(self) -> type[BaseModel]: ...

    @property
    def judge(self) -> Any:
        """`judge(spec, evidence) -> Verdict`. Pure; raises nothing."""
        ...


def exact(value: object) -> Decimal | None:
    """A value as an exact decimal; None if it is not a number, infinite or NaN.

    Text that spells a number counts: outputs of workflow steps are text.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number_ = Decimal(str(value).strip()) if len(str(value)) <= 400 else None
    except (InvalidOperation, ValueError):
        return None
    return number_ if number_ is not None and number_.is_finite() and abs(number_) < Decimal("1e300") else None


def number(metrics: Mapping[str, JsonValue], name: str) -> Decimal | None:
    """A metric as an exact decimal; None if it is missing, not a number, infinite or NaN."""
    return exact(metrics.get(name))


def missing(metrics: Mapping[str, JsonValue], name: str) -> str:
    """Why `number` found nothing, in words."""
    if name in metrics and metrics[name] is not None:
        return f"metric {name!r} is {str(metrics[name])[:40]!r}, no finite number"
    return f"there is no metric {name!r}; there are {', '.join(sorted(metrics)[:20]) or 'none'}"
