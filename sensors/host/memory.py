"""What sensors keep in mind, as far as it is at hand: a bounded memory in front of the store, and the desk of a batch.

The memory holds what is committed. A batch works on its desk: what it changes lies there, and comes into the memory
once it is committed. So a batch that fails leaves nothing behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from retrain.store import cells
from retrain.store.cells import CellRow, Chunk, Name
from sensors.core import cell_text
from sensors.core.cells import EXPIRES, Cell, CellId, parts_of

BOUND = 200_000
"""Cells in memory. The store has the others."""

TOGETHER = 1000
"""A sensor with so many cells at most is read whole when one of them is asked for."""

UNKNOWN: Final = object()
"""Only the store knows."""


def named(sensor: str, cell_id: CellId) -> Name:
    """What a cell is known by among those of all sensors."""
    kind, part, key = cell_id
    return sensor, kind, part, key


class Memory:
    """Cells that were used lately, by name.

    They lie in two halves. What is used comes to the younger one; when that is full it becomes the older one, and what
    was in the older one is at hand no more. Of a sensor that is `complete` every cell is at hand.
    """

    def __init__(self, bound: int = BOUND) -> None:
        self._half = max(1, bound // 2)
        self._young: dict[Name, Cell] = {}
        self._old: dict[Name, Cell] = {}
        self._complete: set[str] = set()
        self.counts: dict[str, Counter[str]] = {}
        """How many cells of each kind a sensor has, here or in the store."""

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    @property
    def room(self) -> int:
        """How many cells may come in without any of now going out."""
        return self._half - len(self._young)

    def find(self, name: Name) -> Cell | object | None:
        """The cell; None if there is none; `UNKNOWN` if only the store knows."""
        cell = self._young.get(name)
        if cell is not None:
            return cell
        cell = self._old.pop(name, None)
        if cell is not None:
            self.keep(name, cell)
            return cell
        return None if name[0] in self._complete else UNKNOWN

    def keep(self, name: Name, cell: Cell) -> None:
        """Have a cell at hand, as it is committed."""
        self._old.pop(name, None)
        if len(self._young) >= self._half:
            self._complete.difference_update({one[0] for one in self._old})
            self._young, self._old = {}, self._young
        self._young[name] = cell

    def drop(self, name: Name) -> None:
        """There is no such cell any more."""
        self._young.pop(name, None)
        self._old.pop(name, None)

    def commit(self, changes: Mapping[Name, Change]) -> None:
        """What a batch has changed is written down."""
        for name, change in changes.items():
            self.count(name, (change.new is not None) - (change.old is not None))
            if change.new is None:
                self.drop(name)
            else:
                self.keep(name, change.new)

    def count(self, name: Name, more: int) -> None:
        """There are so many more (or less) of this kind."""
        if more:
            kinds = self.counts.setdefault(name[0], Counter())
            kinds[name[1]] += more

    def forget(self, sensor: str) -> None:
        """Have nothing of a sensor at hand: its cells were changed in the store."""
        self._complete.discard(sensor)
        for half in (self._young, self._old):
            for name in [one for one in half if one[0] == sensor]:
                del half[name]

    def clear(self) -> None:
        """Have nothing at hand."""
        self._young, self._old = {}, {}
        self._complete.clear()
        self.counts.clear()

    def recount(self, sensor: str, counts: Mapping[str, int], *, known: bool) -> None:
        """A sensor has so many cells of each kind now; what was `known` of them is old."""
        if known:
            self.forget(sensor)
        if counts:
            self.counts[sensor] = Counter(counts)
        else:
            self.counts.pop(sensor, None)
            self._complete.add(sensor)

    def fill(self, sensor: str, found: Mapping[CellId, Cell]) -> None:
        """Have all cells of a sensor at hand: there are no others."""
        for cell_id, cell in found.items():
            self.keep(named(sensor, cell_id), cell)
        self._complete.add(sensor)


@dataclass(frozen=True, slots=True)
class Change:
    """A cell before a batch, and after it. None where there is none."""

    old: Cell | None
    new: Cell | None


class Desk:
    """The cells of one batch: what it has changed, over what was there before, on one connection."""

    def __init__(self, memory: Memory, connection: Connection) -> None:
        self._memory = memory
        self._connection = connection
        self._looks: dict[str, Callable[[CellId], Cell | None]] = {}
        self.changes: dict[Name, Change] = {}

    def look(self, sensor: str) -> Callable[[CellId], Cell | None]:
        """What a sensor asks for its cells."""
        found = self._looks.get(sensor)
        if found is None:
            found = self._looks[sensor] = lambda cell_id: self.find(named(sensor, cell_id))
        return found

    def find(self, name: Name) -> Cell | None:
        """A cell as it is now."""
        change = self.changes.get(name)
        return self._before(name) if change is None else change.new

    def put(self, name: Name, cell: Cell | None) -> None:
        """Change a cell."""
        change = self.changes.get(name)
        self.changes[name] = Change(self._before(name) if change is None else change.old, cell)

    def _before(self, name: Name) -> Cell | None:
        memory = self._memory
        found = memory.find(name)
        if found is not UNKNOWN:
            return found  # pyright: ignore[reportReturnType]
        sensor = name[0]
        if sum(memory.counts.get(sensor, {}).values()) <= min(TOGETHER, memory.room):
            rows = cells.of_sensor(self._connection, sensor)
            memory.fill(sensor, read_cells(self._connection, rows))
            return memory.find(name)  # pyright: ignore[reportReturnType]
        cell = read_cell(self._connection, name)
        if cell is not None:
            memory.keep(name, cell)
        return cell


# --- in the store ----------------------------------------------------------------------------------------------------


def read_cell(connection: Connection, name: Name) -> Cell | None:
    """A cell from the store."""
    row = cells.get(connection, name)
    return None if row is None else cell_of(connection, row)


def cell_of(connection: Connection, row: CellRow) -> Cell:
    """A cell from its row, with the members that are kept apart."""
    lists = cells.members(connection, row.name) if row.chunked else []
    if row.members is not None:
        lists.append(row.members)
    return cell_text.read(row.kind, row.body, lists)


def read_cells(connection: Connection, rows: Iterable[CellRow]) -> dict[CellId, Cell]:
    """The cells of these rows of one sensor."""
    return {CellId(row.kind, row.part, row.key): cell_of(connection, row) for row in rows}


@dataclass(frozen=True, slots=True)
class Writing:
    """Changed cells as rows. `emptied`: cells whose members in chunks are to be deleted first."""

    rows: list[CellRow]
    chunks: list[Chunk]
    removed: list[Name]
    emptied: list[Name]

    def carry_out(self, connection: Connection) -> None:
        """Write it down."""
        cells.remove(connection, self.removed, self.emptied)
        cells.save(connection, self.rows, self.chunks)


def write_out(
    changes: Mapping[Name, Change], timeline: Callable[[str], int | None], still: Iterable[Name] = ()
) -> Writing:
    """What is to be written of these changes. `timeline`: of a sensor. `still`: cells that no timer is to look at."""
    writing, stopped = Writing([], [], [], []), set(still)
    for name, change in changes.items():
        if change.new is None:
            _write_gone(writing, name, change.old)
        elif change.new is not change.old or name in stopped:
            _write(writing, name, change.new, change.old, None if name in stopped else timeline(name[0]))
    return writing


def _apart(cell: Cell) -> int:
    """How many members of a cell are kept apart."""
    return sum(len(one) for one in parts_of(cell) if len(one) >= cell_text.APART)


def _write_gone(writing: Writing, name: Name, old: Cell | None) -> None:
    if old is None:
        return  # it came and went within the batch
    writing.removed.append(name)
    if _apart(old):
        writing.emptied.append(name)


def _write(writing: Writing, name: Name, new: Cell, old: Cell | None, timeline: int | None) -> None:
    saved = cell_text.save(new, old)
    if old is not None and saved.first == 0 and _apart(old):
        writing.emptied.append(name)
    if saved.fresh:
        writing.chunks.append(Chunk(name, saved.first, saved.fresh))
    ends = name[1] == EXPIRES
    due: datetime | None = new.due
    writing.rows.append(
        CellRow(
            *name,
            body=saved.body,
            timeline=timeline,
            due=None if ends else due,
            expires=due if ends else None,
            members=None if saved.members == "[]" else saved.members,
            chunked=saved.apart,
        )
    )
