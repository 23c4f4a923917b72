"""What a sensor waits for, for people: by trigger and key, what came, what is missing, until when, and what is held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sensors.core.cells import Batch, Cell, CellId, Held, Join, Lane
from sensors.core.dependency_rule import DependencyRule
from sensors.core.outcome import HeldMatch, Waiting
from sensors.core.trigger_rule import TriggerRule
from sensors.core.turn import Frame


def waiting_of(
    frame: Frame,
    triggers: Mapping[str, TriggerRule],
    dependencies: Mapping[str, DependencyRule],
    cells: Iterable[tuple[CellId, Cell]],
) -> list[Waiting]:
    """One entry for each open window or join, and for each match that is held, triggers in the order of the spec."""
    order = {name: place for place, name in enumerate(triggers)}
    found: list[Waiting] = []
    held: dict[tuple[str, str], Held] = {}
    lanes: list[tuple[str, Lane]] = []
    for cell_id, cell in cells:
        match cell:
            case Join() if (trigger := triggers.get(cell_id.part)) is not None:
                need = tuple(trigger.need(cell))
                found.append(_open(frame, trigger.name, cell_id.key, cell, need, trigger.progress(cell)))
            case Batch() if (dependency := dependencies.get(cell_id.part)) is not None:
                found.append(_open(frame, "", cell_id.key, cell, (), dependency.progress(cell)))
            case Held():
                held[cell_id.part, cell_id.key] = cell
            case Lane():
                lanes.append((cell_id.part, cell))
            case _:
                pass
    found += [one for name, lane in lanes for one in _held(frame, name, lane, held)]
    return sorted(found, key=lambda one: (order.get(one.trigger, -1), one.key, one.have, one.held != ()))


def _open(frame: Frame, trigger: str, key: str, cell: Batch | Join, need: tuple[str, ...], progress: str) -> Waiting:
    have = tuple(part.dependency for part in frame.sorted(cell.parts))
    count = sum(map(len, cell.parts))
    return Waiting(trigger, key, have, need, cell.due, count, cell.opened, progress)


def _held(frame: Frame, trigger: str, lane: Lane, held: Mapping[tuple[str, str], Held]) -> Iterable[Waiting]:
    for one in lane.queue:
        cell = held.get((trigger, one.firing))
        parts = () if cell is None else frame.sorted(cell.parts)
        have = tuple(part.dependency for part in parts)
        count = sum(map(len, parts))
        until = None if one.asks or one.gate == "concurrency" else lane.due
        match = HeldMatch(one.firing, one.why, one.since, one.asks)
        opened = one.since if cell is None else cell.opened
        key = one.match_key if cell is None else cell.match_key
        yield Waiting(trigger, key, have, (), until, count, opened, "", (match,))
