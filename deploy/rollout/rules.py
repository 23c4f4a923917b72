"""What is done about a verification that did not pass. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from deploy.rollout.verdict import Outcome

OnFailure = Literal["rollback", "hold", "nothing"]

SETTLED = timedelta(minutes=20)
"""A failure that is seen this much later than the verification was to be over is old: nobody knows what came since."""


@dataclass(frozen=True, slots=True)
class Failure:
    """All that decides. `newer`: what came into the branch since. `unwell`: what would be live again, where that was
    unhealthy itself. `until`: when the verification was to be over."""

    outcome: Outcome
    action: str
    on_failure: OnFailure
    now: datetime
    until: datetime | None = None
    newer: str | None = None
    unwell: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What to do, and what to say of it."""

    rolls_back: bool
    holds: bool
    why: str


def decide(f: Failure) -> Answer:
    """Go back only from what is known to be bad, to what is not, and only once."""
    if f.newer is not None:
        return Answer(rolls_back=False, holds=False, why=f"nothing was rolled back: {f.newer} came after it")
    if (why := _against(f)) is None:
        return Answer(rolls_back=True, holds=True, why="it is rolled back")
    return Answer(rolls_back=False, holds=f.on_failure != "nothing", why=f"nothing was rolled back: {why}")


def _against(f: Failure) -> str | None:
    """The first reason against a rollback."""
    if f.action != "promote":
        return "it is a rollback itself"
    if f.outcome != "failed":
        return "nobody knows that it is bad"
    if f.on_failure != "rollback":
        return f"onFailure is {f.on_failure}"
    if f.unwell is not None:
        return f"{f.unwell}, which was live before, was unhealthy too"
    if f.until is not None and f.now > f.until + SETTLED:
        return f"it was seen more than {SETTLED.seconds // 60} min after the verification was to be over"
    return None
