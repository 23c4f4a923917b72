"""A run as the store has it, made ready to go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from pipelines.core import engine
from pipelines.core.engine import Run
from pipelines.core.nodes import Outputs
from pipelines.core.plan import Catalog
from retrain.store import runs
from retrain.store.runs import RunRow

STRATEGIES = {"stop": "Stop", "terminate": "Terminate"}
"""`RunRow.control` of a run that is to end -> `spec.shutdown`."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What the store has of a run's course."""

    nodes: Mapping[str, Mapping[str, Any]]
    edges: Mapping[str, list[str]]


def load(connection: Connection, run: RunRow) -> Saved:
    """Nothing, for a run that has not begun."""
    if run.started is None:
        return Saved({}, {})
    return Saved(runs.load_bare(connection, run.id), runs.load_edges(connection, run.id))


def restore(row: RunRow, saved: Saved, catalog: Catalog) -> Run:
    """The run as it was saved last; one that has not begun is made anew.

    Raises:
        ConfigError: the workflow is not valid.
    """
    if not saved.nodes and row.control is None:
        return engine.begin(row.manifest, name=row.name, uid=row.id, created=row.created, templates=catalog)
    given: Any = row.outputs
    outputs = Outputs.from_argo(given)
    return engine.restore(
        row.manifest,
        saved.nodes,
        name=row.name,
        uid=row.id,
        created=row.created,
        templates=catalog,
        started_at=row.started,
        outputs={name: value for name, value in outputs.parameters.items() if value is not None},
        artifacts={str(one.get("name")): one for one in outputs.artifacts},
        strategy=STRATEGIES.get(row.control or "", ""),
        suspended=row.control == "suspend",
        edges=saved.edges,
    )
