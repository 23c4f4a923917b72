"""Looking for rows by what no index has: through so many of them at a time, and then the list says how far it came.

A page of a list costs no more for a filter that finds nothing than for one that finds much. Where the bound ended the
search, `Page.searched` says how many rows were looked at, and `Page.next` goes on behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, func, literal, select
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler

from retrain.store.rows import page, place_in, place_of

LOOKED_AT = 20_000
"""Rows that one page looks at where the row itself says whether it is meant."""
READ = 10_000
"""Rows that one page looks at where a text is searched for in each."""
FEW = 2000
"""Rows that are sorted for one page rather than walked to."""

Rows = tuple[Sequence[Any], str | None, int | None]


class Hinting(SQLiteCompiler):
    """SQLAlchemy's own for SQLite leaves hints out."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        del table
        return text


def by(query: Select[*tuple[Any, ...]], table: Table, index: str) -> Select[*tuple[Any, ...]]:
    """The query along this index: which way is short, SQLite does not know without statistics, and wrongly with old
    ones. Other databases look for themselves."""
    return query.with_hint(table, f"INDEXED BY {index}", "sqlite")


def window(  # noqa: PLR0913 - a list's parts
    connection: Connection,
    query: Select[*tuple[Any, ...]],
    order: Sequence[ColumnElement[Any]],
    cursor: str | None,
    limit: int,
    *,
    most: int,
    base: Sequence[ColumnElement[bool]] = (),
) -> Rows:
    """As `rows.page`, among the newest `most` rows before the cursor that fulfil `base`, which an index with the order
    has; and `most` if that bound ended the search.

    Raises:
        ConfigError: the cursor is not one that an earlier page gave.
    """
    floor = floor_of(connection, order[0], cursor, most, base)
    if floor is None:
        return *page(connection, query, order, cursor, limit), None
    rows, following = page(connection, query.where(order[0] >= floor), order, cursor, limit)
    return rows, following or place_of(floor, ""), None if following or len(rows) >= limit else most


def floor_of(
    connection: Connection,
    column: ColumnElement[Any],
    cursor: str | None,
    most: int,
    base: Sequence[ColumnElement[bool]],
) -> Any:
    """The column's value in the row that so many others lie before; None: there are not so many."""
    query = select(column).where(*base).order_by(column.desc()).offset(most).limit(1)
    if cursor is not None:
        value, name = place_in(cursor)
        # A page that has ended at a floor has had every row of that time.
        query = query.where(column <= value if name else column < value)
    return connection.execute(query).scalar()


def few(connection: Connection, table: Table, *where: ColumnElement[bool]) -> bool:
    """Whether so few rows fulfil these that they can all be read and sorted."""
    some = select(literal(1)).select_from(table).where(*where).limit(FEW + 1).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one() <= FEW


def begins(column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    """That a text begins so: as a range, which an index has, and LIKE is not."""
    last = prefix[-1]
    # Behind the last of all characters nothing comes, and surrogates are none.
    if ord(last) >= 0xD7FF:
        return column >= prefix
    return (column >= prefix) & (column < prefix[:-1] + chr(ord(last) + 1))
