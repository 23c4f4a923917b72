"""The recorded log from one time to another, in its order: what a replay reads. Fast, for it reads all of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import cast

import orjson
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, true

from retrain.events import Event, JsonValue, from_dict
from retrain.store.tables import events

BATCH = 1000
_PLAIN = frozenset({"specversion", "id", "source", "type", "subject", "time", "data", "datacontenttype", "dataschema"})
_NONE: Mapping[str, str | int | bool] = MappingProxyType({})

# Each end by a step down the index: for both in one SELECT, SQLite walks through all of it.
_ENDS = select(
    select(func.min(events.c.position)).scalar_subquery(), select(func.max(events.c.position)).scalar_subquery()
)


def positions_between(connection: Connection, since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """The positions of the log from `since` on (included) up to `until` (left out), as first and one after the last."""
    low, high = connection.execute(_ENDS).one()
    if low is None:
        return 1, 1
    first = low if since is None else _first_from(connection, since, low, high + 1)
    return first, high + 1 if until is None else max(first, _first_from(connection, until, low, high + 1))


def read(
    connection: Connection, first: int, end: int, addresses: Collection[tuple[str, str]] | None = None
) -> Iterator[tuple[Event, datetime]]:
    """Events with the times at which they arrived. `addresses`: of these sources and subjects only."""
    wanted = true() if addresses is None else or_(*(_is_at(address) for address in addresses))
    query = (
        select(events.c.body, events.c.received)
        .where(events.c.position >= first, events.c.position < end, wanted)
        .order_by(events.c.position)
    )
    rows = connection.execute(query.execution_options(stream_results=True, yield_per=BATCH))
    for body, received in rows:
        yield _event(body), received


def _is_at(address: tuple[str, str]) -> ColumnElement[bool]:
    source, subject = address
    # An event without a subject is found under the empty name.
    named = events.c.subject == subject if subject else or_(events.c.subject.is_(None), events.c.subject == "")
    return and_(events.c.source == source, named)


def _first_from(connection: Connection, moment: datetime, low: int, high: int) -> int:
    """The first position at which an event arrived at `moment` or later. Arrival grows with the position."""
    arrived = select(events.c.position, events.c.received).order_by(events.c.position).limit(1)
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(arrived.where(events.c.position >= middle)).first()
        if row is None or row.received >= moment:
            high = middle
        else:
            low = row.position + 1
    return low


def _event(body: str) -> Event:
    """An event as this store has written it: it was checked when it came in, and is not checked again."""
    fields = cast("dict[str, JsonValue]", orjson.loads(body))
    if "data_base64" in fields:
        return from_dict(fields)
    time = fields.get("time")
    more = fields.keys() - _PLAIN
    return Event(
        id=cast("str", fields["id"]),
        source=cast("str", fields["source"]),
        type=cast("str", fields["type"]),
        subject=cast("str | None", fields.get("subject")),
        time=None if time is None else datetime.fromisoformat(cast("str", time)),
        data=fields.get("data"),
        datacontenttype=cast("str | None", fields.get("datacontenttype")),
        dataschema=cast("str | None", fields.get("dataschema")),
        extensions=cast("Mapping[str, str | int | bool]", {name: fields[name] for name in more} if more else _NONE),
    )
