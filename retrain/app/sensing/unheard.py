"""Why a sensor said nothing of an event: it asks for others (and which of them is nearest), or it could not hear it.

Pure but for `hearing`, which asks the store how far each sensor has read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from sqlalchemy import Connection

from retrain.events import Event
from retrain.store import cursors, events, sensors
from sensors import SensorDocument
from sensors.core.addresses import Address, address_of, compile_address, owner_of
from sensors.dependency_spec import Dependency

Json = dict[str, Any]
MOST = 200
"""Sensors whose silence is explained."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """How far sensors have read the log, by name (one that never ran is left out), and where the event stands."""

    read: Mapping[str, int]
    position: int


def hearing(connection: Connection, key: str, names: Iterable[str]) -> Hearing:
    """What the store knows of who has read that far."""
    reached = cursors.load(connection, "sensors") or 0
    rows = sensors.get_many(connection, names)
    read = {name: max(row.position, reached) if row.joined else row.position for name, row in rows.items()}
    return Hearing(read, events.positions(connection, [key]).get(key, 0))


def unheard(event: Event, documents: Iterable[SensorDocument], heard: Collection[str], known: Hearing) -> list[Json]:
    """Sensors without a decision about the event, `MOST` at most: `{"sensor", "reason", "asks", "nearest"}`.

    Those that ask for such events (`asks`) come first, then those that ask for what is most like it. `nearest`: their
    dependency that is, as `{"dependency", "source", "name"}`; None where one has none.
    """
    at = address_of(event)
    found = [(_concerns(event, one), _roughly(at, one), one) for one in documents if one.name not in heard]
    found.sort(key=lambda one: (not one[0], -one[1], one[2].name))
    return [_silence(at, one, known, asks=asks) for asks, _, one in found[:MOST]]


def _silence(at: Address, document: SensorDocument, known: Hearing, *, asks: bool) -> Json:
    mine = (one for one in document.spec.dependencies if _asks(one, at))
    near = next(mine, None) or _near(at, document)
    reason = _deaf(document, known) if asks else _other(at, near)
    return {"sensor": document.name, "asks": asks, "reason": reason, "nearest": _shown(near) if near else None}


def _concerns(event: Event, document: SensorDocument) -> bool:
    at = address_of(event)
    return owner_of(event) == document.name or any(_asks(one, at) for one in document.spec.dependencies)


def _roughly(at: Address, document: SensorDocument) -> float:
    """How like the event the most similar of its addresses is, quickly: of thousands of sensors few are looked at."""
    return max((_ends_alike(at, one) for one in document.spec.dependencies), default=-1.0)


def _ends_alike(at: Address, one: Dependency) -> float:
    pairs = ((at[0], one.event_source_name), (at[1], one.event_name))
    return sum(_same_ends(*pair) / (max(len(pair[0]), len(pair[1])) or 1) for pair in pairs)


def _same_ends(one: str, other: str) -> int:
    """Letters that two words begin and end with alike."""
    begin = _same_begin(one, other)
    return begin + _same_begin(one[begin:][::-1], other[begin:][::-1])


def _same_begin(one: str, other: str) -> int:
    for number, (letter, mate) in enumerate(zip(one, other, strict=False)):
        if letter != mate:
            return number
    return min(len(one), len(other))


def _asks(one: Dependency, at: Address) -> bool:
    address = compile_address(one.event_source_name, one.event_name)
    return address == at if isinstance(address, tuple) else address(at)


def _near(at: Address, document: SensorDocument) -> Dependency | None:
    """The dependency that is most like this address."""
    return max(
        document.spec.dependencies, key=lambda one: _alike(at, (one.event_source_name, one.event_name)), default=None
    )


def _alike(one: Address, other: Address) -> float:
    same = SequenceMatcher(None, one[0][:200], other[0][:200]), SequenceMatcher(None, one[1][:200], other[1][:200])
    return sum(match.ratio() for match in same) / 2


def _other(at: Address, near: Dependency | None) -> str:
    if near is None:
        return "it has no dependency at all"
    source, name = near.event_source_name, near.event_name
    wants = f"no dependency waits for {_place(at)}; nearest: {near.name} waits for {_place((source, name))}"
    if source == at[0]:
        return f"{wants}: another name"
    return f"{wants}: another source" if name == at[1] else wants


def _deaf(document: SensorDocument, known: Hearing) -> str:
    reached = known.read.get(document.name)
    if document.mode == "suspended":
        return "it is suspended: it takes no events, and goes on from its place later"
    if reached is None:
        return "it asks for this event, and has not run here yet"
    if reached < known.position:
        return f"it asks for this event, and has read the log to {reached} so far; this event is at {known.position}"
    return "it asks for this event now, and has no decision on record: it came later, asked for others then, or forgot"


def _place(at: Address) -> str:
    return f"{at[0]}/{at[1]}" if at[1] else f"{at[0]} without a name"


def _shown(one: Dependency) -> Json:
    return {"dependency": one.name, "source": one.event_source_name, "name": one.event_name}
