"""What sensors made of events, in short: for lists, where the whole record of each would be too long."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from retrain.store.tables import decisions

MOST = 5000
"""Decisions that are looked at."""


def answers(connection: Connection, keys: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """For each of these events the sensors by what they decided: event key -> outcome -> sensors."""
    query = select(decisions.c.event_key, decisions.c.outcome, decisions.c.sensor)
    query = query.where(decisions.c.event_key.in_(list(keys))).order_by(decisions.c.id).limit(MOST)
    found: dict[str, dict[str, list[str]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.event_key, {}).setdefault(row.outcome, []).append(row.sensor)
    return found
