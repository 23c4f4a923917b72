"""A person waives gates that refused a promotion: it is proposed once more, and goes on with their name on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from deploy import barrier, outcomes, proposals, waivers
from deploy.approvals import person, why_not
from deploy.authors import authors
from deploy.environments import Approvals, Waivers
from deploy.names import one_line
from deploy.spec import PromotionDocument
from deploy.waivers import Waiver
from retrain.errors import ConfigError, Forbidden, Refused
from retrain.events import JsonValue
from retrain.identity import Principal
from retrain.store import promotions
from retrain.store.promotions import PromotionRow


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for. `lasting`: None is as long as the environment allows."""

    gates: tuple[str, ...]
    by: Principal
    reason: str
    lasting: timedelta | None = None


def waive(connection: Connection, target: PromotionDocument, row: PromotionRow, wish: Wish, now: datetime) -> str:
    """Propose the promotion again with these gates waived; the new one's id.

    Raises:
        Forbidden: this person may not: no eligible role, no name, or their own work.
        Refused: the environment lets nobody waive, or no such gate has refused the promotion.
        ConfigError: there is no reason, or no gate.
    """
    terms = target.spec.waivers
    if terms is None:
        raise Refused(f"{row.id}: {row.environment} lets nobody waive a gate; its `waivers` would say who may")
    _check_person(connection, target, row, terms, wish)
    if row.action != "promote" or row.state != "refused":
        raise Refused(f"{row.id} is {row.state}: only a promotion that a gate has refused is waived")
    if (no := barrier.rejected(connection, row)) is not None:
        raise Refused(f"{row.id}: {no}")
    made = [_waiver(target, row, gate, terms, wish, now) for gate in dict.fromkeys(wish.gates)]
    after = proposals.again(connection, row, one_line(wish.by.name, 200), now)
    waivers.add(connection, after, made)
    fresh = promotions.get(connection, after)
    assert fresh is not None
    told: list[JsonValue] = [{"gate": one.gate, **waivers.shown(one)} for one in made]
    outcomes.tell(connection, fresh, "waived", "waived", now, waivers=told)
    return after


def _check_person(
    connection: Connection, target: PromotionDocument, row: PromotionRow, terms: Waivers, wish: Wish
) -> None:
    if not one_line(wish.by.name):
        raise Forbidden("nobody has said who it is: send a token of your own, or say --actor")
    if not one_line(wish.reason):
        raise ConfigError("a waiver needs a reason; it goes into the commit")
    if not wish.gates:
        raise ConfigError("name the gates that are waived")
    if why := why_not(Approvals(roles=terms.roles, notBy="nobody"), wish.by.name, wish.by.roles, ()):
        raise Forbidden(f"{row.id}: {why}")
    if person(wish.by.name) in {person(author) for author in authors(connection, target, row)}:
        why = f"{wish.by.name} has proposed or started it, or written what it was trained by"
        raise Forbidden(f"{row.id}: {why}; somebody else must waive its gates")


def _waiver(
    target: PromotionDocument, row: PromotionRow, gate: str, terms: Waivers, wish: Wish, now: datetime
) -> Waiver:
    """One of them.

    Raises:
        Refused: that gate cannot be waived.
    """
    report = _report(row, gate)
    if report.get("verdict") != "fail":
        said = report.get("verdict")
        why = "what could not be judged is not waived" if said == "error" else "only a gate that said no is waived"
        raise Refused(f"{row.id}: gate {gate[:80]!r} is {said}: {why}")
    if report.get("advisory"):
        raise Refused(f"{row.id}: gate {gate[:80]!r} is advisory: it keeps nothing back")
    if terms.gates is not None and gate not in terms.gates:
        raise Refused(f"{row.id}: {row.environment} lets nobody waive {gate[:80]!r}; only {', '.join(terms.gates)}")
    subject = waivers.subject_of(target, gate, _text(report.get("evidence")))
    if subject is None:
        raise Refused(f"{row.id}: {row.environment} has no gate {gate[:80]!r} any more")
    lasting = min(wish.lasting or terms.expires, terms.expires)
    roles = tuple(sorted(wish.by.roles & set(terms.roles)))
    actor, reason = one_line(wish.by.name, 200), one_line(wish.reason)
    return Waiver(gate, subject, actor, wish.by.verified, roles, reason, now, now + lasting)


def _report(row: PromotionRow, gate: str) -> dict[str, JsonValue]:
    given: Sequence[JsonValue] = row.gates if isinstance(row.gates, list) else []
    found = [one for one in given if isinstance(one, dict)]
    for one in found:
        if one.get("name") == gate:
            return one
    there = ", ".join(str(one.get("name")) for one in found) or "none"
    raise Refused(f"{row.id}: no gate {gate[:80]!r} was asked; there are {there}")


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None
