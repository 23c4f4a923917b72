"""The calendar source: a cron expression or an interval, each tick an event.

The store remembers up to when ticks are dealt with, so those that were due while nobody ran are found at the start.
How many of them are made up for has a bound. A tick's event has the tick's time as its id: it comes once, whoever
tells of it.

Source of payload and fields: pkg/eventsources/sources/calendar of Argo Events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus

from eventsources.duration import seconds
from eventsources.fields import Filter, Limits, Path, check_duration, only_ours
from eventsources.gotime import go_time
from eventsources.port import SourceContext, SourceState
from eventsources.trying import keep_trying
from eventsources.watching.ticks import Ticks, compile_ticks, compile_zone, excluded_days
from retrain.errors import ConfigError
from retrain.events import Event, JsonValue, parse_time
from retrain.log import get_logger
from retrain.manifests import Problem
from retrain.manifests.argo import Shape

log = get_logger()

GRACE_S = 10.0
"""Seconds by which a tick may be late and still is on time: somebody started the platform again."""

LOOK_S = 2.0
"""Seconds between two looks at the clock, which may be set, or may have stood still with the machine."""

PAGE = 500
MOST = 100_000
"""Ticks that are made up for at most, whatever is written."""

CATCH_UP, CATCH_UP_MOST = "24h", 100
LOOKED = "looked"


class CatchUp(Shape):
    """Of retrain.dev/v1: which missed ticks are made up for: those of the last `max_duration`, the `limit` newest."""

    enabled: bool = True
    max_duration: str = CATCH_UP
    limit: int = CATCH_UP_MOST


class ArgoCatchup(Shape):
    """Argo Events' way to say so: off unless enabled, and without a bound unless there is a `max_duration`."""

    enabled: bool = False
    max_duration: str = ""


class ConfigMapPersistence(Shape):
    """Where Argo Events keeps the last tick. Here it is in the store: taken, and without effect."""

    name: str = ""
    create_if_not_exist: bool = False


class Persistence(Shape):
    """What Argo Events knows of missed ticks."""

    catchup: ArgoCatchup | None = None
    config_map: ConfigMapPersistence | None = None


class Calendar(Shape):
    """Ticks. `catch_up` and `limits` are of retrain.dev/v1, and so are six fields (seconds first) in `schedule`."""

    schedule: str = ""
    interval: str = ""
    timezone: str = ""
    exclusion_dates: tuple[str, ...] = ()
    persistence: Persistence | None = None
    catch_up: CatchUp | None = None
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """What is made up for after a gap: nothing older than `age`, and the `most` newest."""

    age: timedelta
    most: int = MOST


def check(path: Path, spec: Calendar, ours: bool) -> Iterator[Problem]:
    """What is wrong with one calendar."""
    yield from only_ours(path, spec, ("catchUp",), ours=ours)
    yield from _check_times(path, spec, ours=ours)
    catchup = spec.persistence.catchup if spec.persistence is not None else None
    if catchup is not None and catchup.max_duration:
        yield from check_duration((*path, "persistence", "catchup", "maxDuration"), catchup.max_duration)
    if spec.catch_up is not None:
        at = (*path, "catchUp")
        yield from check_duration((*at, "maxDuration"), spec.catch_up.max_duration)
        if not 0 < spec.catch_up.limit <= MOST:
            yield Problem((*at, "limit"), "wrong-value", f"limit is a number from 1 to {MOST}")
        if catchup is not None:
            yield Problem(at, "wrong-value", "give one of catchUp and persistence.catchup")


def _check_times(path: Path, spec: Calendar, *, ours: bool) -> Iterator[Problem]:
    if not (spec.schedule or spec.interval):
        yield Problem(path, "missing-field", 'give schedule, such as "30 2 * * *", or interval, such as 10m')
    parts: dict[str, Callable[[], object]] = {
        "timezone": lambda: compile_zone(spec.timezone),
        "exclusionDates": lambda: excluded_days(spec.exclusion_dates, ours=ours),
    }
    if spec.schedule:
        parts["schedule"] = lambda: compile_ticks(spec.schedule, "", "", (), ours=ours)
    elif spec.interval:
        parts["interval"] = lambda: compile_ticks("", spec.interval, "", (), ours=ours)
    for name, read in parts.items():
        try:
            read()
        except ConfigError as error:
            yield Problem((*path, name), "wrong-value", str(error))


