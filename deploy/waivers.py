"""Waivers: a person lets one promotion go on although a gate said no. With a reason, for a while, on every record.

A waiver is for one gate of one promotion, and for what that gate said no to: the same two models, figures and data, by
the same gate in the same place. Where any of it is another, or the time is over, the gate's no counts again. What could
not be judged is nobody's to waive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import Connection

from deploy.canonical import digest_of
from deploy.gates import Verdict
from deploy.gates.evidence import plain
from deploy.names import one_line
from deploy.spec import PromotionDocument
from retrain.events import JsonValue
from retrain.store import checkpoints

OWNER = "gate waivers"
"""Whose they are among the checkpoints, by the promotion's id."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """One gate waived. `subject`: the digest of what it is for; see `subject_of`."""

    gate: str
    subject: str
    actor: str
    verified: bool
    roles: tuple[str, ...]
    reason: str
    at: datetime
    until: datetime


_MANY = TypeAdapter(tuple[Waiver, ...])


def subject_of(target: PromotionDocument, gate: str, evidence: str | None) -> str | None:
    """What a waiver of that gate is for; None where the environment has no such gate, or nothing was judged."""
    found = next((one for one in target.spec.gates if one.name == gate), None)
    if found is None or evidence is None:
        return None
    repo = target.spec.repo
    place: list[JsonValue] = [repo.url, repo.branch, target.spec.environment, target.name]
    return digest_of({"target": place, "gate": plain(found.model_dump(mode="json")), "evidence": evidence})


def applied(target: PromotionDocument, verdicts: Iterable[Verdict], given: Sequence[Waiver]) -> list[Verdict]:
    """The verdicts, those that are waived with by whom. Pure; which waivers still hold is for the caller to say."""
    return [_applied(target, verdict, given) for verdict in verdicts]


def _applied(target: PromotionDocument, verdict: Verdict, given: Sequence[Waiver]) -> Verdict:
    if verdict.verdict != "fail" or verdict.advisory:
        return verdict
    subject = subject_of(target, verdict.name, verdict.evidence)
    one = next((one for one in given if one.gate == verdict.name and one.subject == subject), None)
    return verdict if one is None else replace(verdict, waived=shown(one))


def holding(given: Iterable[Waiver], now: datetime) -> tuple[Waiver, ...]:
    """Those whose time is not over."""
    return tuple(one for one in given if now < one.until)


def are_over(verdicts: Iterable[Verdict], now: datetime) -> bool:
    """Whether one of those that let these verdicts through is over."""
    said = [str(verdict.waived.get("until")) for verdict in verdicts if verdict.waived is not None]
    return any(datetime.fromisoformat(until) <= now for until in said)


def shown(one: Waiver) -> dict[str, JsonValue]:
    """As the gate's report has it."""
    return {
        "actor": one_line(one.actor, 200),
        "verified": one.verified,
        "roles": list(one.roles),
        "reason": one_line(one.reason),
        "at": one.at.isoformat(),
        "until": one.until.isoformat(),
        "subject": one.subject,
    }


def trailers(verdicts: Iterable[Verdict]) -> list[tuple[str, str]]:
    """The commit's lines that say which gates were waived, by whom and why."""
    return [("Gate-Waived", _line(verdict)) for verdict in verdicts if verdict.waived is not None]


def _line(verdict: Verdict) -> str:
    said = verdict.waived or {}
    doubt = "" if said.get("verified") else " (unverified)"
    who = one_line(str(said.get("actor")), 120)
    return f"{one_line(verdict.name, 63)}; by {who}{doubt} until {said.get('until')}: {said.get('reason')}"


def of(connection: Connection, promotion_id: str) -> tuple[Waiver, ...]:
    """Those of a promotion, oldest first; also those whose time is over."""
    kept = checkpoints.get_many(connection, OWNER, [promotion_id]).get(promotion_id)
    return () if kept is None else _MANY.validate_python(kept)


def add(connection: Connection, promotion_id: str, fresh: Iterable[Waiver]) -> None:
    """Keep more of them."""
    body = _MANY.dump_python((*of(connection, promotion_id), *fresh), mode="json")
    checkpoints.save(connection, OWNER, {promotion_id: body})
