"""Runs and steps at `/metrics`: counted when what has ended is saved, each once."""

from __future__ import annotations

from datetime import datetime

from pipelines.core.engine import Decision
from pipelines.core.nodes import Node, Phase
from retrain.store.runs import RunRow
from retrain.telemetry import meters

STEPS = frozenset({"Pod", "Container", "HTTP", "Plugin"})
"""Types of nodes that do something themselves."""


class RunCounter:
    """Counts for one runner. What ended before this process began is not counted again."""

    def __init__(self) -> None:
        self._counted: dict[str, set[str]] = {}

    def see(self, row: RunRow, decision: Decision) -> None:
        """Take what a saved decision says."""
        run = decision.run
        counted = self._counted.setdefault(row.id, set())
        for node_id in decision.changed:
            node = run.nodes[node_id]
            if node.type in STEPS and node.phase.fulfilled and node_id not in counted:
                counted.add(node_id)
                _count_step(node)
        if run.ended:
            del self._counted[row.id]
            count_run(row, str(decision.phase), run.started_at, run.finished_at)

    def failed(self, row: RunRow, phase: Phase) -> None:
        """The engine could not drive it."""
        self._counted.pop(row.id, None)
        meters.RUNS_ENDED.add(row.workflow, str(phase))


def _count_step(node: Node) -> None:
    meters.STEPS_ENDED.add(str(node.phase))
    if node.started_at is not None and node.finished_at is not None:
        meters.STEP_SECONDS.observe((node.finished_at - node.started_at).total_seconds())


def count_run(row: RunRow, phase: str, started: datetime | None, finished: datetime | None) -> None:
    """A run has ended."""
    meters.RUNS_ENDED.add(row.workflow, phase)
    if started is not None:
        meters.RUN_QUEUE_SECONDS.observe((started - row.created).total_seconds())
    if started is not None and finished is not None:
        meters.RUN_SECONDS.observe((finished - started).total_seconds(), row.workflow)
