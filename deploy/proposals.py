"""How a promotion gets into the store: its identity, and what counts as the same promotion again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection

from deploy import candidate as candidates
from deploy.derive import Intent
from deploy.spec import PromotionDocument
from deploy.states import IN_BRANCH, OPEN
from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.store import promotions
from retrain.store.approvals import Approval
from retrain.store.promotions import PromotionRow

_DONE = (*IN_BRANCH, "noop", "rolled-back")


@dataclass(frozen=True, slots=True)
class PromotionRequest:
    """A wish: this candidate, by that Promotion. `depth`: lineage, as events count it.

    `environment`: None is where candidates enter. `actor`: who asks, "" where a firing does.
    """

    promotion: str
    candidate: Mapping[str, JsonValue]
    firing_id: str | None = None
    depth: int = 0
    environment: str | None = None
    actor: str = ""


def submit(connection: Connection, document: PromotionDocument, request: PromotionRequest, now: datetime) -> str:
    """Write a promotion down to be worked on; its id. Call `store.signals.notify("promotions")` after the commit.

    The same intent while one is open, from the same firing, or for a run whose model got through before, is the same
    promotion. A model that was refused or failed may be proposed again by another firing: that is a new one.

    Raises:
        ConfigError: the candidate is none, or names another promotion or an environment that it has not.
    """
    if request.promotion != document.name:
        raise ConfigError(f"the request is for promotion {request.promotion!r}, the document is {document.name!r}")
    target = document.at(request.environment or document.entry)
    candidate = candidates.read(dict(request.candidate))
    row = PromotionRow(
        id="",
        intent_key=intent_key(target, candidate.digest, "promote"),
        name=document.name,
        environment=target.spec.environment,
        candidate=candidate.model_dump(mode="json"),
        created=now,
        updated=now,
        next_attempt=now,
        firing_id=request.firing_id,
        run_id=candidate.run,
        depth=request.depth,
        actor=request.actor,
        route=list(document.environments),
    )
    return propose(connection, row)


def intent_key(document: PromotionDocument, digest: str, action: str) -> str:
    """What is wanted where, in 64 hex digits."""
    repo = document.spec.repo
    parts = (repo.url, repo.branch, document.spec.environment, document.name, digest, action)
    # Lengths keep ("a", "bc") and ("ab", "c") apart.
    return sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


def propose(connection: Connection, row: PromotionRow) -> str:
    """Write `row` under the id that is its own; the id of the promotion that it is, which may be an older one."""
    turn = 1
    while True:
        promotion_id = _id(row.intent_key, turn)
        known = promotions.get(connection, promotion_id)
        if known is None:
            return promotions.propose(connection, replace(row, id=promotion_id))
        if _is_same(known, row):
            return promotion_id
        turn += 1


def follow(
    connection: Connection, document: PromotionDocument, parent: PromotionRow, environment: str, now: datetime
) -> str | None:
    """Propose what is live in one environment to the next, once; the new promotion's id, None if it was done before."""
    if promotions.child(connection, parent.id, environment) is not None:
        return None
    target = document.at(environment)
    row = replace(
        _fresh(parent, now),
        intent_key=intent_key(target, candidates.read(parent.candidate).digest, "promote"),
        environment=environment,
        parent=parent.id,
        depth=parent.depth + 1,
        route=list(document.environments),
    )
    # A person may have proposed it meanwhile: then that one is the child, and it keeps its own lineage.
    promotion_id = propose(connection, row)
    made = promotions.get(connection, promotion_id)
    assert made is not None
    if made.parent is None:
        promotions.adopt(connection, promotion_id, parent.id)
    return promotion_id


def again(connection: Connection, row: PromotionRow, actor: str, now: datetime) -> str:
    """Propose what has ended once more because a person says so; the new promotion's id."""
    fresh = replace(_fresh(row, now), retry_of=row.id, actor=actor, parent=row.parent, route=row.route)
    turn = 1
    while promotions.get(connection, _id(row.intent_key, turn)) is not None:
        turn += 1
    return promotions.propose(connection, replace(fresh, id=_id(row.intent_key, turn)))


def blank(target: PromotionDocument, environment: str, now: datetime) -> PromotionRow:
    """A row that says where and when, and nothing yet of what is wanted."""
    return PromotionRow(
        id="",
        intent_key="",
        name=target.name,
        environment=environment,
        candidate={},
        created=now,
        updated=now,
        next_attempt=now,
    )


def _fresh(row: PromotionRow, now: datetime) -> PromotionRow:
    """The same wish, not yet worked on."""
    return PromotionRow(
        id="",
        intent_key=row.intent_key,
        name=row.name,
        environment=row.environment,
        candidate=row.candidate,
        created=now,
        updated=now,
        next_attempt=now,
        firing_id=row.firing_id,
        run_id=row.run_id,
        depth=row.depth,
    )


def _is_same(known: PromotionRow, row: PromotionRow) -> bool:
    if known.state in OPEN:
        return True
    if row.parent is not None:
        return known.parent == row.parent
    if row.firing_id is not None and known.firing_id == row.firing_id:
        return True
    return row.run_id is not None and known.run_id == row.run_id and known.state in _DONE


def _id(key: str, turn: int) -> str:
    return f"p-{(key if turn == 1 else sha256(f'{key}#{turn}'.encode()).hexdigest())[:20]}"


def intent(row: PromotionRow, approvals: tuple[Approval, ...] = ()) -> Intent:
    """A stored promotion as what is wanted. `approvals`: what people said of it.

    Raises:
        ConfigError: its candidate is not one.
    """
    if row.action == "rollback":
        wish = row.candidate
        return Intent(
            row.id,
            row.intent_key,
            "rollback",
            str(wish["digest"]),
            row.created,
            reason=str(wish.get("reason") or ""),
            actor=str(wish.get("actor") or ""),
            of=str(wish.get("promotion") or ""),
        )
    candidate = candidates.read(row.candidate)
    return Intent(
        row.id,
        row.intent_key,
        "promote",
        candidate.digest,
        row.created,
        candidate,
        row.firing_id,
        actor=row.actor,
        approvals=approvals,
        step=row.step,
    )
