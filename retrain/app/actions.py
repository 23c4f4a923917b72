"""What people may do to a running platform, by name: the API and the command line call nothing else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
from sqlalchemy import Connection

from deploy import Promoter
from pipelines.host import control
from pipelines.host.control import ResubmitOptions, RetryOptions, Verb
from pipelines.local.logs import log_path, read_all
from retrain.app import queries
from retrain.app.services import Action
from retrain.clock import Clock
from retrain.errors import ConfigError, NotFound, Refused
from retrain.store import Store, promotions, runs
from retrain.store.runs import RunRow
from triggers import redrive


def actions(store: Store, clock: Clock, promoter: Promoter, data: Path) -> dict[str, Action]:
    """Every action of the platform."""
    return {
        **{f"runs.{verb}": partial(_control, store, verb) for verb in control.VERBS},
        "runs.retry": partial(_retry, store, clock),
        "runs.resubmit": partial(_resubmit, store, clock),
        "runs.logs": partial(_logs, store, data),
        "promotions.rollback": partial(_rollback, store, promoter),
        "promotions.hold": partial(_hold, promoter),
        "promotions.release": partial(_release, promoter),
        "deadletters.redrive": partial(_redrive, store, clock),
    }


# --- runs ------------------------------------------------------------------------------------------------------------


async def _control(store: Store, verb: Verb, run: RunRow) -> None:
    await store.write(lambda c: control.ask(c, run, verb))
    store.signals.notify("runs")


async def _retry(store: Store, clock: Clock, run: RunRow, options: RetryOptions) -> None:
    await store.write(lambda c: control.retry(c, run, options, clock.now()))
    store.signals.notify("runs")


async def _resubmit(store: Store, clock: Clock, run: RunRow, options: ResubmitOptions) -> RunRow:
    def work(connection: Connection) -> RunRow | None:
        return runs.get(connection, control.resubmit(connection, run, options, clock))

    made = await store.write(work)
    assert made is not None
    store.signals.notify("runs")
    return made


async def _logs(store: Store, data: Path, run: RunRow, node: str | None) -> AsyncGenerator[bytes]:
    nodes = await store.read(lambda c: runs.load_nodes(c, run.id))
    pods = [one for one in nodes.values() if one.get("type") == "Pod"]
    if node is not None:
        pods = [one for one in pods if node in {one["id"], one["name"], one["displayName"]}]
        if not pods:
            raise NotFound(f"{run.name} has no step {node!r}; `retrain runs get {run.name}` shows them")
    pods.sort(key=lambda one: (one.get("startedAt") or "", one["name"]))
    return _lines(data, run.id, pods, prefix=len(pods) > 1)


async def _lines(data: Path, run_id: str, pods: list[dict[str, Any]], *, prefix: bool) -> AsyncGenerator[bytes]:
    for pod in pods:
        parts = read_all(log_path(data, run_id, pod["id"]))
        rest = ""
        while (part := await anyio.to_thread.run_sync(next, parts, None)) is not None:
            *lines, rest = (rest + part).split("\n")
            for line in lines:
                yield _line(pod, line, prefix=prefix)
        if rest:
            yield _line(pod, rest, prefix=prefix)


def _line(pod: dict[str, Any], line: str, *, prefix: bool) -> bytes:
    return (f"{pod['displayName']}: {line}\n" if prefix else f"{line}\n").encode()


# --- promotions ------------------------------------------------------------------------------------------------------


def _check_environment(promoter: Promoter, name: str, environment: str | None) -> None:
    document = promoter.documents.get(name)
    if document is not None and environment not in {None, document.spec.environment}:
        raise ConfigError(f"{name} promotes to {document.spec.environment}, not to {environment!r}")


async def _rollback(
    store: Store, promoter: Promoter, name: str, *, environment: str | None = None, reason: str, actor: str
) -> dict[str, Any]:
    _check_environment(promoter, name, environment)
    promotion_id = await promoter.rollback(name, reason=reason, actor=actor)
    row = await store.read(lambda c: promotions.get(c, promotion_id))
    assert row is not None
    message = f"{promotion_id} rolls {name} back in {row.environment}, and holds it there; `retrain promotions release`"
    return {**queries.promotion(row), "message": f"{message} ends the hold"}


async def _hold(
    promoter: Promoter, name: str, *, environment: str | None = None, reason: str, actor: str
) -> dict[str, Any]:
    _check_environment(promoter, name, environment)
    await promoter.hold(name, reason=reason, actor=actor)
    return {"name": name, "message": f"{name} is held: nothing is promoted until it is released"}


async def _release(promoter: Promoter, name: str, *, environment: str | None = None) -> dict[str, Any]:
    _check_environment(promoter, name, environment)
    if not await promoter.release(name):
        raise Refused(f"{name} is not held")
    return {"name": name, "message": f"{name} is released: automation may promote again"}


# --- dead letters ----------------------------------------------------------------------------------------------------


async def _redrive(store: Store, clock: Clock, letter_id: str) -> dict[str, Any]:
    firing_id = await store.write(lambda c: redrive(c, letter_id, clock.now()))
    for topic in ("firings", "outbox"):
        store.signals.notify(topic)
    return {"firing": firing_id}
