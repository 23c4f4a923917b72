"""What people may do to promotions, by name. `by` is who asks, as the door knows them."""

from __future__ import annotations

from functools import partial
from typing import Any

from deploy import Promoter
from retrain.app import queries
from retrain.app.services import Action
from retrain.errors import Refused
from retrain.identity import Principal
from retrain.store import Store, promotions
from retrain.store.promotions import PromotionRow

Json = dict[str, Any]


def promotion_actions(store: Store, promoter: Promoter) -> dict[str, Action]:
    """Every action on promotions."""
    return {
        "promotions.approve": partial(_approve, promoter),
        "promotions.reject": partial(_reject, promoter),
        "promotions.retry": partial(_retry, promoter),
        "promotions.rollback": partial(_rollback, store, promoter),
        "promotions.hold": partial(_hold, promoter),
        "promotions.release": partial(_release, promoter),
    }


async def _approve(promoter: Promoter, promotion_id: str, *, by: Principal, reason: str, subject: str = "") -> Json:
    row = await promoter.people.approve(promotion_id, by=by, reason=reason, subject=subject)
    waiting = row.waiting if isinstance(row.waiting, dict) else {}
    have, need = waiting.get("have"), waiting.get("need")
    return _said(row, f"{row.id}: {by.name} approves it in {row.environment}; {have} of {need}")


async def _reject(promoter: Promoter, promotion_id: str, *, by: Principal, reason: str) -> Json:
    row = await promoter.people.reject(promotion_id, by=by, reason=reason)
    again = f"`retrain promotions retry {row.id}` is the way to propose that model there again"
    return _said(row, f"{row.id} is rejected in {row.environment}; {again}")


async def _retry(promoter: Promoter, promotion_id: str, *, by: Principal, reason: str) -> Json:
    row = await promoter.people.retry(promotion_id, by=by, reason=reason)
    same = row.id == promotion_id
    return _said(row, f"{row.id} is looked at now" if same else f"{row.id} tries {promotion_id} again")


async def _rollback(
    store: Store, promoter: Promoter, name: str, *, by: Principal, environment: str | None = None, reason: str
) -> Json:
    promotion_id = await promoter.people.rollback(name, environment=environment, by=by, reason=reason)
    row = await store.read(lambda c: promotions.get(c, promotion_id))
    assert row is not None
    message = f"{promotion_id} rolls {name} back in {row.environment}, and holds it there; `retrain promotions release`"
    return _said(row, f"{message} ends the hold")


async def _hold(promoter: Promoter, name: str, *, by: Principal, environment: str | None = None, reason: str) -> Json:
    await promoter.people.hold(name, environment=environment, by=by, reason=reason)
    return {"name": name, "message": f"{name} is held: nothing is promoted until it is released"}


async def _release(
    promoter: Promoter, name: str, *, by: Principal, environment: str | None = None, reason: str = ""
) -> Json:
    if not await promoter.people.release(name, environment=environment, by=by, reason=reason):
        raise Refused(f"{name} is not held")
    return {"name": name, "message": f"{name} is released: automation may promote again"}


def _said(row: PromotionRow, message: str) -> Json:
    return {**queries.promotion(row), "message": message}
