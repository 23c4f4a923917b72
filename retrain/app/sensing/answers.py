"""What sensors made of events: of many in short, of one in full, silences included; a sensor's decisions by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from retrain.app.looking.queries import decision, show_event
from retrain.app.sensing.unheard import hearing, unheard
from retrain.errors import ConfigError
from retrain.events import from_dict
from retrain.store import decisions, events, firings
from retrain.store.decisions import DecisionFilter
from retrain.store.rows import MAX_PAGE
from retrain.store.tables import decisions as decision_table
from retrain.store.tables import events as event_table
from retrain.store.windows import LOOKED_AT
from sensors import SensorDocument

Json = dict[str, Any]
MOST = 5000
"""Decisions that are looked at."""
FIRED = "fired"
"""What is said of an event that a firing was made of: its own line says only that it passed."""


def answers(connection: Connection, keys: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """For each of these events the sensors by what they decided: event key -> outcome -> sensors."""
    table = decision_table
    query = select(table.c.event_key, table.c.outcome, table.c.sensor)
    query = query.where(table.c.event_key.in_(list(keys))).order_by(table.c.id).limit(MOST)
    found: dict[str, dict[str, list[str]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.event_key, {}).setdefault(row.outcome, []).append(row.sensor)
    return found


def fired_of(connection: Connection, keys: Sequence[str]) -> dict[str, int]:
    """How many firings each of these events was part of, as far as of any."""
    return {key: len(found) for key, found in firings.of_events(connection, keys).items()}


def names_of(connection: Connection, keys: Sequence[str]) -> dict[str, Json]:
    """Of these events `{"id", "source", "subject"}`, by key; their bodies are not read."""
    columns = (event_table.c.key, event_table.c.id, event_table.c.source, event_table.c.subject)
    rows = connection.execute(select(*columns).where(event_table.c.key.in_(list(keys))))
    return {row.key: {"id": row.id, "source": row.source, "subject": row.subject} for row in rows}


def whole_answer(connection: Connection, name: str, documents: Sequence[SensorDocument]) -> Json:
    """One event with every sensor's answer: `decisions`, `firings`, and in `silent` those that said nothing, and why;
    `silentLeft`: how many more.

    Raises:
        NotFound: no event has that id, key or object.
    """
    found = show_event(connection, name)
    heard = {one["sensor"] for one in found["decisions"]}
    others = [one for one in documents if one.name not in heard]
    known = hearing(connection, found["key"], [one.name for one in others])
    silent = unheard(from_dict(found["event"]), others, heard, known)
    return {**found, "silent": silent, "silentLeft": len(others) - len(silent)}


def decisions_page(
    connection: Connection, sensor: str, which: DecisionFilter, cursor: str | None, limit: int
) -> dict[str, Any]:
    """A sensor's decisions, newest first.

    Raises:
        ConfigError: the cursor is none that a page gave.
    """
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise ConfigError(f"cursor {cursor[:80]!r} is none that a list gave; leave it out to start at the newest")
    which, limit = replace(which, before=int(cursor)) if cursor else which, min(limit, MAX_PAGE - 1)
    floor = decisions.floor_of(connection, sensor, which.before, LOOKED_AT) if which.sieved else None
    which = replace(which, after=floor)
    rows = decisions.of_sensor(connection, sensor, limit + 1, which)
    ids = events.ids_of(connection, [row.event_key for row in rows[:limit] if row.event_key is not None])
    items = [{**decision(row), "eventId": ids.get(row.event_key or "")} for row in rows[:limit]]
    if floor is not None and len(rows) <= limit:
        return {"items": items, "next": str(floor), "searched": LOOKED_AT}
    return {"items": items, "next": str(rows[limit - 1].number) if len(rows) > limit else None}
