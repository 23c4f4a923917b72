"""The one seam between what people ask for and what is done: who may, in whose name, and the deed on record.

Every action of `Services.actions` goes through here, whether the API, the page or a form asks for it. The deed is
written in the transaction of the action's own write; where it has none, before whoever asked hears that it is done.
Actions on promotions write theirs themselves, with what only they know.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from sqlalchemy import Connection

from pipelines.core.happenings import Resume
from retrain.app.access.deeds import Told, told_of
from retrain.app.access.spaces import Spaces
from retrain.app.services import Action
from retrain.clock import Clock
from retrain.errors import Forbidden
from retrain.identity import SPEAKING, Principal, Right
from retrain.store import Store, audit
from retrain.store.audit import Deed
from retrain.store.riders import RIDER, Rider

RIGHTS: Mapping[str, Right] = {
    "crons.list": "viewer",
    "crons.show": "viewer",
    "runs.logs": "viewer",
    "runs.artifacts": "viewer",
    "runs.look": "viewer",
    "runs.compare": "viewer",
    "promotions.approve": "viewer",
    "promotions.reject": "viewer",
    "promotions.waive": "viewer",
    "firings.approve": "approver",
    "firings.reject": "approver",
}
"""What an action needs: where it is not here, operator. Whose word counts for a promotion its approvals say."""
DECISIONS = frozenset({"promotions.approve", "promotions.reject", "promotions.waive"} | {"firings.approve"})
PEOPLES = DECISIONS | {"firings.reject"}
"""What only a person may say: whoever holds a token that several have is nobody."""
LOOKS = frozenset(name for name, right in RIGHTS.items() if right == "viewer" and not name.startswith("promotions."))
"""What changes nothing."""
SELF_RECORDED = frozenset({"deadletters.redrive_all"})
"""What writes its own deed, with what only it knows; so do all actions on promotions."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What minding stands on."""

    store: Store
    clock: Clock
    spaces: Spaces


def minded(actions: Mapping[str, Action], ground: Ground) -> dict[str, Action]:
    """The same actions, for those who may, and on record."""
    return {name: _minded(name, action, ground) for name, action in actions.items()}


def _minded(name: str, action: Action, ground: Ground) -> Action:
    signature = inspect.signature(action)

    async def act(*words: Any, **more: Any) -> Any:
        who = SPEAKING.get()
        if who is None:  # the platform's own doing
            return await action(*words, **more)
        space = await _space(name, words, ground.spaces) if who.narrow else None
        _check(name, who, space)
        words, more = _in_name_of(name, who.at(space), words, more)
        if name in LOOKS:
            return _narrowed(name, who, await action(*words, **more))
        if name.startswith("promotions.") or name in SELF_RECORDED:
            return await action(*words, **more)
        return await _on_record(name, action, ground, words, more)

    act = wraps(action)(act) if hasattr(action, "__name__") else act
    act.__signature__ = signature  # type: ignore[attr-defined]  # whoever asks for an action binds its words first
    return act


def _check(name: str, who: Principal, space: str | None) -> None:
    right = RIGHTS.get(name, "operator")
    if name != "crons.list" and not who.may(right, space):
        where = f" in the namespace {space}" if space else ""
        raise Forbidden(f"{name} needs the role {right}{where}; {_named(who)}")
    if name in PEOPLES and not who.decides:
        raise Forbidden(
            f"{name} needs a person: {who.name or 'the shared token'} is "
            f"{'a service' if who.kind == 'service' else 'nobody in particular'}; use a token of your own, or log in"
        )


def _named(who: Principal) -> str:
    return f"{who.name or 'this token'} has {', '.join(sorted(who.roles)) or 'none'}"


async def _space(name: str, words: tuple[Any, ...], spaces: Spaces) -> str | None:
    """The namespace of what an action is about; None: it has none."""
    noun, _, verb = name.partition(".")
    first: Any = words[0] if words else None
    if noun == "runs":
        return str(first.namespace)
    if noun == "crons" and verb != "list":
        return words[1] if len(words) > 1 and words[1] else None
    if noun == "promotions":
        by_id = verb in {"approve", "reject", "retry", "waive"}
        return await spaces.of("promotion" if by_id else "target", str(first))
    return await spaces.of("firing", str(first)) if noun == "firings" else None


def _in_name_of(
    name: str, who: Principal, words: tuple[Any, ...], more: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The action's words with the name that is known: what somebody calls themselves counts where nothing is."""
    by = more.get("by")
    if isinstance(by, Principal):
        return words, {**more, "by": who if who.verified else replace(who, name=by.name or who.name)}
    if not who.verified:
        return words, more
    if "actor" in more:
        return words, {**more, "actor": who.name}
    if name == "crons.suspend":
        return (*words[:2], who.name), more
    if name == "runs.resume" and len(words) > 1 and isinstance(words[1], Resume):
        return (words[0], replace(words[1], by=who.name)), more
    return words, more


def _narrowed(name: str, who: Principal, found: Any) -> Any:
    sees = who.sees
    if name != "crons.list" or sees is None:
        return found
    return {**found, "items": [one for one in found["items"] if one["namespace"] in sees]}


async def _on_record(name: str, action: Action, ground: Ground, words: tuple[Any, ...], more: dict[str, Any]) -> Any:
    who = SPEAKING.get()
    assert who is not None
    told = told_of(name, words, more)
    by = more.get("by")
    said = by if isinstance(by, Principal) else who
    deed = Deed(
        at=ground.clock.now(),
        actor=said.name or told.actor,
        verified=who.verified,
        action=name,
        subject=told.subject,
        reason=told.reason,
        origin=who.place,
    )

    def write(connection: Connection, before: Any, after: Any, made: Any) -> None:
        audit.record(connection, told.complete(deed, before, after, made))

    rider = Rider(told.look, write)
    # What reloading starts lives on after it: a rider must not go along with somebody else's write.
    token = RIDER.set(rider if told.rides else None)
    try:
        done = await action(*words, **more)
    finally:
        RIDER.reset(token)
    if not rider.away:
        await ground.store.write(lambda c: audit.record(c, told.complete(deed, None, None, done)))
    return done


__all__ = ["LOOKS", "PEOPLES", "RIGHTS", "Ground", "Told", "minded"]
