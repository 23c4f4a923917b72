"""From what was found so far, and the time, to a verdict; and whom to ask next. Pure.

What is kept in between is the promotion's `verification`: `{since, until, looked, outcome, reason, checks, memory}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from deploy.names import one_line
from deploy.rollout.check import Finding, Memory, moment, objects, part, text
from deploy.rollout.spec import WITHIN, Built
from deploy.rollout.verdict import CheckResult, Said, Verified
from retrain.events import JsonValue
from retrain.manifests.duration import spell

LONGEST = timedelta(minutes=1)
"""The longest pause after trouble."""
IDLE = timedelta(seconds=30)
"""A look that comes so much later than it should means that nobody was there: that time does not count."""


class Target(Protocol):
    """A Promotion to one environment, as far as it matters here."""

    @property
    def spec(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of one check. `asked`: when last; `troubles`: errors in a row; `over`: it is not asked again."""

    result: CheckResult
    memory: Memory = field(default_factory=dict)
    asked: datetime | None = None
    troubles: int = 0
    over: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """How far a verification is. `followed`: since when the cluster has followed; None: it has not yet."""

    since: datetime
    until: datetime
    looked: datetime
    notes: Mapping[str, Note] = field(default_factory=dict)
    followed: datetime | None = None


def begin(target: Target, now: datetime) -> JsonValue | None:
    """The verification of a commit that has just come into the branch; None where nothing is verified."""
    if not target.spec.verify:
        return None
    until = now + (target.spec.verifyWithin or WITHIN)
    return write(Looked(now, until, now), Verified("pending", "nobody has looked yet"), now)


def read(verification: JsonValue, now: datetime) -> Looked:
    """How far it is. What nobody could look at because nobody was there is added to its time."""
    body = part(verification)
    since = moment(body.get("since")) or now
    until, looked = moment(body.get("until")) or now + WITHIN, moment(body.get("looked")) or since
    late = now - max(looked, moment(body.get("next")) or looked)
    memory = part(body, "memory")
    notes = {
        name: _note(one, kept) for one in _results(body) if (kept := part(memory, "checks", name := text(one, "name")))
    }
    followed = moment(memory.get("followed"))
    return Looked(since, until + late if late > IDLE else until, looked, notes, followed)


def _results(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return objects(body.get("checks"))


def _note(one: Mapping[str, Any], kept: Mapping[str, Any]) -> Note:
    said: Said = one.get("verdict") or "pending"
    result = CheckResult(str(one["name"]), str(one["kind"]), said, str(one.get("reason") or ""), part(one, "figures"))
    return Note(
        result, part(kept, "own"), moment(kept.get("asked")), int(kept.get("troubles") or 0), bool(kept.get("over"))
    )


def write(looked: Looked, verified: Verified, upcoming: datetime) -> JsonValue:
    """The same as it is stored. `upcoming`: the next look."""
    memory: dict[str, JsonValue] = {
        "followed": looked.followed.isoformat() if looked.followed else None,
        "checks": {name: _kept(note) for name, note in looked.notes.items()},
    }
    return {
        "since": looked.since.isoformat(),
        "until": looked.until.isoformat(),
        "looked": looked.looked.isoformat(),
        "next": upcoming.isoformat(),
        "outcome": verified.outcome,
        "reason": verified.reason,
        "checks": [one.to_dict() for one in verified.checks],
        "memory": memory if verified.outcome == "pending" else {},
    }


def _kept(note: Note) -> dict[str, JsonValue]:
    asked = note.asked.isoformat() if note.asked else None
    return {"own": dict(note.memory), "asked": asked, "troubles": note.troubles, "over": note.over}


def due(checks: Sequence[Built], looked: Looked, now: datetime) -> list[Built]:
    """The checks to ask now. In the end all that are not over are asked once more."""
    return [
        one for one in checks if (at := _when(checks, one, looked)) is not None and (at <= now or _last(looked, now))
    ]


def _last(looked: Looked, now: datetime) -> bool:
    return now >= looked.until


def _when(checks: Sequence[Built], one: Built, looked: Looked) -> datetime | None:
    """When to ask a check; None: not at all, or not yet known."""
    note = looked.notes.get(one.name)
    if note is not None and note.over:
        return None
    if not one.follows and any(each.follows for each in checks) and looked.followed is None:
        return None
    if note is None or note.asked is None:
        return (looked.followed or looked.since) + one.delay if not one.follows else looked.since
    return note.asked + _pause(one, note)


def _pause(one: Built, note: Note) -> timedelta:
    """`every`; after trouble longer and longer, up to a minute."""
    if not note.troubles:
        return one.every
    return max(one.every, min(LONGEST, one.every * 2 ** min(note.troubles, 10)))


def upcoming(checks: Sequence[Built], looked: Looked, now: datetime) -> datetime:
    """When to look again."""
    times = [at for one in checks if (at := _when(checks, one, looked)) is not None]
    return max(min([*times, looked.until]), now)


def learn(checks: Sequence[Built], looked: Looked, found: Mapping[str, Finding], now: datetime) -> Looked:
    """What is known with these findings. Checks that are no longer in the manifest are forgotten."""
    notes: dict[str, Note] = {}
    for one in checks:
        before, finding = looked.notes.get(one.name), found.get(one.name)
        if finding is not None:
            notes[one.name] = _learned(one, before, finding, now)
        elif before is not None and before.result.kind == one.kind_name:
            notes[one.name] = before
    followed = looked.followed or (now if _all_follow(checks, notes) else None)
    return replace(looked, notes=notes, looked=now, followed=followed)


def _learned(one: Built, before: Note | None, finding: Finding, now: datetime) -> Note:
    reason = one_line(finding.reason, 1000)
    result = CheckResult(one.name, one.kind_name, finding.verdict, reason, finding.figures)
    troubles = (before.troubles if before else 0) + 1 if finding.verdict == "error" else 0
    return Note(result, finding.memory, now, troubles, finding.over)


def _all_follow(checks: Sequence[Built], notes: Mapping[str, Note]) -> bool:
    following = [one for one in checks if one.follows]
    return all(one.name in notes and notes[one.name].result.verdict == "pass" for one in following)


def conclude(checks: Sequence[Built], looked: Looked, now: datetime) -> Verified:
    """The verdict: failed if one check failed, passed if all pass at the same time; at the end what was missing."""
    results = tuple(_result(one, looked) for one in checks)
    notes = looked.notes
    if failed := [one for one in results if one.verdict == "fail"]:
        return Verified("failed", _reasons(failed), results)
    if hopeless := [one for one in results if one.verdict == "error" and notes[one.name].over]:
        return Verified("error", _reasons(hopeless), results)
    if results and all(one.verdict == "pass" for one in results):
        return Verified("passed", "; ".join(f"{one.name}: {one.reason}" for one in results), results)
    missing = [one for one in results if one.verdict != "pass"]
    if now < looked.until:
        return Verified("pending", _reasons(missing), results)
    span = spell(timedelta(seconds=round((looked.until - looked.since).total_seconds())))
    outcome = "error" if all(one.verdict == "error" for one in missing) else "timeout"
    return Verified(outcome, f"not verified within {span}: {_reasons(missing)}", results)


def _result(one: Built, looked: Looked) -> CheckResult:
    note = looked.notes.get(one.name)
    if note is not None:
        return note.result
    waits = "waits until the cluster follows the commit" if not one.follows else "not asked yet"
    return CheckResult(one.name, one.kind_name, "pending", waits)


def _reasons(results: Sequence[CheckResult]) -> str:
    return "; ".join(f"{one.name}: {one.reason}" for one in results)
