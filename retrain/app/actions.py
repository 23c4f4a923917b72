"""What people may do to a running platform, by name: the API and the command line call nothing else."""

from __future__ import annotations

from pathlib import Path

from pipelines.artifacts.port import Artifacts
from pipelines.kubernetes.creating import OpenCluster
from retrain.app.looking.letters import letter_actions
from retrain.app.promotions.actions import promotion_actions
from retrain.app.promotions.part import Promotions
from retrain.app.runs.actions import run_actions
from retrain.app.services import Action
from retrain.clock import Clock
from retrain.store import Store


def actions(
    store: Store,
    clock: Clock,
    models: Promotions,
    data: Path,
    artifacts: Artifacts | None = None,
    cluster: OpenCluster | None = None,
) -> dict[str, Action]:
    """Every action of the platform. `artifacts`: those of its runs; without, none can be had from it. `cluster`: the
    connection to the one that works on some of them."""
    return {
        **run_actions(store, clock, data, artifacts, cluster),
        **promotion_actions(store, models),
        **letter_actions(store, clock),
    }
