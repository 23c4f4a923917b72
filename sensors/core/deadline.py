"""When what is waited for is given up: `within` of a window or a sequence, and the ticks of `conditionsReset`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from hashlib import sha256
from typing import Literal

from retrain.errors import ConfigError, RetrainError
from retrain.events import OWN_SOURCE, Event, EventKey, JsonValue, format_time
from retrain.expressions.cron import Cron, compile_cron
from sensors.core.addresses import EXPIRED, SENSOR, TRIGGER
from sensors.core.cells import Parts
from sensors.core.outcome import Outcome
from sensors.core.telling import moment, named, span
from sensors.core.turn import Turn
from sensors.core.window import earliest
from sensors.filtering.clock_time import zone
from sensors.trigger_spec import ConditionsReset

OnTimeout = Literal["drop", "fire", "alert"]

MOST_IDS = 100
"""Ids of each dependency in a `sensor.expired` event."""


class Reset:
    """Moments at which what waits is forgotten, by cron."""

    __slots__ = ("_crons", "_memo")

    def __init__(self, written: Sequence[ConditionsReset]) -> None:
        """Compile.

        Raises:
            ConfigError: a cron expression or a time zone is none.
        """
        self._crons: list[tuple[Cron, tzinfo]] = []
        for one in written:
            if one.by_time is None or not one.by_time.cron:
                raise ConfigError("conditionsReset needs byTime.cron: when to forget")
            self._crons.append((compile_cron(one.by_time.cron), zone(one.by_time.timezone)))
        # Cells are opened one after the other, most of them between the same two ticks: (after what, the next tick).
        self._memo: tuple[datetime, datetime | None] | None = None

    def next(self, opened: datetime) -> datetime | None:
        """The first tick after what was opened then."""
        memo = self._memo
        if memo is None or memo[0] > opened or (memo[1] is not None and memo[1] <= opened):
            found = earliest(*(cron.next(opened, where) for cron, where in self._crons))
            memo = self._memo = (opened, found)
        return memo[1]

    def which(self, tick: datetime) -> str:
        """The cron expression of a tick."""
        before = tick - timedelta(seconds=1)
        return next((cron.text for cron, where in self._crons if cron.next(before, where) == tick), "its cron")


class Deadline:
    """When a cell is given up, by when it was opened."""

    __slots__ = ("_reset", "on_timeout", "within")

    def __init__(self, within: timedelta | None, on_timeout: OnTimeout, reset: Reset | None = None) -> None:
        self.within = within
        self.on_timeout: OnTimeout = on_timeout
        self._reset = reset

    def due(self, opened: datetime) -> datetime | None:
        """When that is; None for never."""
        timeout = None if self.within is None else opened + self.within
        return timeout if self._reset is None else earliest(timeout, self._reset.next(opened))

    def is_late(self, opened: datetime, now: datetime) -> bool:
        """Whether `within` is over."""
        return self.within is not None and now >= opened + self.within

    def reset_by(self, opened: datetime, now: datetime) -> str | None:
        """The cron expression that ends it by now, if one does."""
        tick = None if self._reset is None else self._reset.next(opened)
        return None if self._reset is None or tick is None or tick > now else self._reset.which(tick)


def give_up(
    turn: Turn, whose: tuple[str, str, str], parts: Parts, need: Iterable[str], why: str
) -> dict[str, JsonValue]:
    """Put on record that events will not act; gives what `alert` tells of it. `whose`: (trigger, dependency, key), one
    of the first two "".

    Event ids are loaded for the first events only.
    """
    trigger, dependency, key = whose
    have: dict[str, JsonValue] = {}
    words: list[str] = []
    for part in turn.frame.sorted(parts):
        ids = [_name(turn, one.event) for one in part.since(0)[:MOST_IDS]]
        have[part.dependency] = ids
        words.append(f"{part.dependency} ({named(ids, len(part))})")
    needs = list(need)
    lacks = f", and lacked {', '.join(needs)}" if needs else ""
    reason = f"{why}; had {', '.join(words)}{lacks}"
    turn.decide(trigger, key, Outcome.EXPIRED, reason, dependency=dependency or None)
    counts = {part.dependency: len(part) for part in parts}
    told: dict[str, JsonValue] = {
        "sensor": turn.frame.name,
        "trigger": trigger,
        "key": key,
        "have": have,
        "need": needs,
    }
    return told | {"counts": counts} | ({"dependency": dependency} if dependency else {})


def alert(turn: Turn, told: dict[str, JsonValue], parts: Parts, opened: datetime, within: timedelta) -> None:
    """Emit `sensor.expired`."""
    depth = max((one.depth or 0 for part in parts for one in part), default=0)
    name, trigger, key = turn.frame.name, told["trigger"], told["key"]
    whose = trigger or told.get("dependency", "")
    turn.emit(
        Event(
            id=f"{name}.{whose}.{digest_of(key)}.{format_time(opened)}",
            source=OWN_SOURCE,
            subject=EXPIRED,
            type=f"dev.retrain.{EXPIRED}",
            time=turn.now,
            datacontenttype="application/json",
            data=told | {"opened": format_time(opened), "within": within.total_seconds()},
            extensions={
                SENSOR: name,
                **({TRIGGER: trigger} if trigger else {}),
                **({"retraindepth": depth} if depth else {}),
            },
        )
    )


def late_words(opened: datetime, within: timedelta) -> str:
    """Why something is given up."""
    return f"not complete within {span(within)} from {moment(opened)} on"


def digest_of(key: str) -> str:
    """A key of any length and with any characters, as a part of an id."""
    return sha256(key.encode()).hexdigest()[:16]


def _name(turn: Turn, key: EventKey) -> str:
    try:
        return turn.name_of(key)
    except RetrainError:
        return key  # it is no longer kept; its key still tells it from others
