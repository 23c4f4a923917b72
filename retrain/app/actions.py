"""What people may do to a running platform, by name: the API and the command line call nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from deploy import Promoter
from pipelines.artifacts.port import Artifacts
from retrain.app import queries
from retrain.app.run_actions import run_actions
from retrain.app.services import Action
from retrain.clock import Clock
from retrain.errors import ConfigError, Refused
from retrain.store import Store, promotions
from triggers import redrive


def actions(
    store: Store, clock: Clock, promoter: Promoter, data: Path, artifacts: Artifacts | None = None
) -> dict[str, Action]:
    """Every action of the platform. `artifacts`: those of its runs; without, none can be had from it."""
    return {
        **run_actions(store, clock, data, artifacts),
        "promotions.rollback": partial(_rollback, store, promoter),
        "promotions.hold": partial(_hold, promoter),
        "promotions.release": partial(_release, promoter),
        "deadletters.redrive": partial(_redrive, store, clock),
    }


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
