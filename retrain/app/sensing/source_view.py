"""One event source: how each of its entries is, how many events it gave in each hour of a day, and its document."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, select

from retrain.app.looking.queries import stamp
from retrain.app.projects.project import Project
from retrain.errors import NotFound
from retrain.events import JsonValue
from retrain.manifests import Document, to_yaml
from retrain.store import history
from retrain.store.tables import events

Json = dict[str, Any]

HOURS = 24
MOST = 30_000
"""Events of a day that are counted by the hour, the newest, shared among the entries."""
HIDDEN = "(hidden)"

_SECRET = re.compile(r"pass(word|wd|phrase)?$|token|secret|credential|private.?key|api.?key|access.?key|^auth", re.I)
_USER = re.compile(r"(?<=://)[^/@\s]*(?=@)")


def show_source(connection: Connection, name: str, rows: Sequence[Json], project: Project, now: datetime) -> Json:
    """`rows`: how the entries of all sources are, as `GET /api/v1/sources` says it.

    Raises:
        NotFound: neither the project nor this process has a source of that name.
    """
    documents = [one.document for one in project.event_sources if one.document.name == name]
    entries = [row for row in rows if row["source"] == name]
    if not documents and not entries:
        raise NotFound(f"{name}: no such event source; `retrain sources list` shows the names")
    names = [row["event"] for row in entries] or sorted({event for one in documents for event in _entries(one.body)})
    return {
        "name": name,
        "file": documents[0].file if documents else None,
        "line": documents[0].line if documents else None,
        "entries": entries,
        **_hours(connection, name, names, now),
        "manifest": "---\n".join(to_yaml(without_secrets(one.body)) for one in documents),
        "findings": [finding(one) for one in project.findings if _is_of(one.kind, one.name, documents)],
    }


def finding(one: Any) -> Json:
    """A finding of the linter, as JSON shows it."""
    return {"line": one.line, "column": one.column, "severity": one.severity, "code": one.code, "message": one.message}


def _is_of(kind: str, name: str, documents: Sequence[Document]) -> bool:
    return any(kind == one.kind and name == one.name for one in documents)


def _entries(body: Mapping[str, Any]) -> list[str]:
    kinds = _mapping(body.get("spec")).values()
    return [str(event) for members in kinds for event in _mapping(members)]


def _hours(connection: Connection, source: str, names: Sequence[str], now: datetime) -> Json:
    """Events of the last day: `hours`, oldest first, and whether there were more than are counted."""
    starts = [now - timedelta(hours=HOURS - number) for number in range(HOURS)]
    places = [history.positions_between(connection, start, None)[0] for start in starts]
    counts, each, whole = [0] * HOURS, max(200, MOST // max(1, len(names))), True
    for name in names:
        query = select(events.c.position).where(events.c.source == source, events.c.subject == name)
        query = query.where(events.c.position >= places[0]).order_by(events.c.position.desc()).limit(each)
        found = connection.execute(query).scalars().all()
        whole = whole and len(found) < each
        for position in found:
            counts[bisect_right(places, position) - 1] += 1
    hours = [{"from": stamp(start), "count": count} for start, count in zip(starts, counts, strict=True)]
    return {"hours": hours, "whole": whole}


def without_secrets(value: JsonValue, name: str = "") -> JsonValue:
    """A document without what is secret in it: values whose names say so, and who logs in by a URL. Pure.

    What only says where a secret lies (`{name, key}`) stays.
    """
    if isinstance(value, dict):
        members = cast("dict[str, JsonValue]", value)
        return {key: without_secrets(member, key) for key, member in members.items()}
    if isinstance(value, list):
        return [without_secrets(member, name) for member in cast("list[JsonValue]", value)]
    if value is None or isinstance(value, bool):
        return value
    if _SECRET.search(name):
        return HIDDEN
    return _USER.sub(HIDDEN, value) if isinstance(value, str) else value


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
