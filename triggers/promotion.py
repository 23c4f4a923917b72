"""The `promotion` trigger: a proposal, written down in the transaction that marks its firing done. Its gates decide."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, cast

import orjson
from sqlalchemy import Connection

from retrain.errors import Permanent
from retrain.events import JsonValue
from triggers.port import FindPromotion, Firing, ResolveCandidate, StoreTrigger, Tools

if TYPE_CHECKING:
    from deploy import PromotionRequest

FIELDS = frozenset({"kind", "promotion", "environment", "candidate", "retryStrategy"})


class PromotionTrigger:
    """Proposes candidates to the Promotions of the project."""

    topic = "promotions"

    def __init__(self, find: FindPromotion, resolve: ResolveCandidate) -> None:
        self._find = find
        self._resolve = resolve

    def asks(self, firing: Firing) -> bool:
        """Whether the candidate is a version in a registry."""
        from deploy.registry.candidates import is_asked

        try:
            return is_asked(dict(read_request(firing).candidate))
        except Permanent:
            return False  # `record` says what is wrong

    async def prepare(self, firing: Firing) -> Firing:
        """Look it up: what is proposed has a digest, whatever the alias says later.

        Raises:
            ConfigError, NotFound, Refused: there is no registry, or no such version there.
            Transient, Permanent: the registry is away, or says no.
        """
        request = read_request(firing)
        found = await self._resolve(self._find(request.promotion), request.candidate)
        return replace(firing, action={**firing.action, "candidate": dict(found)})

    def record(self, connection: Connection, firing: Firing, now: datetime) -> JsonValue:
        """Write the proposal down; the same firing or intent is the same promotion. The result: `{"promotion": id}`.

        Raises:
            ConfigError: the candidate is none; the message names what is wrong.
            NotFound: there is no such Promotion.
            Permanent: the action is no proposal.
        """
        from deploy import submit

        request = read_request(firing)
        return {"promotion": submit(connection, self._find(request.promotion), request, now)}


def read_request(firing: Firing) -> PromotionRequest:
    """What a `promotion` firing asks for.

    Raises:
        Permanent: a field is missing or not supported.
    """
    from deploy import PromotionRequest

    action = firing.action
    if unknown := sorted(set(action) - FIELDS):
        raise Permanent(f"promotion.{unknown[0]} is not supported by this trigger; take it out of the sensor")
    name = action.get("promotion")
    if not isinstance(name, str) or not name:
        raise Permanent("the trigger names no Promotion")
    where = action.get("environment")
    if where is not None and (not isinstance(where, str) or not where):
        raise Permanent("promotion.environment must name one; left out, it is where candidates enter")
    return PromotionRequest(name, _candidate(action.get("candidate")), firing.id, firing.depth, where)


def _candidate(given: JsonValue) -> dict[str, JsonValue]:
    """The candidate as an object.

    A run's output is text, so a candidate that a step wrote whole comes as the text of an object, under `candidate`.
    """
    match given:
        case {"candidate": whole, **others} if not others:
            given = whole
        case _:
            pass
    if isinstance(given, str):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError as error:
            raise Permanent(f"the candidate is text, but not JSON: {error}") from error
    if not isinstance(given, dict):
        raise Permanent(f"the candidate must be an object, not {type(given).__name__}")
    return cast("dict[str, JsonValue]", given)


@asynccontextmanager
async def open_promotion(tools: Tools) -> AsyncGenerator[StoreTrigger]:
    """Nothing to hold: the store is the way."""
    yield PromotionTrigger(tools.promotions, tools.resolve)
