"""Cells in memory, and which of them is due next."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from sensors.core.cells import Cell, CellId


class Timetable:
    """Cells by id, and a heap of their due times. An entry of the heap may be older than its cell: it is put right when
    it comes up, so that a timer which moves with every event costs nothing until then."""

    __slots__ = ("_heap", "_noted", "cells")

    def __init__(self, cells: Iterable[tuple[CellId, Cell]] = ()) -> None:
        self.cells: dict[CellId, Cell] = {}
        self._heap: list[tuple[datetime, CellId]] = []
        # When each cell's earliest entry in the heap is.
        self._noted: dict[CellId, datetime] = {}
        self.put(dict(cells))

    def get(self, cell_id: CellId) -> Cell | None:
        """A cell, or None."""
        return self.cells.get(cell_id)

    def put(self, changes: Mapping[CellId, Cell | None]) -> None:
        """Take changes over; None removes."""
        for cell_id, cell in changes.items():
            if cell is None:
                self.cells.pop(cell_id, None)
                continue
            self.cells[cell_id] = cell
            due = cell.due
            if due is not None:
                noted = self._noted.get(cell_id)
                if noted is None or due < noted:
                    self._noted[cell_id] = due
                    heapq.heappush(self._heap, (due, cell_id))

    def next(self) -> tuple[datetime, CellId] | None:
        """The cell that is due first; of several at one moment, the first by kind, part and key."""
        heap = self._heap
        while heap:
            due, cell_id = heap[0]
            cell = self.cells.get(cell_id)
            actual = None if cell is None else cell.due
            if self._noted.get(cell_id) != due or actual is None:
                heapq.heappop(heap)
                if self._noted.get(cell_id) == due:
                    del self._noted[cell_id]
            elif actual > due:
                self._noted[cell_id] = actual
                heapq.heapreplace(heap, (actual, cell_id))
            else:
                return due, cell_id
        return None

    def due_until(self, moment: datetime) -> Iterator[tuple[datetime, CellId]]:
        """The cells that are due until then, one after the other, as they stand when their turn comes."""
        while (first := self.next()) is not None and first[0] <= moment:
            yield first
            if self.next() == first:
                raise AssertionError(f"cell {first[1]} is still due after its timer")
