"""Runs that other runs have made: how the store knows whose a run is, and what follows when its parent is stopped."""

from __future__ import annotations

from sqlalchemy import Connection

from pipelines.agents.port import OWNED_LABEL
from retrain.store import runs


def parent_of(run_id: str) -> str:
    """`RunRow.parent` of what a run starts."""
    return f"Workflow/{run_id}"


def stop_owned(connection: Connection, run_id: str) -> None:
    """Ask the open children that a run owns to stop."""
    for child in runs.children(connection, parent_of(run_id)):
        if child.phase in runs.OPEN and child.labels.get(OWNED_LABEL) == "true":
            runs.ask(connection, child.id, "stop")
