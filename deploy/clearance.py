"""Whether a promotion that its gates let through may be committed now, and if not, what it waits for. Pure.

The last word is asked for right before each push, in the transaction that writes the push down.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from deploy import freeze
from deploy.approvals import Tally, tally
from deploy.environments import Terms
from retrain.manifests.duration import spell
from retrain.store.approvals import Approval
from retrain.store.promotions import Hold

Awaited = Literal["approval", "freeze", "limit", "soak", "hold", "verification"]


@dataclass(frozen=True, slots=True)
class Behind:
    """An environment that comes before. `live`: what Git says is live there; `here`: the promoted model is or was.

    `soaked`: when the model has been there for long enough; None: nothing on record says since when it is there.
    `verifying`: the promotion that brought it, where nobody knows yet whether it is well; `unwell`: where it is not.
    """

    name: str
    live: str | None
    here: bool
    soaked: datetime | None = None
    hold: Hold | None = None
    verifying: str | None = None
    unwell: str | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """All that decides. `ended`: when others were committed to this target. `newer`: a younger promotion that has come
    as far as this one; `waited`: it waits already. `rejected`: what somebody said of this model here before.
    `verifying`: the promotion in this target's branch that nobody knows the end of yet."""

    terms: Terms
    digest: str
    subject: str
    now: datetime
    approvals: Sequence[Approval] = ()
    authors: Collection[str] = ()
    hold: Hold | None = None
    ended: Sequence[datetime] = ()
    behind: Sequence[Behind] = ()
    newer: str | None = None
    rejected: str | None = None
    waited: bool = False
    verifying: str | None = None


@dataclass(frozen=True, slots=True)
class Clearance:
    """`go`, `wait` (for what, why, and until when as far as that is known), or an end with its reason."""

    verdict: Literal["go", "wait", "refused", "rejected", "superseded"]
    now: datetime
    reason: str = ""
    awaited: tuple[Awaited, ...] = ()
    due: datetime | None = None
    tally: Tally = field(default_factory=lambda: Tally(0))


def clear(s: Situation) -> Clearance:
    """Decide. An end comes before any wait; of several waits each is named, and the longest counts."""
    counted = tally(s.terms.approvals, s.approvals, s.subject, s.authors, s.now)
    if ending := _ending(s, counted):
        return ending
    found = (_approval(s, counted), _freeze(s), _limit(s), *_looks(s), *_soaks(s), *_holds(s))
    waits = [wait for wait in found if wait]
    if not waits:
        return Clearance("go", s.now, tally=counted)
    if s.newer is not None:
        return Clearance("superseded", s.now, f"{s.newer} is newer and has come as far", tally=counted)
    dues = [due for _, _, due in waits if due is not None]
    return Clearance(
        "wait",
        s.now,
        "; ".join(reason for _, reason, _ in waits),
        tuple(dict.fromkeys(awaited for awaited, _, _ in waits)),
        # What has no time of its own (an approval, a release) is looked at when it is given.
        max(dues) if len(dues) == len(waits) else None,
        counted,
    )


Wait = tuple[Awaited, str, datetime | None]


def _ending(s: Situation, counted: Tally) -> Clearance | None:
    if (no := counted.rejection) is not None:
        return Clearance("rejected", s.now, said_no(no), tally=counted)
    if s.rejected is not None:
        return Clearance("refused", s.now, s.rejected, tally=counted)
    if s.hold is not None and not s.waited:
        return Clearance("refused", s.now, held(s.hold), tally=counted)
    for one in s.behind:
        if not one.here:
            live = f"{one.live} is live" if one.live else "nothing is on record as live"
            reason = f"{one.name} comes first: {live} there, not {s.digest}"
            return Clearance("refused", s.now, reason, tally=counted)
        if one.unwell is not None:
            reason = f"{one.name} comes first: {one.unwell} brought {s.digest} there, and was not found healthy"
            return Clearance("refused", s.now, reason, tally=counted)
    return None


def _approval(s: Situation, counted: Tally) -> Wait | None:
    if s.terms.approvals is None or counted.enough:
        return None
    words = f"approval: {counted.have} of {counted.need}, by {' or '.join(s.terms.approvals.roles)}"
    if counted.lapsed:
        words += f"; lapsed because what they approved has changed: {_who(counted.lapsed)}"
    if counted.expired:
        words += f"; expired: {_who(counted.expired)}"
    return "approval", words, None


def _freeze(s: Situation) -> Wait | None:
    found = freeze.frozen_until(s.terms.freeze, s.now)
    if found is None:
        return None
    until, why = found
    return "freeze", f"frozen until {_time(until)}{f' ({why})' if why else ''}", until


def _limit(s: Situation) -> Wait | None:
    limit = s.terms.limit
    if limit is None or (due := freeze.spent_until(s.ended, limit.promotions, limit.per, s.now)) is None:
        return None
    return "limit", f"at most {limit.promotions} in {spell(limit.per)}: the next may go at {_time(due)}", due


def _looks(s: Situation) -> list[Wait]:
    """What nobody knows the end of yet: here, and in the environments before."""
    here: list[Wait] = [_look(s.verifying, "here")] if s.verifying is not None else []
    return here + [_look(one.verifying, f"in {one.name}") for one in s.behind if one.verifying is not None]


def _look(promotion: str, where: str) -> Wait:
    return "verification", f"verification of {promotion} {where} is under way", None


def _soaks(s: Situation) -> list[Wait]:
    return [
        ("soak", f"soaks in {one.name} until {_time(one.soaked)}", one.soaked)
        for one in s.behind
        if one.soaked is not None and one.soaked > s.now
    ]


def _holds(s: Situation) -> list[Wait]:
    here: list[Wait] = [("hold", held(s.hold), None)] if s.hold is not None else []
    return here + [("hold", f"{one.name} is {held(one.hold)}", None) for one in s.behind if one.hold is not None]


def held(hold: Hold) -> str:
    """A hold in words."""
    why = f" ({hold.reason})" if hold.reason else ""
    return f"held by {hold.actor or 'somebody'} since {_time(hold.created)}{why}"


def said_no(one: Approval) -> str:
    """A rejection in words."""
    return f"rejected by {one.actor} at {_time(one.at)}: {one.reason or 'no reason given'}"


def _who(approvals: Sequence[Approval]) -> str:
    return ", ".join(one.actor for one in approvals)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