def bound_of(spec: Calendar, *, ours: bool) -> Bound:
    """What is made up for. Without a word in Argo's: what a restart takes, and no more."""
    grace = Bound(timedelta(seconds=GRACE_S))
    if spec.persistence is not None and spec.persistence.catchup is not None:
        said = spec.persistence.catchup
        age = timedelta(seconds=seconds(said.max_duration)) if said.max_duration else timedelta.max
        return Bound(max(age, grace.age)) if said.enabled else grace
    wanted = spec.catch_up or (CatchUp() if ours else CatchUp(enabled=False))
    if not wanted.enabled:
        return grace
    return Bound(max(timedelta(seconds=seconds(wanted.max_duration)), grace.age), wanted.limit)


class CalendarSource:
    """One entry of `spec.calendar`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Calendar)
        self._context = context
        self._clock = context.clock
        zone, ours = spec.timezone, context.ours
        self._ticks: Ticks = compile_ticks(spec.schedule, spec.interval, zone, spec.exclusion_dates, ours=ours)
        self._bound = bound_of(spec, ours=ours)
        # Other times are another memory: what they would have been while nobody ran is not missed.
        self._scope = sha256("\n".join((spec.schedule, spec.interval, zone)).encode()).hexdigest()[:16]
        self._known: tuple[datetime, datetime | None] | None = None  # a moment, and the first tick after it

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._follow)

    async def _follow(self) -> None:
        now, steady = self._clock.now(), self._clock.monotonic()
        looked = await self._begin(now)
        while True:
            self._say_next(looked)
            looked = await self._tell(looked, now)
            await anyio.sleep(self._pause_s(looked))
            before, now = now, self._clock.now()
            passed, steady = self._clock.monotonic() - steady, self._clock.monotonic()
            if (now - before).total_seconds() - passed > GRACE_S:  # the machine slept, or its clock was set
                looked = await self._without_old(looked, now)

    async def _begin(self, now: datetime) -> datetime:
        """Up to when ticks are dealt with. The very first start begins now."""
        kept = (await self._context.checkpoints.get(self._scope, [LOOKED])).get(LOOKED)
        if not isinstance(kept, str):
            await self._context.checkpoints.save(self._scope, {LOOKED: now.isoformat()})
            return now
        # A clock that was ahead must not keep ticks back; those that were told already are the same events.
        return await self._without_old(min(parse_time(kept), now), now)

    async def _without_old(self, looked: datetime, now: datetime) -> datetime:
        """Pass over the ticks that are not to be made up for."""
        oldest = now - self._bound.age if self._bound.age < now - datetime.min.replace(tzinfo=now.tzinfo) else looked
        # In a thread: a year of seconds takes its time to look through.
        begin = await anyio.to_thread.run_sync(self._ticks.newest, max(looked, oldest), now, self._bound.most)
        first = self._ticks.next(looked)
        if first is not None and first <= begin:
            log.warning(
                "calendar.skipped", source=self._context.status.name, first=first.isoformat(), until=begin.isoformat()
            )
        return begin

    async def _tell(self, looked: datetime, now: datetime) -> datetime:
        """Tell of all ticks up to now, a page at a time; each page is remembered once it is safe."""
        while page := list(islice(self._ticks.between(looked, now), PAGE)):
            await self._context.deliver([self._event(tick) for tick in page])
            looked = page[-1]
            await self._context.checkpoints.save(self._scope, {LOOKED: looked.isoformat()})
            self._say_next(looked)
        return looked

    def _next(self, looked: datetime) -> datetime | None:
        """The first tick after a moment; it is asked for more often than it changes."""
        if self._known is None or self._known[0] != looked:
            self._known = (looked, self._ticks.next(looked))
        return self._known[1]

    def _pause_s(self, looked: datetime) -> float:
        tick = self._next(looked)
        left = LOOK_S if tick is None else (tick - self._clock.now()).total_seconds()
        return min(LOOK_S, max(0.0, left))

    def _say_next(self, looked: datetime) -> None:
        tick = self._next(looked)
        self._context.status.listening(f"next: {tick:%Y-%m-%dT%H:%M:%SZ}" if tick else "no tick is to come")

    def _event(self, tick: datetime) -> Event:
        moment = f"{tick:%Y-%m-%dT%H:%M:%SZ}"
        data: dict[str, JsonValue] = {"eventTime": go_time(tick)}
        if self._context.ours:
            data["scheduledTime"] = moment
        return self._context.event(moment, data, time=tick)
