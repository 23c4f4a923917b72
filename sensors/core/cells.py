"""What a sensor keeps in mind: one cell for each thing that is waited for. Values; nothing in them changes.

A cell is known by what it is (`kind`), whose it is (`part`: a dependency or a trigger) and its `key`. `due`: when a
timer is to look at it. cell_text.py writes cells down and reads them.

    seen      dependency   dedupe key         an event that counts, for as long as others with its key do not
    batch     dependency   key                a dependency's own window that is open
    join      trigger      key                what a trigger has of what it needs
    silence   dependency   key                since when nothing came; `trigger:NAME` for a trigger's own
    count     trigger      key                matches since the last that went on (`every`)
    lane      trigger      ""                 what runs, what is held and what was spent
    held      trigger      id of a firing     the events of a match that the lane holds
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, NamedTuple

from retrain.events import EventKey
from sensors.core.chain import Chain, Marks

Kind = Literal["seen", "batch", "join", "silence", "count", "lane", "held"]
KINDS: tuple[Kind, ...] = ("seen", "batch", "join", "silence", "count", "lane", "held")

EXPIRES = "seen"
"""The kind of cells that only end: when they are due they are deleted, and nobody is asked."""

TRIGGER = "trigger:"
"""Before the name of a trigger where a part is else a dependency."""


class CellId(NamedTuple):
    """What a cell is known by, within its sensor."""

    kind: str
    part: str
    key: str


Parts = tuple[Chain, ...]
"""Events by dependency, in the order in which the dependencies came first. No chain is empty."""


@dataclass(frozen=True, slots=True)
class Seen:
    """`event` counts, whose id is `name`; others with the same key are duplicates of it before `due`."""

    kind: ClassVar[Kind] = "seen"
    event: EventKey
    name: str
    due: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """A dependency's window, open since `opened`; the last event came at `last`. `total`: the sum so far. `marks`:
    which of the expected ones came, None if none are."""

    kind: ClassVar[Kind] = "batch"
    parts: Parts
    opened: datetime
    last: datetime
    due: datetime | None = None
    total: float = 0.0
    marks: Marks | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """What a trigger has for a key. As for `Batch`."""

    kind: ClassVar[Kind] = "join"
    parts: Parts
    opened: datetime
    last: datetime
    due: datetime | None = None
    total: float = 0.0
    marks: Marks | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing came after `last` (None: nothing at all), which arrived at `since`."""

    kind: ClassVar[Kind] = "silence"
    last: EventKey | None
    since: datetime
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """`n` matches were skipped since the last that went on."""

    kind: ClassVar[Kind] = "count"
    n: int
    due: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class Held:
    """A match that waits in a lane: its events, its key, and when the first of them arrived."""

    kind: ClassVar[Kind] = "held"
    parts: Parts
    match_key: str
    opened: datetime
    due: ClassVar[None] = None


class Active(NamedTuple):
    """A firing that is not over. `lane_key`: of `concurrency`. `run`: what it started. `stopping`: it was told to."""

    firing: str
    lane_key: str
    since: datetime
    run: str | None = None
    stopping: bool = False


class Queued(NamedTuple):
    """A match in the queue. `firing`: the key of its `held` cell. `gate`: who holds it, `why` in words. `asks`: it
    waits for an approval, and holds up nobody. `approved`: it has one."""

    firing: str
    lane_key: str
    match_key: str
    since: datetime
    gate: str
    why: str
    asks: bool = False
    approved: bool = False


class Spent(NamedTuple):
    """What a run has spent; when that was told."""

    at: datetime
    amount: float


@dataclass(frozen=True, slots=True)
class Lane:
    """The firings of a trigger that has limits. `fired`: when it did, as far back as its limits look. `known`: what the
    last ten runs spent. `failed`: firings that ended dead, which a redrive makes active again."""

    kind: ClassVar[Kind] = "lane"
    active: tuple[Active, ...] = ()
    queue: tuple[Queued, ...] = ()
    fired: tuple[datetime, ...] = ()
    spent: tuple[Spent, ...] = ()
    known: tuple[float, ...] = ()
    failed: tuple[Active, ...] = ()
    due: datetime | None = None


Cell = Seen | Batch | Join | Silence | Count | Held | Lane

IDLE = Lane()


def parts_of(cell: Cell) -> Parts:
    """The events that a cell holds."""
    return cell.parts if isinstance(cell, Batch | Join | Held) else ()
