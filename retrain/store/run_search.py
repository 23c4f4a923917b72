"""Finding runs in a long list: by phase, name, age and labels, newest first, page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Text, or_, select, type_coerce

from retrain.store.rows import Page, page, place_of
from retrain.store.runs import RunRow
from retrain.store.tables import runs
from retrain.store.windows import LOOKED_AT, READ, begins, by, few, floor_of

Fits = Callable[[RunRow], bool]
FITTED = 500
"""Whole runs that one page reads to see whether they fit."""


@dataclass(frozen=True, slots=True)
class RunSearch:
    """Which runs to find; None and nothing mean any.

    `since`, `until`: those made from then on, before then. `older`: those that ended before it. `words`: texts of which
    each stands somewhere in the run's labels or in its manifest, which the database looks for; `fits` says exactly who
    is meant.
    """

    phases: tuple[str, ...] = ()
    workflow: str | None = None
    prefix: str | None = None
    since: datetime | None = None
    older: datetime | None = None
    until: datetime | None = None
    namespace: str | None = None
    words: tuple[str, ...] = ()
    fits: Fits | None = None


def search(connection: Connection, which: RunSearch, *, cursor: str | None = None, limit: int = 50) -> Page[RunRow]:
    """The newest runs that fit. Each page looks through so many at most, see `retrain.store.windows`."""
    query, base, sieved = _query(connection, which)
    order, floor = (runs.c.created, runs.c.id), None
    most = READ if which.words else LOOKED_AT
    if sieved:
        floor = floor_of(connection, runs.c.created, cursor, most, base)
    if floor is not None:
        query = query.where(runs.c.created >= floor)
    found: list[RunRow] = []
    read = 0
    while True:
        rows, cursor = page(connection, query, order, cursor, limit - len(found))
        found.extend(_fitting(rows, which.fits))
        read += len(rows)
        if cursor is not None and len(found) < limit and read < FITTED:
            continue
        if cursor is not None or floor is None:
            return Page(found, cursor, read if cursor is not None and len(found) < limit else None)
        return Page(found, place_of(floor, ""), most if len(found) < limit else None)


def _fitting(rows: Sequence[Any], fits: Fits | None) -> list[RunRow]:
    found = [RunRow(**{name: getattr(row, name) for name in RunRow.__dataclass_fields__}) for row in rows]
    return found if fits is None else [row for row in found if fits(row)]


def _query(
    connection: Connection, which: RunSearch
) -> tuple[Select[*tuple[Any, ...]], list[ColumnElement[bool]], bool]:
    """The query along the index that fits it best; what of it that index has; and whether it asks for more."""
    index, base, rest = _way(connection, which)
    within = [*((runs.c.created < which.until,) if which.until is not None else ())]
    query = by(select(runs), runs, index).where(*base, *within, *rest)
    if which.since is not None:
        query = query.where(runs.c.created >= which.since)
    return query, [*base, *within], bool(rest) and index != _SORTED


_SORTED = "ix_runs_name"
Terms = list[ColumnElement[bool]]


def _way(connection: Connection, which: RunSearch) -> tuple[str, Terms, Terms]:
    """(index, the terms that it has, the terms that each row is asked for)."""
    phase: Terms = [runs.c.phase.in_(which.phases)] if which.phases else []
    workflow: Terms = [runs.c.workflow == which.workflow] if which.workflow is not None else []
    name: Terms = [begins(runs.c.name, which.prefix)] if which.prefix else []
    if name and few(connection, runs, *name):
        return _SORTED, name, [*phase, *workflow, *_rest(which)]
    if workflow:
        return "ix_runs_workflow_created", workflow, [*phase, *name, *_rest(which)]
    if len(which.phases) == 1 or (phase and few(connection, runs, *phase)):
        return "ix_runs_phase_created", phase, [*name, *_rest(which)]
    return "ix_runs_created", [], [*phase, *name, *_rest(which)]


def _rest(which: RunSearch) -> Terms:
    found: Terms = []
    if which.namespace is not None:
        found.append(runs.c.namespace == which.namespace)
    if which.older is not None:
        found.append(runs.c.finished < which.older)
    for word in which.words:
        # Text, not the value that the JSON stands for: a coarse sieve, so that few manifests are read.
        columns = (type_coerce(runs.c.labels, Text), type_coerce(runs.c.manifest, Text))
        found.append(or_(*(column.contains(word, autoescape=True) for column in columns)))
    return found
