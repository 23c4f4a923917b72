"""Cells as JSON text. A cell's body is small and written whole; the members of long windows are written once, apart.

    save(new, old)              what to write down of a cell, given how it was saved last
    read(kind, body, lists)     the cell again, from its body and the JSON lists of its members in any split
    read_version_0(...)         the join cells of what a Retrain before cells kept

Every body has `"v": 1`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import orjson

from retrain.errors import Permanent
from retrain.events import EventKey, JsonValue
from sensors.core.cells import (
    Active,
    Batch,
    Cell,
    CellId,
    Count,
    Held,
    Join,
    Lane,
    Parts,
    Queued,
    Seen,
    Silence,
    Spent,
    parts_of,
)
from sensors.core.chain import Chain, Marks, Member

VERSION = 1
APART = 64
"""From so many members on, those of one dependency are kept apart from the cell."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What to write down. `body`: in place of the old. `members`: JSON list of those kept with it. `fresh`: JSON list
    of the members to add to those kept apart, where they will be numbers `first` and following; "" for none.
    `apart`: how many are kept apart then. Where `first` is 0, what was kept apart before is to be deleted."""

    body: str
    members: str
    fresh: str
    first: int
    apart: int


def save(new: Cell, old: Cell | None) -> Saved:
    """What to write down of a cell whose last saved state is `old` (None: there is none, or it is not known).

    Appending to a window of any length writes what is new only.
    """
    parts = parts_of(new)
    far = {one.dependency: one for one in parts if len(one) >= APART}
    before = {one.dependency: one for one in parts_of(old) if len(one) >= APART} if old is not None and far else {}
    goes_on = all(name in far and far[name].extends(one) for name, one in before.items())
    first = sum(map(len, before.values())) if goes_on else 0
    fresh: list[JsonValue] = []
    for name, one in far.items():
        fresh += _rows(one, len(before[name]) if goes_on and name in before else 0)
    near: list[JsonValue] = []
    for one in parts:
        if one.dependency not in far:
            near += _rows(one, 0)
    body = {"v": VERSION, **_BODIES[type(new)](new)}
    return Saved(_text(body), _text(near), _text(fresh) if fresh else "", first, sum(map(len, far.values())))


def read(kind: str, body: str | bytes, members: Iterable[str | bytes] = ()) -> Cell:
    """A cell from its text. `members`: the JSON lists of its members, those kept apart first, in order.

    Raises:
        Permanent: it was written by a Retrain that is younger than this one.
    """
    found = cast("dict[str, Any]", orjson.loads(body))
    if found.get("v") != VERSION or kind not in _READERS:
        raise Permanent(f"a {kind} cell of version {found.get('v')!r}: it was written by a younger Retrain")
    return _READERS[kind](found, _read_parts(found, members))


def read_version_0(state: JsonValue, at: datetime) -> dict[CellId, Join]:
    """What sensors kept before there were cells, {trigger: {dependency: event key}}, as joins that were opened `at`."""
    cells: dict[CellId, Join] = {}
    for trigger, have in cast("Mapping[str, Mapping[str, str]]", state if isinstance(state, dict) else {}).items():
        parts = tuple(Chain(name, (Member(EventKey(key), at, None, None),)) for name, key in have.items())
        if parts:
            cells[CellId("join", trigger, "")] = Join(parts, at, at)
    return cells


# --- writing ---


def _text(value: JsonValue) -> str:
    return orjson.dumps(value).decode()


def _rows(chain: Chain, start: int) -> list[JsonValue]:
    return [[chain.dependency, one.event, _stamp(one.at), one.mark, one.depth] for one in chain.since(start)]


def _stamp(moment: datetime | None) -> int | None:
    """Microseconds since 1970. Exact, and half as long as a text."""
    if moment is None:
        return None
    past = moment - _EPOCH
    return (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds


def _window_body(cell: Batch | Join) -> dict[str, JsonValue]:
    body: dict[str, JsonValue] = {"order": [one.dependency for one in cell.parts], "opened": _stamp(cell.opened)}
    if cell.last != cell.opened:
        body["last"] = _stamp(cell.last)
    if cell.due is not None:
        body["due"] = _stamp(cell.due)
    if cell.total:
        body["total"] = cell.total
    if cell.marks is not None:
        body["marked"] = True  # the marks themselves are those of the members
    return body


def _held_body(cell: Held) -> dict[str, JsonValue]:
    order = [one.dependency for one in cell.parts]
    return {"order": order, "key": cell.match_key, "opened": _stamp(cell.opened)}


def _lane_body(cell: Lane) -> dict[str, JsonValue]:
    return {
        "active": [[*one[:2], _stamp(one.since), *one[3:]] for one in cell.active],
        "queue": [[*one[:3], _stamp(one.since), *one[4:]] for one in cell.queue],
        "fired": [_stamp(one) for one in cell.fired],
        "spent": [[_stamp(one.at), one.amount] for one in cell.spent],
        "known": list(cell.known),
        "failed": [[*one[:2], _stamp(one.since), *one[3:]] for one in cell.failed],
        "due": _stamp(cell.due),
    }


_BODIES: dict[type, Callable[[Any], dict[str, JsonValue]]] = {
    Seen: lambda cell: {"event": cell.event, "name": cell.name, "due": _stamp(cell.due)},
    Batch: _window_body,
    Join: _window_body,
    Silence: lambda cell: {"last": cell.last, "since": _stamp(cell.since), "due": _stamp(cell.due)},
    Count: lambda cell: {"n": cell.n},
    Held: _held_body,
    Lane: _lane_body,
}


# --- reading ---

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _time(stamp: int | None) -> Any:
    """The moment of a stamp; `Any`, since the fields that may be missing are those that a cell may lack."""
    if stamp is None:
        return None
    seconds, micro = divmod(stamp, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micro)


def _read_parts(body: dict[str, Any], members: Iterable[str | bytes]) -> Parts:
    found: dict[str, list[Member]] = {name: [] for name in body.get("order", ())}
    for text in members:
        for dependency, event, at, mark, depth in orjson.loads(text):
            found[dependency].append(Member(event, _time(at), mark, depth))
    return tuple(Chain(name, members) for name, members in found.items())


def _read_window(kind: type[Batch] | type[Join], body: dict[str, Any], parts: Parts) -> Cell:
    marks = Marks(one.mark for part in parts for one in part if one.mark is not None) if "marked" in body else None
    opened, last = _time(body["opened"]), _time(body.get("last", body["opened"]))
    return kind(parts, opened, last, _time(body.get("due")), body.get("total", 0.0), marks)


def _read_lane(body: dict[str, Any], _parts: Parts) -> Lane:
    return Lane(
        active=_read_active(body["active"]),
        queue=tuple(Queued._make([*one[:3], _time(one[3]), *one[4:]]) for one in body["queue"]),
        fired=tuple(_time(one) for one in body["fired"]),
        spent=tuple(Spent(_time(at), amount) for at, amount in body["spent"]),
        known=tuple(body["known"]),
        failed=_read_active(body["failed"]),
        due=_time(body["due"]),
    )


def _read_active(rows: Iterable[Any]) -> tuple[Active, ...]:
    return tuple(Active._make([*one[:2], _time(one[2]), *one[3:]]) for one in rows)


_READERS: dict[str, Callable[[dict[str, Any], Parts], Cell]] = {
    "seen": lambda body, _: Seen(body["event"], body["name"], _time(body["due"])),
    "batch": lambda body, parts: _read_window(Batch, body, parts),
    "join": lambda body, parts: _read_window(Join, body, parts),
    "silence": lambda body, _: Silence(body["last"], _time(body["since"]), _time(body["due"])),
    "count": lambda body, _: Count(body["n"]),
    "held": lambda body, parts: Held(parts, body["key"], _time(body["opened"])),
    "lane": _read_lane,
}
