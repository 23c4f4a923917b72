"""What may hold a match back, one question each: may it go now, why not, and from when on is it worth asking again?

They are asked in this order: concurrency, schedule, cooldown, throttle, budget. The first that says no decides, by its
`conflict`, what becomes of the match. sensors/lane.py keeps what they look at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from retrain.errors import ConfigError
from sensors.core.cells import Lane
from sensors.core.schedule import compile_schedule
from sensors.core.telling import moment, span
from sensors.core.window import earliest
from sensors.decision_spec import Budget, Concurrency, Cooldown
from sensors.decision_spec import Schedule as ScheduleSpec
from sensors.trigger_spec import RateLimit

Conflict = Literal["queue", "skip", "replace", "coalesce", "approve"]

UNITS = {
    "": timedelta(seconds=1),
    "Second": timedelta(seconds=1),
    "Minute": timedelta(minutes=1),
    "Hour": timedelta(hours=1),
    "Day": timedelta(days=1),
}
ESTIMATED_FROM = 10
"""Last runs whose mean is what a run is taken to spend."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One question. `ask`: why not, None for yes. `opens`: when time may change a no; None where time does not.
    `looks_back`: how far into the lane's past it looks. `of_key`: it holds one lane key up, the others the trigger."""

    name: str
    conflict: Conflict
    ask: Callable[[Lane, str, datetime], str | None]
    opens: Callable[[Lane, datetime], datetime | None]
    looks_back: timedelta = timedelta()
    of_key: bool = False


def concurrency_gate(written: Concurrency) -> Gate:
    """At most `limit` firings of a lane key whose runs are not over."""
    limit = written.limit

    def ask(lane: Lane, lane_key: str, _now: datetime) -> str | None:
        running = sum(one.lane_key == lane_key for one in lane.active)
        if running < limit:
            return None
        of = f" of {lane_key}" if lane_key else ""
        return f"{running} of at most {limit}{of} {'is' if running == 1 else 'are'} active"

    return Gate("concurrency", written.on_conflict, ask, lambda _lane, _now: None, of_key=True)


def schedule_gate(written: ScheduleSpec) -> Gate:
    """Only in these hours."""
    schedule = compile_schedule(written)

    def ask(_lane: Lane, _key: str, now: datetime) -> str | None:
        if schedule.is_open(now):
            return None
        opens = schedule.opens(now)
        return f"outside of its hours, which begin at {moment(opens)}" if opens else "it has no hours"

    return Gate("schedule", written.on_conflict, ask, lambda _lane, now: schedule.opens(now))


def cooldown_gate(written: Cooldown) -> Gate:
    """So long after the last firing."""
    length = written.for_

    def opens(lane: Lane, _now: datetime) -> datetime | None:
        return lane.fired[-1] + length if lane.fired else None

    def ask(lane: Lane, _key: str, now: datetime) -> str | None:
        end = opens(lane, now)
        return None if end is None or now >= end else f"it cools down until {moment(end)}"

    return Gate("cooldown", written.on_conflict, ask, opens)


class Rate:
    """At most `most` firings in any stretch of `unit` that ends now; one `unit` old is not in it any more."""

    __slots__ = ("most", "unit")

    def __init__(self, written: RateLimit) -> None:
        """Compile.

        Raises:
            ConfigError: the unit is unknown, or the number is none from 1 on.
        """
        if written.unit not in UNITS:
            raise ConfigError(f"rateLimit: unit {written.unit!r} is none of Second, Minute, Hour, Day")
        if written.requests_per_unit is None or written.requests_per_unit < 1:
            raise ConfigError("rateLimit: requestsPerUnit is a number from 1 on")
        self.unit = UNITS[written.unit]
        self.most = written.requests_per_unit

    def ends(self, lane: Lane) -> datetime | None:
        """When the next may go, if these are all; None if it may whenever."""
        return lane.fired[-self.most] + self.unit if len(lane.fired) >= self.most else None

    def used_up(self, lane: Lane, now: datetime) -> str | None:
        """Why none may go now; None if one may."""
        end = self.ends(lane)
        if end is None or now >= end:
            return None
        return f"{self.most} in the last {span(self.unit)}, and not more than that are allowed"


def throttle_gate(rate: Rate) -> Gate:
    """Not more often; what comes too fast waits."""
    return Gate(
        "rateLimit",
        "queue",
        lambda lane, _key, now: rate.used_up(lane, now),
        lambda lane, _now: rate.ends(lane),
        looks_back=rate.unit,
    )


def budget_gate(written: Budget) -> Gate:
    """Not more than this may be spent in any stretch of `per`."""
    if written.runs is not None:
        return _runs_gate(written, written.runs)
    limit = written.gpu_hours if written.gpu_hours is not None else written.cost
    what = "GPU hours" if written.gpu_hours is not None else "in cost"
    most, per = float(limit or 0), written.per

    def ask(lane: Lane, _key: str, now: datetime) -> str | None:
        spent = sum(one.amount for one in lane.spent if one.at > now - per)
        each = written.estimate
        if each is None and lane.known:
            each = sum(lane.known) / len(lane.known)
        if each is None:
            return "what a run spends is not known before the first is over" if lane.active else None
        reserved = each * len(lane.active)
        if spent + reserved + each <= most:
            return None
        rest = f", {reserved:g} reserved for active ones" if reserved else ""
        return f"of {most:g} {what} in {span(per)} {spent:g} are spent{rest}, and this takes {each:g}"

    def opens(lane: Lane, now: datetime) -> datetime | None:
        return earliest(*(one.at + per for one in lane.spent if one.at + per > now))

    return Gate("budget", written.on_exceed, ask, opens)


def _runs_gate(written: Budget, most: int) -> Gate:
    per = written.per

    def opens(lane: Lane, _now: datetime) -> datetime | None:
        return lane.fired[-most] + per if len(lane.fired) >= most else None

    def ask(lane: Lane, _key: str, now: datetime) -> str | None:
        end = opens(lane, now)
        return None if end is None or now >= end else f"{most} in the last {span(per)}, which is its budget"

    return Gate("budget", written.on_exceed, ask, opens, looks_back=per)
