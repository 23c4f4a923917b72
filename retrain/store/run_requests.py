"""What people and triggers asked of open runs: in order, durable, and gone in the transaction that keeps the effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from retrain.store.tables import run_requests, runs


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request. `body` is as `pipelines.host.requests` writes it; the order is that of `id`."""

    id: int
    run_id: str
    body: dict[str, Any]


_PUT = insert(run_requests)


def put(connection: Connection, run_id: str, body: dict[str, Any]) -> None:
    """Add a request to those of a run; `runs.request` also sees to it that somebody hears of it."""
    connection.execute(_PUT, {"run_id": run_id, "body": body})


_OF_RUN = (
    select(run_requests.c.id, run_requests.c.run_id, run_requests.c.body)
    .where(run_requests.c.run_id == bindparam("run"))
    .order_by(run_requests.c.id)
)
_HELD = (
    select(run_requests.c.id, run_requests.c.run_id, run_requests.c.body)
    .join(runs, runs.c.id == run_requests.c.run_id)
    .where(runs.c.owner == bindparam("holder"))
    .order_by(run_requests.c.id)
)


def of_run(connection: Connection, run_id: str) -> list[RequestRow]:
    """What a run was asked and has not done yet, oldest first."""
    return [RequestRow(row.id, row.run_id, row.body) for row in connection.execute(_OF_RUN, {"run": run_id})]


def of_owner(connection: Connection, owner: str) -> list[RequestRow]:
    """The same of all runs that `owner` holds."""
    return [RequestRow(row.id, row.run_id, row.body) for row in connection.execute(_HELD, {"holder": owner})]


def of_engines(connection: Connection, engines: Sequence[str]) -> list[RequestRow]:
    """The same of all runs that one of these works on and whose object is there."""
    query = select(run_requests.c.id, run_requests.c.run_id, run_requests.c.body)
    mine = (runs.c.engine.in_(engines), runs.c.object.is_not(None))
    found = query.join(runs, runs.c.id == run_requests.c.run_id).where(*mine).order_by(run_requests.c.id)
    return [RequestRow(row.id, row.run_id, row.body) for row in connection.execute(found)]


def done(connection: Connection, ids: Sequence[int]) -> None:
    """Requests whose effect is kept by now."""
    connection.execute(delete(run_requests).where(run_requests.c.id.in_(list(ids))))


def drop(connection: Connection, run_id: str) -> None:
    """A run is over: nobody is left to do what it was asked."""
    connection.execute(delete(run_requests).where(run_requests.c.run_id == run_id))
