"""How events come together for a trigger, by key: at once, until a condition holds, in a window, or in an order.

A collector takes what came for a dependency (one event, or all of the dependency's own window) and gives back what met,
or says what is waited for. What it has so far is a `join` cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, cast

from retrain.expressions import Condition
from sensors.core.cells import CellId, Join, Parts
from sensors.core.chain import Chain, Member
from sensors.core.deadline import Deadline, alert, give_up, late_words
from sensors.core.turn import Met, Turn
from sensors.core.window import Rule, Told, earliest


class Collector(Protocol):
    """Brings events together. `names`: the dependencies that it is about."""

    names: tuple[str, ...]

    def take(self, turn: Turn, dependency: str, members: Sequence[Member], key: str, /) -> Met | str:
        """What met now that these came; or what is waited for, in words."""
        ...

    def tick(self, turn: Turn, cell_id: CellId, cell: Join, /) -> Met | None:
        """What met by the time; what is over is put on record."""
        ...

    def need(self, cell: Join, /) -> list[str]:
        """Names of dependencies that it lacks."""
        ...

    def progress(self, cell: Join, /) -> str:
        """How far it is, in words."""
        ...


class Alone:
    """One event is enough: nothing is kept."""

    def __init__(self, condition: Condition) -> None:
        self.names = condition.names

    def take(self, _turn: Turn, dependency: str, members: Sequence[Member], key: str) -> Met | str:
        return Met((Chain(dependency, members),), key, members[0].at)

    def tick(self, turn: Turn, cell_id: CellId, _cell: Join) -> Met | None:
        turn.put(cell_id, None)
        return None

    def need(self, _cell: Join) -> list[str]:
        return []

    def progress(self, _cell: Join) -> str:
        return ""


class Newest:
    """The newest event of each dependency counts, until the condition holds."""

    def __init__(self, trigger: str, condition: Condition, deadline: Deadline) -> None:
        self.names = condition.names
        self._trigger = trigger
        self._condition = condition
        self._deadline = deadline

    def take(self, turn: Turn, dependency: str, members: Sequence[Member], key: str) -> Met | str:
        cell_id = CellId("join", self._trigger, key)
        cell = cast("Join | None", turn.get(cell_id))
        came = Chain(dependency, members)
        if cell is None:
            parts: Parts = (came,)
            opened = turn.now
        else:
            parts = (*(part for part in cell.parts if part.dependency != dependency), came)
            opened = cell.opened
        have = [part.dependency for part in parts]
        if self._condition.holds(have):
            if cell is not None:
                turn.put(cell_id, None)
            return Met(parts, key, _oldest(parts))
        due = self._deadline.due(opened) if cell is None else cell.due
        turn.put(cell_id, Join(parts, opened, turn.now, due))
        words = f"waits for {', '.join(self._condition.need(have)) or 'its condition'}"
        return words + (_in_place(cell, dependency) if cell is not None else "")

    def tick(self, turn: Turn, cell_id: CellId, cell: Join) -> Met | None:
        return _end(turn, cell_id, cell, self._deadline, self.need(cell))

    def need(self, cell: Join) -> list[str]:
        return self._condition.need([part.dependency for part in cell.parts])

    def progress(self, _cell: Join) -> str:
        return ""


class Windowed:
    """Every event is a member, until the condition holds and the window is complete."""

    def __init__(self, trigger: str, condition: Condition, rule: Rule, deadline: Deadline) -> None:
        self.names = condition.names
        self._trigger = trigger
        self._condition = condition
        self._rule = rule
        self._deadline = deadline

    def take(self, turn: Turn, dependency: str, members: Sequence[Member], key: str) -> Met | str:
        cell_id = CellId("join", self._trigger, key)
        before = cast("Join | None", turn.get(cell_id))
        fresh, told = self._read(turn, dependency, members)
        parts = add(() if before is None else before.parts, dependency, fresh)
        have = [part.dependency for part in parts]
        holds = self._condition.holds(have)
        opened = turn.now if before is None else before.opened
        ripe = self._rule.ripens(opened, turn.now) if holds else None
        due = earliest(self._deadline.due(opened), ripe)
        cell = Join(parts, opened, turn.now, due, *self._rule.count_in(before, told))
        if holds and (self._rule.is_complete(cell) or self._rule.is_overdue(cell, turn.now)):
            if before is not None:
                turn.put(cell_id, None)
            return Met(parts, key, _oldest(parts))
        turn.put(cell_id, cell)
        need = self._condition.need(have)
        words = f"waits for {', '.join(need)}" if need else "waits for its window"
        notes = "".join(f"; {note}" for note in dict.fromkeys(one.note for one in told if one.note))
        return f"{words}: {self._rule.progress(cell)}{notes}"

    def _read(self, turn: Turn, dependency: str, members: Sequence[Member]) -> tuple[Sequence[Member], Sequence[Told]]:
        """The members with their marks, and what the window counts of each."""
        if not self._rule.reads:
            return [one if one.mark is None else one._replace(mark=None) for one in members], ()
        told = [self._rule.read(turn.content(dependency, one.event), dependency, one.event) for one in members]
        return [one._replace(mark=read.mark) for one, read in zip(members, told, strict=True)], told

    def tick(self, turn: Turn, cell_id: CellId, cell: Join) -> Met | None:
        if self._condition.holds([part.dependency for part in cell.parts]) and self._rule.is_ripe(cell, turn.now):
            turn.put(cell_id, None)
            return Met(cell.parts, cell_id.key, _oldest(cell.parts))
        return _end(turn, cell_id, cell, self._deadline, self.need(cell))

    def need(self, cell: Join) -> list[str]:
        return self._condition.need([part.dependency for part in cell.parts])

    def progress(self, cell: Join) -> str:
        return self._rule.progress(cell)


class Ordered:
    """One event of each dependency, in this order. What comes out of order is not kept."""

    def __init__(self, trigger: str, order: tuple[str, ...], deadline: Deadline) -> None:
        self.names = order
        self._trigger = trigger
        self._deadline = deadline

    def take(self, turn: Turn, dependency: str, members: Sequence[Member], key: str) -> Met | str:
        cell_id = CellId("join", self._trigger, key)
        cell = cast("Join | None", turn.get(cell_id))
        parts = () if cell is None else cell.parts
        if dependency != self.names[len(parts)]:
            return f"out of order: waits for {self.names[len(parts)]}"
        parts = (*parts, Chain(dependency, members))
        if len(parts) == len(self.names):
            turn.put(cell_id, None)
            return Met(parts, key, _oldest(parts))
        opened = turn.now if cell is None else cell.opened
        due = self._deadline.due(opened) if cell is None else cell.due
        turn.put(cell_id, Join(parts, opened, turn.now, due))
        return f"waits for {self.names[len(parts)]}"

    def tick(self, turn: Turn, cell_id: CellId, cell: Join) -> Met | None:
        return _end(turn, cell_id, cell, self._deadline, self.need(cell))

    def need(self, cell: Join) -> list[str]:
        return list(self.names[len(cell.parts) :])

    def progress(self, cell: Join) -> str:
        return f"{len(cell.parts)} of {len(self.names)} in order"


def add(parts: Parts, dependency: str, members: Sequence[Member]) -> Parts:
    """The parts with more members of a dependency."""
    for place, part in enumerate(parts):
        if part.dependency == dependency:
            return (*parts[:place], part.extend(members), *parts[place + 1 :])
    return (*parts, Chain(dependency, members))


def _oldest(parts: Parts) -> datetime:
    return min(part.first.at for part in parts)


def _end(turn: Turn, cell_id: CellId, cell: Join, deadline: Deadline, need: list[str]) -> Met | None:
    """What becomes of a cell whose time is over, if it is."""
    trigger, key = cell_id.part, cell_id.key
    if deadline.is_late(cell.opened, turn.now) and deadline.within is not None:
        turn.put(cell_id, None)
        if deadline.on_timeout == "fire":
            return Met(cell.parts, key, _oldest(cell.parts))
        why = late_words(cell.opened, deadline.within)
        told = give_up(turn, (trigger, "", key), cell.parts, need, why)
        if deadline.on_timeout == "alert":
            alert(turn, told, cell.parts, cell.opened, deadline.within)
    elif cron := deadline.reset_by(cell.opened, turn.now):
        turn.put(cell_id, None)
        give_up(turn, (trigger, "", key), cell.parts, need, f"reset by conditionsReset {cron!r}")
    return None


def _in_place(cell: Join, dependency: str) -> str:
    old = next((part for part in cell.parts if part.dependency == dependency), None)
    if old is None:
        return ""
    # Its key, which every command takes: to look up its id would cost a query for each event of a key that is open.
    name = old.last.event
    return f", in place of event {name}" if len(old) == 1 else f", in place of {len(old)} events up to {name}"
