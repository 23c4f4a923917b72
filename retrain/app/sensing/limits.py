"""What the limits of a sensor's triggers say now, as figures: how much is used of how much, and until when. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from retrain.app.looking.queries import stamp
from sensors import SensorDocument
from sensors.core.cells import IDLE, Lane
from sensors.core.gates import UNITS, Rate, budget_gate, cooldown_gate, schedule_gate
from sensors.core.shape import without_foreign
from sensors.core.telling import span
from sensors.decision_spec import Budget, Concurrency, Cooldown, Schedule
from sensors.trigger_spec import RateLimit, Trigger

Json = dict[str, Any]
MOST_KEYS = 20
"""Lane keys of one trigger that are shown, the fullest first."""


def limits_of(document: SensorDocument, lanes: Mapping[str, Lane], now: datetime) -> list[Json]:
    """Each limit of each trigger: `{"trigger", "kind", "key", "used", "reserved", "limit", "unit", "per", "until",
    "full", "onConflict"}`.

    `kind`: concurrency, schedule, cooldown, rateLimit, budget. `full`: the next firing is held or refused now; `until`:
    when time changes that, None where time does not. `lanes`: by trigger, those that are not idle.
    """
    found: list[Json] = []
    for trigger in without_foreign(document).spec.triggers:
        name = trigger.template.name if trigger.template is not None else ""
        found += [{"trigger": name, **one} for one in _of_trigger(trigger, lanes.get(name, IDLE), now)]
    return found


def _of_trigger(trigger: Trigger, lane: Lane, now: datetime) -> Iterator[Json]:
    if trigger.concurrency is not None:
        yield from _concurrency(trigger.concurrency, lane)
    if trigger.schedule is not None:
        yield _schedule(trigger.schedule, lane, now)
    if trigger.cooldown is not None:
        yield _cooldown(trigger.cooldown, lane, now)
    if trigger.rate_limit is not None:
        yield _rate(trigger.rate_limit, lane, now)
    if trigger.budget is not None:
        yield _budget(trigger.budget, lane, now)


def _limit(kind: str, conflict: str, **more: Any) -> Json:
    empty: Json = {"key": "", "used": None, "reserved": None, "limit": None, "unit": "", "per": "", "until": None}
    return {"kind": kind, **empty, "full": False, "onConflict": conflict, **more}


def _concurrency(written: Concurrency, lane: Lane) -> Iterator[Json]:
    """One for each lane key that is in use; one of nothing where none is."""
    used = Counter(one.lane_key for one in lane.active) or Counter({"": 0})
    for key, count in used.most_common(MOST_KEYS):
        full = count >= written.limit
        figures = {"key": key, "used": count, "limit": written.limit, "unit": "firings", "full": full}
        yield _limit("concurrency", written.on_conflict, **figures)


def _schedule(written: Schedule, lane: Lane, now: datetime) -> Json:
    gate = schedule_gate(written)
    closed = gate.ask(lane, "", now) is not None
    until = gate.opens(lane, now) if closed else None
    return _limit("schedule", written.on_conflict, full=closed, until=stamp(until))


def _cooldown(written: Cooldown, lane: Lane, now: datetime) -> Json:
    gate = cooldown_gate(written)
    cools = gate.ask(lane, "", now) is not None
    until = gate.opens(lane, now) if cools else None
    return _limit("cooldown", written.on_conflict, per=span(written.for_), full=cools, until=stamp(until))


def _rate(written: RateLimit, lane: Lane, now: datetime) -> Json:
    rate, unit = Rate(written), UNITS[written.unit]
    used, full = sum(one > now - unit for one in lane.fired), rate.used_up(lane, now) is not None
    figures = {"used": used, "limit": rate.most, "unit": "firings", "per": span(unit), "full": full}
    return _limit("rateLimit", written.mode or "throttle", until=stamp(rate.ends(lane)) if full else None, **figures)


def _budget(written: Budget, lane: Lane, now: datetime) -> Json:
    gate, start = budget_gate(written), now - written.per
    full = gate.ask(lane, "", now) is not None
    figures: Json = {"per": span(written.per), "full": full, "until": stamp(gate.opens(lane, now)) if full else None}
    if written.runs is not None:
        used = sum(one > start for one in lane.fired)
        return _limit("budget", written.on_exceed, used=used, limit=written.runs, unit="runs", **figures)
    known = written.estimate if written.estimate is not None else _mean(lane)
    figures |= {"used": sum(one.amount for one in lane.spent if one.at > start)}
    figures |= {"reserved": known * len(lane.active) if known is not None else None}
    unit, most = ("GPU hours", written.gpu_hours) if written.gpu_hours is not None else ("cost", written.cost)
    return _limit("budget", written.on_exceed, limit=most, unit=unit, **figures)


def _mean(lane: Lane) -> float | None:
    return sum(lane.known) / len(lane.known) if lane.known else None
