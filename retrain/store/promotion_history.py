"""What became of promotions, in short: without their reports and diffs, which may be long."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from retrain.events import JsonValue
from retrain.store.promotions import IN_BRANCH
from retrain.store.tables import promotions


@dataclass(frozen=True, slots=True)
class PastRow:
    """One promotion or rollback. `ended`: when it came into the branch, or was over without."""

    id: str
    name: str
    environment: str
    state: str
    action: str
    candidate: dict[str, JsonValue]
    commit_sha: str | None
    reason: str
    actor: str
    run_id: str | None
    created: datetime
    updated: datetime
    ended: datetime | None
    step: int
    verification: JsonValue

    @property
    def at(self) -> datetime:
        """When what it tells of was so."""
        return self.ended or self.updated


_COLUMNS = tuple(PastRow.__dataclass_fields__)
_ROWS = select(*(promotions.c[column] for column in _COLUMNS))


def past(connection: Connection, name: str, environment: str, limit: int) -> list[PastRow]:
    """The newest promotions of a target, oldest first."""
    mine = (promotions.c.name == name, promotions.c.environment == environment)
    rows = connection.execute(_ROWS.where(*mine).order_by(promotions.c.created.desc()).limit(limit)).all()
    return [_past(row) for row in reversed(rows)]


def newest(connection: Connection, states: Collection[str], limit: int) -> list[PastRow]:
    """The newest promotions in these states, newest first."""
    query = _ROWS.where(promotions.c.state.in_(states)).order_by(promotions.c.created.desc())
    return [_past(row) for row in connection.execute(query.limit(limit))]


def live(connection: Connection, name: str | None = None, *, models: bool = False) -> dict[tuple[str, str], PastRow]:
    """Of each target (of that name) the promotion or rollback whose commit is the newest in the branch.

    `models`: the newest promotion that was not rolled back; where people went back, that is the model that is live.
    """
    column = promotions.c
    place = func.row_number().over(
        partition_by=(column.name, column.environment), order_by=(column.ended.desc(), column.created.desc())
    )
    there = select(column.id, place.label("place")).where(column.state.in_(IN_BRANCH))
    if models:
        there = there.where(column.action == "promote")
    if name is not None:
        there = there.where(column.name == name)
    ranked = there.subquery()
    first = select(ranked.c.id).where(ranked.c.place == 1)
    rows = [_past(row) for row in connection.execute(_ROWS.where(column.id.in_(first)))]
    return {(row.name, row.environment): row for row in rows}


def targets(connection: Connection) -> list[tuple[str, str]]:
    """Every name and environment that there is a promotion of."""
    query = select(promotions.c.name, promotions.c.environment).distinct()
    return sorted((row.name, row.environment) for row in connection.execute(query))


def _past(row: Any) -> PastRow:
    return PastRow(**{name: getattr(row, name) for name in _COLUMNS})
