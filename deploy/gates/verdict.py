"""What a gate says, and what it gets to judge by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from retrain.events import JsonValue

Outcome = Literal["pass", "fail", "error", "pending", "skipped"]
"""`fail`: judged, and no. `error`: could not be judged, which never passes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate's report, as the command line shows it. `figures` are what it was judged by, as JSON."""

    name: str
    kind: str
    verdict: Outcome
    reason: str
    figures: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the promotion may go on as far as this gate is asked."""
        return self.verdict in {"pass", "skipped"}

    def to_dict(self) -> dict[str, JsonValue]:
        """The report as JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "verdict": self.verdict,
            "reason": self.reason,
            "figures": dict(self.figures),
        }


@dataclass(frozen=True, slots=True)
class Measured:
    """A model and its metrics on one data set (by digest; None where nobody said which)."""

    digest: str
    metrics: Mapping[str, JsonValue]
    dataset: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What gates judge by.

    `champion`: what Git says is live at the commit that the promotion would follow; None if nothing is on record.
    `champion_unknown`: why it cannot be told (then `champion` is None). `rescored`: the champion's metrics as the
    candidate's run measured them on the candidate's own data.
    """

    candidate: Measured
    champion: Measured | None = None
    champion_unknown: str = ""
    rescored: Measured | None = None


class Kind(Protocol):
    """One kind of gate: the model of what users write, and the judgement."""

    @property
    def Spec(self) -> type[BaseModel]: ...

    @property
    def judge(self) -> Any:
        """`judge(spec, evidence) -> Verdict`. Pure; raises nothing."""
        ...


def number(metrics: Mapping[str, JsonValue], name: str) -> Decimal | None:
    """A metric as an exact decimal; None if it is missing, not a number, infinite or NaN.

    Text that spells a number counts: outputs of workflow steps are text.
    """
    value = metrics.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        exact = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return exact if exact.is_finite() else None


def missing(metrics: Mapping[str, JsonValue], name: str) -> str:
    """Why `number` found nothing, in words."""
    if name in metrics and metrics[name] is not None:
        return f"metric {name!r} is {str(metrics[name])[:40]!r}, no finite number"
    return f"there is no metric {name!r}; there are {', '.join(sorted(metrics)[:20]) or 'none'}"
