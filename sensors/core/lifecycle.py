"""What a lane learns of its firings: they are over, they have failed, a run has ended and what it spent, approvals."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta
from typing import cast

from retrain.errors import RetrainError
from retrain.events import Event, JsonValue
from sensors.core.addresses import FIRING
from sensors.core.cells import Active, Lane, Spent
from sensors.core.gates import ESTIMATED_FROM
from sensors.core.lane import LaneRule
from sensors.core.turn import Turn
from sensors.decision_spec import Budget
from sensors.filtering.content import Content
from sensors.filtering.lookup import MISSING, compile_lookup

MOST_FAILED = 100
"""Dead firings of a trigger that are remembered for a redrive."""

GPU = "nvidia.com/gpu"

ReadSpent = Callable[[Event], float | None]
"""What a run has spent by the event of its end; None if that does not say."""


class Lifecycle:
    """The listener of one lane. `budget`: the one whose spending is counted."""

    def __init__(self, rule: LaneRule, budget: Budget | None) -> None:
        self._rule = rule
        self._read_spent = None if budget is None else compile_spent(budget)
        self._per = timedelta() if budget is None else budget.per

    def take(self, turn: Turn, event: Event) -> None:
        """An event about one of its firings."""
        firing = event.extensions.get(FIRING)
        if not isinstance(firing, str):
            return
        lane = self._rule.read(turn)
        after = self._apply(turn, lane, event, firing)
        if after is not lane:
            self._rule.change(turn, after)

    def over(self, turn: Turn, firings: Collection[str]) -> None:
        """These firings are over, though nobody has told."""
        lane = self._rule.read(turn)
        active = tuple(one for one in lane.active if one.firing not in firings)
        if len(active) < len(lane.active):
            self._rule.change(turn, replace(lane, active=active))

    def _apply(self, turn: Turn, lane: Lane, event: Event, firing: str) -> Lane:
        mine = next((one for one in lane.active if one.firing == firing), None)
        match event.subject:
            case "firing.done" if mine is not None:
                run = _field(event, "run")
                return _with(lane, mine._replace(run=str(run))) if run else _without(lane, mine)
            case "firing.failed" if mine is not None:
                failed = (*lane.failed, mine._replace(stopping=False))[-MOST_FAILED:]
                return replace(_without(lane, mine), failed=failed)
            case "firing.redriven" if mine is None:
                return _revive(lane, firing, turn)
            case "run.succeeded" | "run.failed" if mine is not None:
                return self._spend(_without(lane, mine), turn, event)
            case "approval.granted":
                queue = tuple(
                    one._replace(asks=False, approved=True) if one.firing == firing and one.asks else one
                    for one in lane.queue
                )
                return lane if queue == lane.queue else replace(lane, queue=queue)
            case "approval.rejected" if any(one.firing == firing for one in lane.queue):
                return self._rule.reject(turn, lane, firing, _rejection(event))
            case _:
                return lane

    def _spend(self, lane: Lane, turn: Turn, event: Event) -> Lane:
        amount = None if self._read_spent is None else self._read_spent(event)
        if amount is None:
            return lane
        start = turn.now - self._per
        spent = (*(one for one in lane.spent if one.at > start), Spent(turn.now, amount))
        return replace(lane, spent=spent, known=(*lane.known, amount)[-ESTIMATED_FROM:])


def compile_spent(budget: Budget) -> ReadSpent | None:
    """How to read what a run has spent; None for a budget that counts runs."""
    if budget.gpu_hours is not None:
        return _gpu_hours
    if budget.cost is None:
        return None
    lookup = compile_lookup(budget.cost_path)

    def cost(event: Event) -> float | None:
        try:
            found = lookup.value(Content(event))
        except RetrainError:
            return None
        return None if found is MISSING else _number(found)

    return cost


def _gpu_hours(event: Event) -> float | None:
    resources = _field(event, "resources")
    if not isinstance(resources, dict):
        return None
    seconds = _number(cast("dict[str, JsonValue]", resources).get(GPU, 0))
    return None if seconds is None else seconds / 3600


def _number(value: JsonValue) -> float | None:
    """A number that is not below nothing. Outputs of workflows are texts."""
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _field(event: Event, name: str) -> JsonValue:
    return cast("dict[str, JsonValue]", event.data).get(name) if isinstance(event.data, dict) else None


def _rejection(event: Event) -> str:
    by, reason = _field(event, "actor"), _field(event, "reason")
    return "approval rejected" + (f" by {by}" if by else "") + (f": {reason}" if reason else "")


def _with(lane: Lane, changed: Active) -> Lane:
    return replace(lane, active=tuple(changed if one.firing == changed.firing else one for one in lane.active))


def _without(lane: Lane, gone: Active) -> Lane:
    return replace(lane, active=tuple(one for one in lane.active if one.firing != gone.firing))


def _revive(lane: Lane, firing: str, turn: Turn) -> Lane:
    known = next((one for one in lane.failed if one.firing == firing), Active(firing, "", turn.now))
    failed = tuple(one for one in lane.failed if one.firing != firing)
    return replace(lane, active=(*lane.active, known), failed=failed)
