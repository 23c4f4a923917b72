"""What comes of a step: decisions with their reasons, firings, changed cells, events to tell. And what a step asks for.

These are the values at the seam between the pure core and whoever runs it (host, explain, replay).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from retrain.events import Event, EventKey
from sensors.actions.render import Action
from sensors.core.cells import Cell, CellId
from sensors.filtering.filters import Check

Address = tuple[str, str]
"""(event source, event name): an event's `source` and `subject`."""

Load = Callable[[EventKey], Event]
"""Gives an event that the state names."""

Look = Callable[[CellId], Cell | None]
"""The state, as far as it is asked for."""


NO_CHANGES: Mapping[CellId, Cell | None] = MappingProxyType({})


class Outcome(StrEnum):
    """What became of an event at a dependency (the first five), or of a match in a trigger."""

    PASSED = "passed"
    FILTERED = "filtered"
    ERROR = "error"
    UNMATCHED = "unmatched"
    DUPLICATE = "duplicate"
    WAITING = "waiting"
    FIRED = "fired"
    EXPIRED = "expired"
    HELD = "held"
    THROTTLED = "throttled"
    OVER_BUDGET = "over-budget"
    SKIPPED = "skipped"
    COALESCED = "coalesced"
    REPLACED = "replaced"
    RELEASED = "released"
    FORGOTTEN = "forgotten"


class Decision(NamedTuple):
    """What was decided, and why. About the event at hand at `dependency` (None: at no dependency); or, where
    `trigger` is set, about what a trigger has for `key`. `event`: which one, if it is not the one at hand.

    A tuple, because one is made for each event.
    """

    dependency: str | None
    outcome: Outcome
    reason: str
    checks: tuple[Check, ...] = ()
    trigger: str | None = None
    key: str = ""
    event: EventKey | None = None


class Fired(NamedTuple):
    """A trigger fires. `events` in the order of the sensor's dependencies; `action` {} with an `error` that says why
    it could not be made. `depth`: the deepest lineage among the events. `tracked`: its end is to be told (firing.done,
    firing.failed). `shadow`: decided, and not to be carried out."""

    id: str
    trigger: str
    key: str
    events: tuple[EventKey, ...]
    action: Action
    depth: int
    created: datetime
    error: str | None = None
    tracked: bool = False
    priority: int = 0
    ordered: bool = False
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class HeldMatch:
    """A match that waits in a lane. `firing`: the id to approve or reject it by. `asks`: it waits for that."""

    firing: str
    reason: str
    since: datetime
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """What has a part of what it needs. `trigger` "" is the window of the dependency in `have`. `until`: when a timer
    looks at it. `count`: events; `progress`: of its window, in words. `held`: it is complete, and held back."""

    trigger: str
    key: str
    have: tuple[str, ...]
    need: tuple[str, ...]
    until: datetime | None = None
    count: int = 0
    opened: datetime | None = None
    progress: str = ""
    held: tuple[HeldMatch, ...] = ()


class Step(NamedTuple):
    """What came of one event or timer. `changes`: cells that are new or changed, None for those that are gone.
    `retired`: cells whose part is gone, to be set aside. `emitted`: events to publish. `stops`: ids of firings to stop.

    A tuple, because one is made for each event.
    """

    decisions: tuple[Decision, ...] = ()
    firings: tuple[Fired, ...] = ()
    changes: Mapping[CellId, Cell | None] = NO_CHANGES
    emitted: tuple[Event, ...] = ()
    stops: tuple[str, ...] = ()
    retired: tuple[CellId, ...] = ()
