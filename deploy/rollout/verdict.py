"""What is said of a commit after it is in the branch: by each check, and all in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from retrain.events import JsonValue

Said = Literal["pass", "fail", "error", "pending"]
"""`fail`: it was seen, and it is bad. `error`: it could not be seen. `pending`: not there yet."""
Outcome = Literal["passed", "failed", "error", "timeout", "pending", "superseded"]
"""`error`: it can never be told (the check itself is wrong). `timeout`: the time is over and something was missing.
`superseded`: a newer commit of the same target took its place; nobody looks at this one any more."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check's word. `figures`: what it was said by, as JSON."""

    name: str
    kind: str
    verdict: Said
    reason: str
    figures: Mapping[str, JsonValue] = field(default_factory=dict)

    def to_dict(self) -> dict[str, JsonValue]:
        """As JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "verdict": self.verdict,
            "reason": self.reason,
            "figures": dict(self.figures),
        }


@dataclass(frozen=True, slots=True)
class Verified:
    """What all checks come to. `reason`: for people; of a failure it names the checks and why."""

    outcome: Outcome
    reason: str
    checks: tuple[CheckResult, ...] = ()
