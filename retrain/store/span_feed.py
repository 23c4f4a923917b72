"""What has become over, for whoever sends spans: noted by the database itself, in the transaction that ends the thing.

The triggers are there only while traces are wanted; otherwise nothing is written. SQLite's own triggers catch every way
to an end, whichever room it is in, and what is noted stays until its spans are sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from sqlalchemy import Connection, delete, func, select

from retrain.store.tables import span_feed

Kind = Literal["event", "firing", "run", "promotion"]


class Over(NamedTuple):
    """Something that has become over. `number` grows."""

    number: int
    kind: Kind
    ref: str


_PREFIX = "span_feed_"
_NOTE = "BEGIN INSERT INTO span_feed (kind, ref) VALUES ('{kind}', NEW.{key}); END"
_TRIGGERS = {
    "events": "AFTER INSERT ON events " + _NOTE.format(kind="event", key="key"),
    "firings": "AFTER UPDATE OF state ON firings WHEN NEW.state <> OLD.state "
    "AND NEW.state IN ('done', 'dead', 'cancelled') " + _NOTE.format(kind="firing", key="id"),
    "lost": "AFTER INSERT ON firings WHEN NEW.state = 'dead' " + _NOTE.format(kind="firing", key="id"),
    "runs": "AFTER UPDATE OF phase ON runs WHEN OLD.phase IN ('Pending', 'Running') "
    "AND NEW.phase NOT IN ('Pending', 'Running') " + _NOTE.format(kind="run", key="id"),
    "promotions": "AFTER UPDATE OF state ON promotions WHEN NEW.state <> OLD.state AND NEW.state IN "
    "('committed', 'live', 'unhealthy', 'noop', 'refused', 'rejected', 'failed', 'superseded') "
    + _NOTE.format(kind="promotion", key="id"),
}


def want(connection: Connection, wanted: bool) -> None:
    """Note what becomes over from now on, or no more; then nothing is left to send either."""
    for name, rule in _TRIGGERS.items():
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {_PREFIX}{name}")
        if wanted:
            connection.exec_driver_sql(f"CREATE TRIGGER {_PREFIX}{name} {rule}")
    if not wanted:
        connection.execute(delete(span_feed))


def oldest(connection: Connection, limit: int) -> list[Over]:
    """What was noted first."""
    return [Over(*row) for row in connection.execute(select(span_feed).order_by(span_feed.c.id).limit(limit))]


def forget(connection: Connection, noted: Sequence[Over]) -> None:
    """Their spans are sent."""
    connection.execute(delete(span_feed).where(span_feed.c.id.in_([one.number for one in noted])))


def trim(connection: Connection, most: int) -> int:
    """Give up the oldest beyond `most`; how many those were."""
    newest = connection.execute(select(func.max(span_feed.c.id))).scalar()
    if newest is None:
        return 0
    return connection.execute(delete(span_feed).where(span_feed.c.id <= newest - most)).rowcount
