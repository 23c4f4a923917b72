"""What the registry should say of the version that is live, and what is to be done about it now. Pure.

Only what is in the branch is marked, and where an environment verifies only what was verified. What somebody else lets
an alias point to is told, and stays until the next model goes live: a registry has owners of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import TypeAdapter

from deploy.registry.spec import Registered
from deploy.spec import PromotionDocument
from retrain.events import JsonValue
from retrain.store.promotions import PromotionRow

CHECK = timedelta(minutes=5)
"""How often to look whether the alias is still where it was put."""
FIRST_S, LONGEST_S = 2.0, 300.0
"""Waits before another attempt: doubled each time, up to the longest."""

Standing = Literal["done", "waiting", "moved", "nothing"]
"""`waiting`: the registry could not be told yet. `moved`: somebody else has moved the alias since. `nothing`: what is
live is not in the registry."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the registry should say: this version is live, by this promotion."""

    promotion: str
    model: str
    version: str
    alias: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Kept:
    """What is remembered of one target. `done`: what was told last; `wish`: what was tried last, `tries` times.

    `due`: when to try or to look again. `at`: since when it stands so. `seen`: where the alias was found instead, ""
    where it is gone.
    """

    standing: Standing
    due: datetime
    at: datetime
    wish: Wish | None = None
    done: Wish | None = None
    tries: int = 0
    reason: str = ""
    seen: str | None = None


_KEPT = TypeAdapter(Kept)


def read(kept: JsonValue) -> Kept | None:
    """What `written` wrote."""
    return None if kept is None else _KEPT.validate_python(kept)


def written(kept: Kept) -> JsonValue:
    """It as JSON."""
    return _KEPT.dump_python(kept, mode="json")


def shown(kept: Kept) -> dict[str, Any]:
    """It as `promotions show` has it."""
    wish = kept.wish
    return {
        "state": kept.standing,
        "model": wish.model if wish else None,
        "version": wish.version if wish else None,
        "alias": wish.alias if wish else None,
        "tags": dict(wish.tags) if wish else {},
        "reason": kept.reason,
        "at": kept.at.isoformat(),
    }


def wished(target: PromotionDocument, live: PromotionRow | None) -> Wish | str | None:
    """What should be marked of one environment; why nothing can be; None: it is not clear yet what is live.

    `live`: the newest promotion there that is in the branch and was not taken back.
    """
    mark = target.spec.mark
    if mark is None or (live is not None and not _is_settled(target, live)):
        return None
    if live is None:
        return "nothing that is live here came by a promotion that is still in the branch"
    given = live.candidate.get("registered")
    if given is None:
        return f"the model of {live.id} is not in the registry: its candidate has no `registered`"
    one = Registered.model_validate(given)
    return Wish(live.id, one.model, one.version, mark.alias, mark.tags)


def _is_settled(target: PromotionDocument, live: PromotionRow) -> bool:
    if live.state == "live":
        return True
    # Where somebody looks, or a canary goes on, what is committed is not yet what all users get.
    watched = any(getattr(target.spec, name, None) for name in ("verify", "canary"))
    return live.state == "committed" and not watched


def decide(wish: Wish, kept: Kept | None, now: datetime) -> Literal["set", "look"] | None:
    """Whether to tell the registry, to look whether it still says so, or to do nothing now."""
    if kept is None or kept.wish != wish:
        return "set"
    if now < kept.due:
        return None
    return "look" if kept.done == wish else "set"


def nothing(reason: str, kept: Kept | None, now: datetime) -> Kept | None:
    """What to remember where nothing can be marked; None where that is remembered already."""
    if kept is not None and kept.standing == "nothing" and kept.reason == reason:
        return None
    return Kept("nothing", now, now, done=kept.done if kept else None, reason=reason)


def told(wish: Wish, now: datetime) -> Kept:
    """After the registry was told."""
    return Kept("done", now + CHECK, now, wish, wish)


def failed(wish: Wish, kept: Kept | None, reason: str, now: datetime) -> Kept:
    """After it could not be told, or asked."""
    again = kept is not None and kept.wish == wish
    tries = kept.tries + 1 if kept is not None and again else 1
    due = now + timedelta(seconds=min(LONGEST_S, FIRST_S * 2 ** min(tries, 10)))
    if kept is not None and again and kept.done == wish:  # it was told; only looking has failed
        return replace(kept, due=due, tries=tries)
    since = kept.at if kept is not None and again and kept.standing == "waiting" else now
    return Kept("waiting", due, since, wish, kept.done if kept else None, tries, reason)


def looked(wish: Wish, kept: Kept, seen: str | None, now: datetime) -> Kept:
    """After a look at where the alias is: None means that it is gone."""
    if wish.alias is None or seen == wish.version:
        return replace(kept, standing="done", due=now + CHECK, tries=0, reason="", seen=None)
    if kept.standing == "moved" and kept.seen == (seen or ""):
        return replace(kept, due=now + CHECK, tries=0)
    where = f"points to version {seen}" if seen else "is gone"
    reason = f"alias {wish.alias!r} {where}: somebody else did that; version {wish.version} is live"
    return Kept("moved", now + CHECK, now, wish, wish, reason=reason, seen=seen or "")
