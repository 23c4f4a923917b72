"""The list of runs with the columns that somebody chose, sorted as they chose.

By their creation runs are sorted page by page, however many there are. By anything else the newest `BOUND` of those
that fit are sorted, and the answer says how many those are and whether that is all: a value of a run is in its
document, which no database sorts by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from retrain.app.looking import queries
from retrain.app.runs.filters import Wish, search_of
from retrain.app.runs.values import Column, parse_columns, said_of, value_of
from retrain.errors import ConfigError
from retrain.store import promotions, run_search
from retrain.store.runs import RunRow

Json = dict[str, Any]
BOUND = 500
"""Runs that are sorted by anything but their creation."""
PLAIN = ("created", "duration")


@dataclass(frozen=True, slots=True)
class Sort:
    """What a list is sorted by: `created`, `duration`, or a column."""

    by: str | Column
    downward: bool

    def __str__(self) -> str:
        return f"{'-' if self.downward else ''}{self.by}"


NEWEST = Sort("created", downward=True)


def parse_sort(text: str | None) -> Sort:
    """`-created` (the default), `duration`, `-metric:accuracy`: with a dash the greatest first.

    Raises:
        ConfigError: it is none of these.
    """
    if not text:
        return NEWEST
    word = text.removeprefix("-")
    if word not in PLAIN and ":" not in word:
        raise ConfigError(f"sort {text!r}: say created, duration or a column such as metric:accuracy; with - downward")
    return Sort(word if word in PLAIN else parse_columns(word)[0], text.startswith("-"))


def list_runs(  # noqa: PLR0913 - what a list is asked for
    connection: Connection,
    wish: Wish,
    now: datetime,
    cursor: str | None = None,
    limit: int = 50,
    columns: str | None = None,
    sort: str | None = None,
) -> Json:
    """As `queries.list_runs`; where columns are asked for, each run has `columns`, a value by the name of each. Where
    the list is sorted by anything else than the newest first: `sorted`, with `by`, `runs` (how many) and `all`.

    Raises:
        ConfigError: what was asked for cannot be read.
    """
    shown, order = parse_columns(columns), parse_sort(sort)
    if order == NEWEST:
        found = run_search.search(connection, search_of(wish, now), cursor=cursor, limit=limit)
        searched = {} if found.searched is None else {"searched": found.searched}
        return {"items": _items(connection, found.items, shown), "next": found.next, **searched}
    first = _offset(cursor)
    found = run_search.search(connection, search_of(wish, now), limit=BOUND)
    rows = sorted_runs(found.items, order, partial(_values, connection, found.items, order), now)
    following = f"s{first + limit}" if first + limit < len(rows) else None
    said = {"by": str(order), "runs": len(rows), "all": found.next is None}
    return {"items": _items(connection, rows[first : first + limit], shown), "next": following, "sorted": said}


def sorted_runs(
    rows: Sequence[RunRow], order: Sort, values: Callable[[], Mapping[str, object]], now: datetime
) -> list[RunRow]:
    """Runs in that order; those of which nothing is known last, whichever way; those that are alike as they came."""
    if order.by == "created":
        return sorted(rows, key=lambda row: row.created, reverse=order.downward)
    known = {row.id: duration_s(row, now) for row in rows} if order.by == "duration" else values()
    there = [row for row in rows if known.get(row.id) is not None]
    there.sort(key=lambda row: _rank(known[row.id]), reverse=order.downward)
    return there + [row for row in rows if known.get(row.id) is None]


def duration_s(row: RunRow, now: datetime) -> float | None:
    """Seconds that a run took, or takes so far; None: it has not begun."""
    return None if row.started is None else ((row.finished or now) - row.started).total_seconds()


def _rank(value: object) -> tuple[int, float, str]:
    """Numbers before texts, texts that spell numbers among the numbers."""
    try:
        return 0, float(str(value)), ""
    except ValueError:
        return 1, 0.0, str(value)


def _values(connection: Connection, rows: Sequence[RunRow], order: Sort) -> Mapping[str, object]:
    assert isinstance(order.by, Column)
    candidates = candidates_of(connection, rows) if order.by.kind == "metric" else {}
    return {row.id: value_of(said_of(row, candidates.get(row.id)), order.by) for row in rows}


def candidates_of(connection: Connection, rows: Sequence[RunRow]) -> dict[str, Json]:
    """What promotions were proposed with because of these runs, by the id of the run."""
    found = promotions.related(connection, (), [row.id for row in rows])
    return {one.run_id: one.candidate for one in found if one.run_id}


def _items(connection: Connection, rows: Sequence[RunRow], columns: Sequence[Column]) -> list[Json]:
    items = [queries.listed_run(row) for row in rows]
    if not columns:
        return items
    candidates = candidates_of(connection, rows) if any(one.kind == "metric" for one in columns) else {}
    said = [said_of(row, candidates.get(row.id)) for row in rows]
    return [
        {**item, "columns": {str(one): value_of(what, one) for one in columns}}
        for item, what in zip(items, said, strict=True)
    ]


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.startswith("s") and cursor[1:].isdecimal() and len(cursor) < 9):
        raise ConfigError(f"cursor {cursor!r} is none that this list gave; leave it out to start at its beginning")
    return int(cursor[1:])
