"""Finding runs in a long list: by phase, name, age and labels, newest first, page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Text, or_, select, type_coerce

from retrain.store.rows import Page, page
from retrain.store.runs import RunRow
from retrain.store.tables import runs

Fits = Callable[[RunRow], bool]


@dataclass(frozen=True, slots=True)
class RunSearch:
    """Which runs to find; None and nothing mean any.

    `older`: those that ended before it. `words`: texts of which each stands somewhere in the run's labels or in its
    manifest, which the database looks for; `fits` says exactly who is meant.
    """

    phases: tuple[str, ...] = ()
    workflow: str | None = None
    prefix: str | None = None
    since: datetime | None = None
    older: datetime | None = None
    words: tuple[str, ...] = ()
    fits: Fits | None = None


def search(connection: Connection, which: RunSearch, *, cursor: str | None = None, limit: int = 50) -> Page[RunRow]:
    """The newest runs that fit."""
    query = _query(which)
    found: list[RunRow] = []
    while True:
        rows, cursor = page(connection, query, (runs.c.created, runs.c.id), cursor, limit - len(found))
        found.extend(_fitting(rows, which.fits))
        if cursor is None or len(found) >= limit:
            return Page(found, cursor)


def _fitting(rows: Sequence[Any], fits: Fits | None) -> list[RunRow]:
    found = [RunRow(**{name: getattr(row, name) for name in RunRow.__dataclass_fields__}) for row in rows]
    return found if fits is None else [row for row in found if fits(row)]


def _query(which: RunSearch) -> Select[Any]:
    query = select(runs)
    if which.phases:
        query = query.where(runs.c.phase.in_(which.phases))
    if which.workflow is not None:
        query = query.where(runs.c.workflow == which.workflow)
    if which.prefix:
        query = query.where(runs.c.name.startswith(which.prefix, autoescape=True))
    if which.since is not None:
        query = query.where(runs.c.created >= which.since)
    if which.older is not None:
        query = query.where(runs.c.finished < which.older)
    for word in which.words:
        # Text, not the value that the JSON stands for: a coarse sieve, so that few manifests are read.
        columns = (type_coerce(runs.c.labels, Text), type_coerce(runs.c.manifest, Text))
        query = query.where(or_(*(column.contains(word, autoescape=True) for column in columns)))
    return query
