"""What waits for approvals: how many there are of how many, who can still give one, and whether whoever asks can."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from deploy.approvals import Tally, person, tally, why_not
from deploy.authors import authors
from deploy.environments import Approvals
from deploy.spec import PromotionDocument
from retrain.app.looking.queries import stamp
from retrain.app.promotions.history import version_of
from retrain.app.promotions.standing import MANY, People, can
from retrain.identity import Principal
from retrain.store import approvals, promotions
from retrain.store.promotions import PromotionFilter, PromotionRow
from retrain.store.tables import people as logged_in

Json = dict[str, Any]
Documents = Mapping[str, PromotionDocument]

MOST = 100
"""Promotions that are listed, the oldest wait the longest and come first."""
_PEOPLE = select(logged_in.c.name, logged_in.c.roles).limit(1000)


def inbox(connection: Connection, documents: Documents, known: People, by: Principal, now: datetime) -> Json:
    """The promotions that wait for approvals, those first that `by` can approve.

    `known`: people of the settings with their roles. Of each promotion: `name`, `environment`, `version`, `id`,
    `subject`, `since`, `have`, `need`, `until` (when the first approval lapses), `expires` (how long one holds, in
    seconds), `said` (who did), `can` (who still can, as far as they are known), `roles`, and `why` (why `by` cannot;
    None: they can).
    """
    everybody = {**known, **{row.name: tuple(row.roles) for row in connection.execute(_PEOPLE)}}
    rows = promotions.listing(connection, PromotionFilter(state="awaiting"), limit=MOST).items
    found = [_one(connection, documents, everybody, by, row, now) for row in rows]
    items = sorted((one for one in found if one), key=lambda one: (one["why"] is not None, one["since"]))
    return {"items": items, "next": None}


def _one(
    connection: Connection, documents: Documents, known: People, by: Principal, row: PromotionRow, now: datetime
) -> Json | None:
    """None: it waits for something else than people."""
    document = documents.get(row.name)
    if document is None or row.environment not in document.environments or row.subject is None:
        return None
    target = document.at(row.environment)
    terms = target.spec.approvals
    if terms is None:
        return None
    who = authors(connection, target, row)
    counted = tally(terms, approvals.of(connection, row.id), row.subject, who, now)
    if counted.enough:
        return None
    said = [one.actor for one in counted.counted]
    here = by.at(document.metadata.namespace)
    roles = {name: _at(given, document.metadata.namespace) for name, given in known.items()}
    return {**_shown(row, counted, terms), "can": can(terms, roles, who, said), "why": why(terms, here, who, said)}


def _shown(row: PromotionRow, counted: Tally, terms: Approvals) -> Json:
    return {
        "id": row.id,
        "name": row.name,
        "environment": row.environment,
        "version": version_of(row.candidate),
        "subject": row.subject,
        "reason": row.reason,
        "since": stamp(row.updated),
        "have": counted.have,
        "need": counted.need,
        "until": stamp(counted.until),
        "expires": terms.expires.total_seconds(),
        "roles": list(terms.roles),
        "said": [{"actor": one.actor, "at": stamp(one.at), "until": stamp(one.expires_at)} for one in counted.counted],
    }


def why(terms: Approvals, by: Principal, who: Collection[str], said: Iterable[str]) -> str | None:
    """Why they cannot approve it now; None: they can. Pure."""
    if not by.decides:
        return MANY
    if by.verified and person(by.name) in {person(name) for name in said}:
        return "you have approved it"
    return why_not(terms, by.name if by.verified else "whoever says so", by.roles, who)


def _at(roles: Collection[str], namespace: str | None) -> frozenset[str]:
    return Principal("", frozenset(roles)).at(namespace).roles
