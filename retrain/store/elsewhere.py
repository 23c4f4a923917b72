"""Runs that a cluster works on: which of them are not there yet, which are to be watched, and what was seen of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from retrain.store.runs import OPEN, RunRow, many
from retrain.store.tables import runs

CLUSTER = ("argo", "object")
"""Engines whose runs are objects of a cluster."""
WORKFLOW = ("argoproj.io/v1alpha1", "Workflow")
_OPEN = (runs.c.engine.in_(CLUSTER), runs.c.phase.in_(OPEN))
_api_version = func.json_extract(runs.c.manifest, "$.apiVersion")
_kind = func.json_extract(runs.c.manifest, "$.kind")
_version = func.json_extract(runs.c.object, "$.metadata.resourceVersion")
_uid = func.json_extract(runs.c.object, "$.metadata.uid")
_said = func.json_extract(runs.c.object, "$.status")


@dataclass(frozen=True, slots=True)
class Place:
    """Where objects of one kind are."""

    api_version: str
    kind: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.api_version}/{self.kind}/{self.namespace}"


@dataclass(frozen=True, slots=True)
class Open:
    """An open run whose object is on the cluster. `uid`: that of the object."""

    run_id: str
    name: str
    uid: str


def unsubmitted(connection: Connection, most: int, after: int = 0) -> list[RunRow]:
    """Open runs whose object is not on the cluster yet: the higher priority first, then the older. `after`: without the
    first so many."""
    query = select(runs.c.id).where(*_OPEN, runs.c.object.is_(None))
    ids = connection.execute(
        query.order_by(runs.c.priority.desc(), runs.c.created, runs.c.id).limit(most).offset(after)
    ).scalars()
    return list(many(connection, ids).values())


def places(connection: Connection) -> set[Place]:
    """Where the objects of open runs are."""
    there = (*_OPEN, runs.c.object.is_not(None))
    workflows = select(runs.c.namespace).where(*there, runs.c.engine == "argo").distinct()
    others = select(_api_version, _kind, runs.c.namespace).where(*there, runs.c.engine == "object").distinct()
    found = {Place(*WORKFLOW, namespace) for namespace in connection.execute(workflows).scalars()}
    return found | {Place(*row) for row in connection.execute(others)}


def open_at(connection: Connection, place: Place) -> list[Open]:
    """The open runs whose objects are at this place."""
    return _chosen(connection, place)


def unheard_at(connection: Connection, place: Place, before: datetime, most: int) -> list[Open]:
    """Some of them that are older than that, and nothing was heard of them since they were made."""
    return _chosen(connection, place, _said == "{}", runs.c.created < before)[:most]


def _chosen(connection: Connection, place: Place, *more: Any) -> list[Open]:
    query = select(runs.c.id, runs.c.name, _uid.label("uid"))
    here = (*_OPEN, runs.c.object.is_not(None), runs.c.namespace == place.namespace)
    if (place.api_version, place.kind) == WORKFLOW:
        query = query.where(*here, runs.c.engine == "argo", *more)
    else:
        kind = (_api_version == place.api_version, _kind == place.kind)
        query = query.where(*here, runs.c.engine == "object", *kind, *more)
    return [Open(row.id, row.name, str(row.uid)) for row in connection.execute(query)]


def versions(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Of these runs those that there are, with the resourceVersion that their objects were last seen with."""
    found: dict[str, str] = {}
    for start in range(0, len(ids), 500):
        query = select(runs.c.id, _version.label("version")).where(runs.c.id.in_(ids[start : start + 500]))
        found |= {row.id: str(row.version or "") for row in connection.execute(query)}
    return found


def reflect(connection: Connection, run_id: str, values: Mapping[str, Any]) -> None:
    """Write what was seen of a run's object: columns and their new values."""
    connection.execute(update(runs).where(runs.c.id == run_id).values(**values))


def place_object(connection: Connection, run_id: str, found: Mapping[str, Any]) -> bool:
    """The object of a run is on the cluster now, as `RunRow.object` keeps it; False if the run was ended without it.

    A watch may have told of it before: then what it told stays.
    """
    namespace = found["metadata"]["namespace"]
    mine = (runs.c.id == run_id, runs.c.object.is_(None), runs.c.phase.in_(OPEN))
    if connection.execute(update(runs).where(*mine).values(object=dict(found), namespace=namespace)).rowcount == 1:
        return True
    known: Any = connection.execute(select(runs.c.object).where(runs.c.id == run_id)).scalar()
    return known is not None and known["metadata"].get("uid") == found["metadata"].get("uid")
