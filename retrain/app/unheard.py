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
"""Sensors whose silence is explained one by one; those nearest to the event come first."""


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
    """Each sensor without a decision about the event: `{"sensor", "reason", "asks", "nearest"}`.

    `asks`: whether it does ask for such events. `nearest`: the dependency that is most like the event, as
    `{"dependency", "source", "name"}`; None where it has none.
    """
    found = [(_silence(event, one, known), one) for one in documents if one.name not in heard]
    found.sort(key=lambda pair: (not pair[0]["asks"], -_near(address_of(event), pair[1])[0], pair[0]["sensor"]))
    return [said for said, _ in found]


def _silence(event: Event, document: SensorDocument, known: Hearing) -> Json:
    at = address_of(event)
    mine = [one for one in document.spec.dependencies if _asks(one, at)]
    near = mine[0] if mine else _near(at, document)[1]
    asks = bool(mine) or owner_of(event) == document.name
    return {
        "sensor": document.name,
        "asks": asks,
        "reason": _deaf(document, known) if asks else _other(at, near),
        "nearest": _shown(near) if near else None,
    }


def _asks(one: Dependency, at: Address) -> bool:
    address = compile_address(one.event_source_name, one.event_name)
    return address == at if isinstance(address, tuple) else address(at)


def _near(at: Address, document: SensorDocument) -> tuple[float, Dependency | None]:
    """The dependency that is most like this address, and how much, from 0 to 1."""
    alike = ((_alike(at, (one.event_source_name, one.event_name)), one) for one in document.spec.dependencies)
    return max(alike, key=lambda pair: pair[0], default=(0.0, None))


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
    if document.ours and document.spec.mode == "suspended":
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
