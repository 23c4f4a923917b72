"""What somebody may do to a promotion, and why not: for a page that shows a form only to those it is for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from deploy.approvals import person, why_not
from deploy.authors import authors
from deploy.environments import Approvals, Waivers
from deploy.rollout.steps import Step
from deploy.spec import PromotionDocument
from deploy.states import may
from retrain.identity import Principal
from retrain.store import approvals, promotions
from retrain.store.promotions import PromotionRow

Json = dict[str, Any]
GONE = "its document is in no manifest any more"
MANY = "only a person can, by a token or a login of their own"
NAMED = 20
"""People that are named for one promotion."""
People = Mapping[str, Collection[str]]
VERBS = ("approve", "reject", "retry", "rollback", "hold", "release", "waive")


def standing(
    connection: Connection, documents: Mapping[str, PromotionDocument], known: People, name: str, by: Principal
) -> Json:
    """For each verb why it is not for them, or not now; None: it is. And the terms of its approvals, if it has any.

    Whoever decides in the end is the desk; this asks what it asks. `known`: people with their roles; `can`: those of
    them who can still approve. `again`: the promotion that tries it again.
    """
    row = promotions.get(connection, name)
    if row is None or row.name not in documents or row.environment not in documents[row.name].environments:
        return {
            **dict.fromkeys(VERBS, GONE),
            "terms": None,
            "waivers": None,
            "waivable": [],
            "canary": [],
            "can": [],
            "again": None,
        }
    document = documents[row.name].at(row.environment)
    terms, waivers = document.spec.approvals, document.spec.waivers
    who = authors(connection, document, row)
    held = promotions.holding(connection, row.name, row.environment) is not None
    operates = None if by.may("operator") else "this needs the role operator"
    return {
        "approve": _approve(terms, by, who, row),
        "reject": _reject(terms, by, row),
        "retry": operates or _retry(row),
        "rollback": operates or _rollback(connection, row),
        "hold": operates or ("it is held already" if held else None),
        "release": operates or (None if held else "nothing holds it"),
        "waive": _waive(waivers, by, who, row),
        "terms": _terms(terms),
        "waivers": _terms(waivers),
        "waivable": waivable(waivers, row.gates),
        "canary": canary(document.spec.canary, row),
        "can": _can(connection, terms, known, who, row),
        "again": _again(connection, row),
    }


def _terms(terms: Approvals | Waivers | None) -> Json | None:
    """As JSON; `expires` in seconds."""
    if terms is None:
        return None
    return {**terms.model_dump(mode="json"), "expires": terms.expires.total_seconds()}


def _can(
    connection: Connection, terms: Approvals | None, known: People, who: frozenset[str], row: PromotionRow
) -> list[str]:
    """Who can still approve it, as far as people are known."""
    if terms is None or row.state != "awaiting":
        return []
    said = [one.actor for one in approvals.of(connection, row.id) if one.subject == row.subject]
    return can(terms, known, who, said)


def can(terms: Approvals, known: People, who: Collection[str], said: Iterable[str]) -> list[str]:
    """Who has a role that counts, is no author, and has not said yes. Pure."""
    done = {person(name) for name in said}
    open_ = (name for name in known if person(name) not in done)
    return sorted(name for name in open_ if why_not(terms, name, known[name], who) is None)[:NAMED]


def _again(connection: Connection, row: PromotionRow) -> str | None:
    """The newest promotion that tries it again."""
    found = [one.id for one in promotions.of_intent(connection, row.intent_key) if one.retry_of == row.id]
    return found[-1] if found else None


def waivable(terms: Waivers | None, gates: Any) -> list[str]:
    """The gates that somebody may waive: those that said no, and that the terms name where they name some. Pure."""
    said: list[Any] = gates if terms is not None and isinstance(gates, list) else []
    names = (str(one["name"]) for one in said if one.get("verdict") == "fail" and not one.get("advisory"))
    return [name for name in names if terms is not None and (terms.gates is None or name in terms.gates)]


def canary(steps: Sequence[Step], row: PromotionRow) -> list[Json]:
    """The steps of a canary, and which of them are in the branch. Pure."""
    there = row.state in (*promotions.IN_BRANCH, "rolled-back")
    return [
        {
            "number": number + 1,
            "weight": step.weight,
            "seconds": step.for_.total_seconds(),
            "there": there and (number < row.step or (number == row.step and row.state != "stepping")),
            "now": number == row.step,
        }
        for number, step in enumerate(steps)
    ]


def _waive(terms: Waivers | None, by: Principal, who: frozenset[str], row: PromotionRow) -> str | None:
    if terms is None:
        return f"{row.environment} lets nobody waive a gate"
    if row.action != "promote" or row.state != "refused":
        return f"it is {row.state}: only what a gate has refused is waived"
    if not waivable(terms, row.gates):
        return "no gate that said no can be waived"
    if not by.decides:
        return MANY
    return why_not(Approvals(roles=terms.roles), *_said(by), who)


def _approve(terms: Approvals | None, by: Principal, who: frozenset[str], row: PromotionRow) -> str | None:
    if terms is None:
        return f"{row.environment} asks for no approvals"
    if row.state != "awaiting" or row.subject is None:
        return f"it is {row.state}: only what is awaiting can be approved"
    if not by.decides:
        return MANY
    return why_not(terms, *_said(by), who)


def _reject(terms: Approvals | None, by: Principal, row: PromotionRow) -> str | None:
    if row.action != "promote" or not may(row.state, "rejected"):
        return f"it is {row.state}: it is too late to reject it"
    return why_not(terms or Approvals(), *_said(by), ())


def _retry(row: PromotionRow) -> str | None:
    over = row.state not in {*promotions.OPEN, *promotions.IN_BRANCH}
    return None if row.action == "promote" and over else f"it is {row.state}: there is nothing to try again"


def _rollback(connection: Connection, row: PromotionRow) -> str | None:
    latest = promotions.latest(connection, row.name, row.environment)
    live = latest is not None and latest.id == row.id and row.action == "promote"
    return None if live else "it is not what is live"


def _said(by: Principal) -> tuple[str, frozenset[str]]:
    """Their name and roles. Who has no token of their own says their name when they decide, and not before."""
    return (by.name if by.verified else "whoever says so"), by.roles
