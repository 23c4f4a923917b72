"""Events by source or by name alone, newest first, along an index that has both: it is walked stream by stream, a
stream being one name of one source. There are few streams and many events; one index the less is kept at every event.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from heapq import nlargest
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, bindparam, select, text

from retrain.store.tables import events

STREAMS = 100
"""Streams of which each gives the newest of its events. Where there are more, the log itself is looked through."""
SOURCES = 2000
"""Sources of which each is tried."""

# Each value is found by one step down the index from the one before.
_SOURCES = text("""\
WITH RECURSIVE known(value) AS (
  SELECT min(source) FROM events
  UNION ALL
  SELECT (SELECT min(source) FROM events WHERE source > known.value) FROM known WHERE known.value IS NOT NULL
)
SELECT value FROM known WHERE value IS NOT NULL LIMIT :most""")
_SUBJECTS = text("""\
WITH RECURSIVE known(value) AS (
  SELECT min(subject) FROM events WHERE source = :source
  UNION ALL
  SELECT (SELECT min(subject) FROM events WHERE source = :source AND subject > known.value)
  FROM known WHERE known.value IS NOT NULL
)
SELECT value FROM known WHERE value IS NOT NULL LIMIT :most""")


def sources(connection: Connection, most: int = SOURCES) -> list[str]:
    """The sources that there are, so many at most."""
    return list(connection.execute(_SOURCES, {"most": most}).scalars())


def newest(
    connection: Connection, source: str | None, subject: str | None, above: int, before: int, limit: int
) -> list[int] | None:
    """The positions of the newest events of a source, or of a name, or of both, between these; None: these are too many
    streams to walk."""
    streams = _streams(connection, source, subject)
    if len(streams) > STREAMS:
        return None
    words = {"above": above, "before": before, "most": limit}
    found = (_of_stream(connection, one, name, words) for one, name in streams)
    return nlargest(limit, (position for some in found for position in some))


def _streams(connection: Connection, source: str | None, subject: str | None) -> list[tuple[str, str | None]]:
    if subject is not None:
        return [(one, subject) for one in ([source] if source is not None else sources(connection, STREAMS + 1))]
    assert source is not None, "a source or a name"
    names = connection.execute(_SUBJECTS, {"source": source, "most": STREAMS + 1}).scalars()
    return [(source, None), *((source, one) for one in names)]


def _of_stream(connection: Connection, source: str, subject: str | None, words: dict[str, int]) -> Sequence[int]:
    given: dict[str, Any] = {"source": source, **words}
    if subject is not None:
        given["subject"] = subject
    return connection.execute(_stream(named=subject is not None), given).scalars().all()


@cache
def _stream(*, named: bool) -> Any:
    column: Column[Any] = events.c.subject
    mine: ColumnElement[bool] = column == bindparam("subject") if named else column.is_(None)
    place = events.c.position
    between = (place > bindparam("above"), place < bindparam("before"))
    query = select(place).where(events.c.source == bindparam("source"), mine, *between)
    return query.order_by(place.desc()).limit(bindparam("most"))
