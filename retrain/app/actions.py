"""What people may do to a running platform, by name: the API and the command line call nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from deploy import Promoter
from pipelines.artifacts.port import Artifacts
from retrain.app.promotion_actions import promotion_actions
from retrain.app.run_actions import run_actions
from retrain.app.services import Action
from retrain.clock import Clock
from retrain.store import Store
from triggers import redrive


def actions(
    store: Store, clock: Clock, promoter: Promoter, data: Path, artifacts: Artifacts | None = None
) -> dict[str, Action]:
    """Every action of the platform. `artifacts`: those of its runs; without, none can be had from it."""
    return {
        **run_actions(store, clock, data, artifacts),
        **promotion_actions(store, promoter),
        "deadletters.redrive": partial(_redrive, store, clock),
    }


# --- dead letters ----------------------------------------------------------------------------------------------------


async def _redrive(store: Store, clock: Clock, letter_id: str) -> dict[str, Any]:
    firing_id = await store.write(lambda c: redrive(c, letter_id, clock.now()))
    for topic in ("firings", "outbox"):
        store.signals.notify(topic)
    return {"firing": firing_id}
