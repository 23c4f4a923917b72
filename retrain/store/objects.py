"""Objects that steps have written, as a cluster would hold them: one JSON document for each (kind, name).

A version is never given twice, so that who writes over a version that it has read cannot overwrite what came between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from retrain.store.tables import objects, runs, to_microseconds

NAMESPACE = "default"
"""A project is one namespace."""


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One object."""

    api_version: str
    kind: str
    name: str
    body: Mapping[str, Any]
    version: int


_THIS = (
    objects.c.kind == bindparam("this_kind"),
    objects.c.name == bindparam("this_name"),
    objects.c.namespace == NAMESPACE,
)
_GET = select(objects).where(*_THIS)
_UPDATE = update(objects).where(*_THIS, objects.c.version == bindparam("expected"))
_DELETE = delete(objects).where(*_THIS)
_ALL = select(objects)
_INSERT = insert(objects)
_NEWEST = select(func.coalesce(func.max(objects.c.version), 0))
_FINGERPRINT = select(func.count(), func.coalesce(func.max(objects.c.version), 0))


def get(connection: Connection, kind: str, name: str) -> ObjectRow | None:
    """The object, or None."""
    row = connection.execute(_GET, {"this_kind": kind, "this_name": name}).first()
    return _object(row) if row else None


def put(connection: Connection, row: ObjectRow, expected: int | None, now: datetime) -> int | None:
    """Write an object over the version `expected` (None: there is none yet); its new version.

    None, and nothing changed, if it has another version by now. `row.version` is not looked at.
    """
    newest: int = connection.execute(_NEWEST).scalar_one()
    version = max(newest + 1, to_microseconds(now))
    values = {"body": row.body, "version": version, "updated": now, "api_version": row.api_version}
    which = {"this_kind": row.kind, "this_name": row.name}
    if expected is not None:
        changed = connection.execute(_UPDATE.values(values), {**which, "expected": expected}).rowcount
        return version if changed else None
    if connection.execute(_GET, which).first() is not None:
        return None
    connection.execute(_INSERT, {**values, "kind": row.kind, "name": row.name, "namespace": NAMESPACE})
    return version


def remove(connection: Connection, kind: str, name: str) -> bool:
    """Delete an object; False if there is none."""
    return connection.execute(_DELETE, {"this_kind": kind, "this_name": name}).rowcount > 0


def every(connection: Connection) -> list[ObjectRow]:
    """All objects."""
    return [_object(row) for row in connection.execute(_ALL)]


def remove_without_owner(connection: Connection, owner_of: Callable[[Mapping[str, Any]], str | None]) -> int:
    """Delete the objects whose owner, a run by its id, was deleted; how many. `owner_of` None: nobody owns it."""
    owned = {(row.kind, row.name): owner for row in every(connection) if (owner := owner_of(row.body)) is not None}
    if not owned:
        return 0
    there = set(connection.execute(select(runs.c.id).where(runs.c.id.in_(set(owned.values())))).scalars())
    return sum(remove(connection, *which) for which, owner in owned.items() if owner not in there)


def fingerprint(connection: Connection) -> tuple[int, int]:
    """Two numbers, not both of which are the same after a change of any object."""
    count, newest = connection.execute(_FINGERPRINT).one()
    return count, newest


def _object(row: Row[Any]) -> ObjectRow:
    return ObjectRow(row.api_version, row.kind, row.name, row.body, row.version)
