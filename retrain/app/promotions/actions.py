"""What people may do to promotions, by name. `by` is who asks, as the door knows them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import orjson

from retrain.app.looking import queries
from retrain.app.promotions.part import Promotions
from retrain.app.services import Action
from retrain.errors import ConfigError, Refused
from retrain.identity import Principal
from retrain.manifests.duration import parse_duration
from retrain.store import Store, promotions
from retrain.store.promotions import PromotionRow

Json = dict[str, Any]


def promotion_actions(store: Store, models: Promotions) -> dict[str, Action]:
    """Every action on promotions."""
    return {
        "promotions.approve": partial(_approve, models),
        "promotions.reject": partial(_reject, models),
        "promotions.retry": partial(_retry, models),
        "promotions.waive": partial(_waive, models),
        "promotions.propose": partial(_propose, store, models),
        "promotions.rollback": partial(_rollback, store, models),
        "promotions.hold": partial(_hold, models),
        "promotions.release": partial(_release, models),
    }


async def _approve(models: Promotions, promotion_id: str, *, by: Principal, reason: str, subject: str = "") -> Json:
    row = await models.people.approve(promotion_id, by=by, reason=reason, subject=subject)
    waiting = row.waiting if isinstance(row.waiting, dict) else {}
    have, need = waiting.get("have"), waiting.get("need")
    return _said(row, f"{row.id}: {by.name} approves it in {row.environment}; {have} of {need}")


async def _reject(models: Promotions, promotion_id: str, *, by: Principal, reason: str) -> Json:
    row = await models.people.reject(promotion_id, by=by, reason=reason)
    if row.state != "rejected":
        return _said(row, f"the canary of {row.id} is taken back in {row.environment}, and the target is held")
    again = f"`retrain promotions retry {row.id}` is the way to propose that model there again"
    return _said(row, f"{row.id} is rejected in {row.environment}; {again}")


async def _retry(models: Promotions, promotion_id: str, *, by: Principal, reason: str) -> Json:
    row = await models.people.retry(promotion_id, by=by, reason=reason)
    if row.id != promotion_id:
        return _said(row, f"{row.id} tries {promotion_id} again")
    return _said(row, f"{row.id} is {'verified again' if row.state == 'committed' else 'looked at now'}")


async def _waive(
    models: Promotions, promotion_id: str, *, by: Principal, gates: str, reason: str, lasts: str = ""
) -> Json:
    from deploy.waiving import Wish

    wish = Wish(tuple(_names(gates)), by, reason, _length(lasts))
    row = await models.people.waive(promotion_id, wish)
    return _said(row, f"{row.id} tries {promotion_id} again, without the no of {', '.join(wish.gates)}")


def _names(gates: str) -> list[str]:
    """The names of gates: one as it is, or a JSON list of them."""
    if not gates.startswith("["):
        return [gates] if gates else []
    try:
        names = orjson.loads(gates)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"gates: is no JSON list: {error}") from error
    if not all(isinstance(name, str) for name in names):
        raise ConfigError("gates: a list of names, or one name")
    return names


def _length(lasts: str) -> timedelta | None:
    try:
        return parse_duration(lasts) if lasts else None
    except ValueError as error:
        raise ConfigError(f"lasts: {error}") from error


async def _propose(
    store: Store, models: Promotions, name: str, *, by: Principal, candidate: str, environment: str | None = None
) -> Json:
    try:
        body = orjson.loads(candidate)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"candidate: is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise ConfigError("candidate: must be a JSON object")
    promotion_id = await models.people.propose(name, body, by=by, environment=environment)
    row = await store.read(lambda c: promotions.get(c, promotion_id))
    assert row is not None
    return _said(row, f"{row.id} is to bring {str(row.candidate.get('digest'))[:19]}… to {row.environment}")


async def _rollback(
    store: Store, models: Promotions, name: str, *, by: Principal, environment: str | None = None, reason: str
) -> Json:
    promotion_id = await models.people.rollback(name, environment=environment, by=by, reason=reason)
    row = await store.read(lambda c: promotions.get(c, promotion_id))
    assert row is not None
    message = f"{promotion_id} rolls {name} back in {row.environment}, and holds it there; `retrain promotions release`"
    return _said(row, f"{message} ends the hold")


async def _hold(models: Promotions, name: str, *, by: Principal, environment: str | None = None, reason: str) -> Json:
    await models.people.hold(name, environment=environment, by=by, reason=reason)
    where = f" in {environment}" if environment else ""
    return {"name": name, "message": f"{name} is held{where}: nothing is promoted until it is released"}


async def _release(
    models: Promotions, name: str, *, by: Principal, environment: str | None = None, reason: str = ""
) -> Json:
    if not await models.people.release(name, environment=environment, by=by, reason=reason):
        raise Refused(f"{name} is not held")
    where = f" in {environment}" if environment else ""
    return {"name": name, "message": f"{name} is released{where}: automation may promote again"}


def _said(row: PromotionRow, message: str) -> Json:
    return {**queries.promotion(row), "message": message}
