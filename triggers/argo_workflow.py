"""The `argoWorkflow` trigger: a run of a workflow, written down in the transaction that marks its firing done."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import Connection

from pipelines.queue import RunRequest, submit
from retrain.clock import Clock
from retrain.errors import ConfigError, Permanent
from retrain.events import JsonValue
from triggers.port import Firing, StoreTrigger, Tools
from triggers.workflow_request import build_submission


class ArgoWorkflowTrigger:
    """Submits workflows to the engine's queue in the store."""

    topic = "runs"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def record(self, connection: Connection, firing: Firing, now: datetime) -> JsonValue:
        """Write the run down; once only, whatever happens. The result: `{"run", "name"}`.

        Raises:
            Permanent: the workflow is not valid, or asks for something that is not built; the message says what.
        """
        del now  # the queue stamps its runs itself
        submission = build_submission(firing)
        request = RunRequest(
            run_id=submission.run_id,
            firing_id=firing.id,
            manifest=submission.manifest,
            labels=submission.labels,
            depth=firing.depth,
        )
        try:
            submit(connection, request, self._clock)
        except ConfigError as error:
            raise Permanent(f"the workflow cannot run: {error}") from error
        return {"run": submission.run_id, "name": submission.manifest["metadata"]["name"]}


@asynccontextmanager
async def open_argo_workflow(tools: Tools) -> AsyncGenerator[StoreTrigger]:
    """Nothing to hold: the store is the way."""
    yield ArgoWorkflowTrigger(tools.clock)
