"""A promotion's pull request as the store keeps it.

`{number, url, branch, head, base, state, by, takenOver, memory}`
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from deploy.forges.port import PullRequest, State
from retrain.events import JsonValue


@dataclass(frozen=True, slots=True)
class Memory:
    """What spares work, and may be lost. Digests of what was seen at the last whole look, and told to the forge.

    `at`: when that look was; `until`: when time alone changes what it came to. `said`: the reason it gave. `missed`:
    since when forge and git say different things of a merge.
    """

    seen: str = ""
    at: str = ""
    until: str = ""
    text: str = ""
    told: str = ""
    said: str = ""
    missed: str = ""

    def holds(self, seen: str, now: datetime, longest_s: float) -> bool:
        """Whether another look would come to the same."""
        if (
            self.missed
            or not self.at
            or seen != self.seen
            or (now - datetime.fromisoformat(self.at)).total_seconds() > longest_s
        ):
            return False
        return not self.until or now < datetime.fromisoformat(self.until)


@dataclass(frozen=True, slots=True)
class Kept:
    """`head` is the commit that we pushed last, `base` what it is on. `by`: who merged or closed it."""

    number: int
    url: str
    branch: str
    head: str
    base: str
    state: State = "open"
    by: str | None = None
    taken_over: bool = False
    memory: Memory = field(default_factory=Memory)

    @classmethod
    def read(cls, value: JsonValue) -> Kept | None:
        """From the column `pull`; None where there is none."""
        if not isinstance(value, dict) or not isinstance(value.get("number"), int):
            return None
        known: dict[str, Any] = dict(value)
        memory = known.get("memory")
        names = set(Memory.__dataclass_fields__)
        remembered = {k: str(v) for k, v in memory.items() if k in names} if isinstance(memory, dict) else {}
        return cls(
            number=known["number"],
            url=str(known.get("url") or ""),
            branch=str(known.get("branch") or ""),
            head=str(known.get("head") or ""),
            base=str(known.get("base") or ""),
            state=known["state"] if known.get("state") in ("merged", "closed") else "open",
            by=str(known["by"]) if known.get("by") else None,
            taken_over=known.get("takenOver") is True,
            memory=Memory(**remembered),
        )

    def to_json(self) -> dict[str, JsonValue]:
        """As the column has it."""
        body = asdict(self)
        return {**{("takenOver" if name == "taken_over" else name): value for name, value in body.items()}}

    def shown(self, pull: PullRequest) -> Kept:
        """With what the forge says now."""
        by = pull.merged_by if pull.state == "merged" else pull.closed_by
        return replace(self, number=pull.number, url=pull.url, state=pull.state, by=by)
