"""What the table modules share: inserting what may be there already, and reading a long list page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import Connection, Dialect, Select, Table, bindparam, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ColumnElement

from retrain.errors import ConfigError
from retrain.store.tables import from_microseconds, to_microseconds

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
Names = tuple[str, ...]
MAX_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list, and the cursor that the next part starts at (None: this is the end).

    `searched`: so many rows were looked through, and there are more; None: the list is as long as was asked for, or
    at its end.
    """

    items: list[T]
    next: str | None
    searched: int | None = None


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows whose primary key (or other unique column) is not there yet; how many those were."""
    if not rows:
        return 0
    return connection.execute(_insert_new(connection.dialect.name, table), list(rows)).rowcount


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows; where the primary key is there already, overwrite the other columns that the rows name."""
    if rows:
        connection.execute(_upsert(connection.dialect.name, table, tuple(rows[0])), list(rows))


# Statements are built once: building one takes longer than SQLite takes to carry it out.


def values_of(row: DataclassInstance) -> dict[str, Any]:
    """A row's fields as the columns that have their names."""
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def insert_raw(connection: Connection, table: Table, names: Names, rows: Sequence[Sequence[Any]], *, new: bool) -> None:
    """Insert rows of values as the database keeps them (times in microseconds, JSON as text), in the order of `names`.

    `new`: only those whose primary key is not there yet. SQLAlchemy's way takes as long for a row as the rest of an
    event's way does; this is for the tables that every event writes to.
    """
    if not rows:
        return
    sql, order = _raw(connection.dialect.name, table, names, new)
    if order is None:
        connection.exec_driver_sql(sql, [dict(zip(names, row, strict=True)) for row in rows])
    else:
        take = itemgetter(*order)
        connection.exec_driver_sql(sql, [take(row) for row in rows])


@cache
def _raw(dialect: str, table: Table, names: Names, new: bool) -> tuple[str, tuple[int, ...] | None]:
    """The statement, and in which order it takes the values; None where it takes them by name."""
    statement = _insert(dialect, table).values({name: bindparam(name) for name in names})
    if new:
        statement = statement.on_conflict_do_nothing()
    compiled = statement.compile(dialect=dialect_of(dialect))
    order = compiled.positiontup
    return str(compiled), tuple(names.index(name) for name in order) if order is not None else None


def dialect_of(name: str) -> Dialect:
    """The dialect of this name."""
    return (sqlite if name == "sqlite" else postgresql).dialect()


@cache
def _insert_new(dialect: str, table: Table) -> Any:
    return _insert(dialect, table).on_conflict_do_nothing()


@cache
def _upsert(dialect: str, table: Table, names: tuple[str, ...]) -> Any:
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in names if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def _insert(dialect: str, table: Table) -> Any:
    return (sqlite if dialect == "sqlite" else postgresql).insert(table)


def page(
    connection: Connection,
    query: Select[*tuple[Any, ...]],
    order: Sequence[ColumnElement[Any]],
    cursor: str | None,
    limit: int,
) -> tuple[Sequence[Any], str | None]:
    """The newest `limit` rows before `cursor`, newest first, and the next cursor.

    `order`: a number column and a text column that tells ties apart; the query selects both.

    Raises:
        ConfigError: the cursor is not one that an earlier page gave.
    """
    limit = max(1, min(limit, MAX_PAGE))
    if cursor is not None:
        query = query.where(tuple_(*order) < place_in(cursor))
    rows = connection.execute(query.order_by(*(column.desc() for column in order)).limit(limit + 1)).all()
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    value, name = (getattr(last, str(column.key)) for column in order)
    return rows[:limit], place_of(value, name)


def place_of(value: Any, name: Any) -> str:
    """The cursor behind the row with this time (or number) and this name."""
    return f"{value if isinstance(value, int) else to_microseconds(value)}.{name}"


def place_in(cursor: str) -> tuple[Any, str]:
    """The time and the name that a cursor stands for.

    Raises:
        ConfigError: it is not one that a list gave.
    """
    number, dot, text = cursor.partition(".")
    if not dot or not (number.isascii() and number.isdigit() and len(number) < 19):
        raise ConfigError(f"cursor {cursor!r} is none that a list gave; leave it out to start at the newest")
    return from_microseconds(int(number)), text
