"""What somebody may do to a promotion, and why not: for a page that shows a form only to those it is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from deploy.approvals import why_not
from deploy.authors import authors
from deploy.environments import Approvals
from deploy.spec import PromotionDocument
from deploy.states import may
from retrain.identity import Principal
from retrain.store import promotions
from retrain.store.promotions import PromotionRow

Json = dict[str, Any]
GONE = "its document is in no manifest any more"


def standing(connection: Connection, documents: Mapping[str, PromotionDocument], name: str, by: Principal) -> Json:
    """For each verb why it is not for them, or not now; None: it is. And the terms of its approvals, if it has any.

    Whoever decides in the end is the desk; this asks what it asks.
    """
    row = promotions.get(connection, name)
    if row is None or row.name not in documents or row.environment not in documents[row.name].environments:
        return {"approve": GONE, "reject": GONE, "retry": GONE, "rollback": GONE, "terms": None}
    document = documents[row.name].at(row.environment)
    terms = document.spec.approvals
    operates = None if by.may("operator") else "this needs the role operator"
    return {
        "approve": _approve(terms, by, authors(connection, document, row), row),
        "reject": _reject(terms, by, row),
        "retry": operates or _retry(row),
        "rollback": operates or _rollback(connection, row),
        "terms": terms.model_dump(mode="json") if terms else None,
    }


def _approve(terms: Approvals | None, by: Principal, who: frozenset[str], row: PromotionRow) -> str | None:
    if terms is None:
        return f"{row.environment} asks for no approvals"
    if row.state != "awaiting" or row.subject is None:
        return f"it is {row.state}: only what is awaiting can be approved"
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
