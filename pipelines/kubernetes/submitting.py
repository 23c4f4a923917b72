"""Has runs created on a cluster that were written down first: those of schedules, bindings, people and other runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import anyio
from sqlalchemy import Connection

from pipelines.core.nodes import Phase
from pipelines.host.announce import failure
from pipelines.host.counting import count_run
from pipelines.host.saving import cause_of, close
from pipelines.kubernetes.creating import Creator
from pipelines.kubernetes.rounds import Rounds
from retrain import faults
from retrain.clock import Clock
from retrain.errors import RetrainError, Transient
from retrain.kube import Unreachable
from retrain.log import get_logger
from retrain.store import Store, elsewhere, outbox, runs
from retrain.store.runs import RunRow

TOPIC = "runs/submitting"
BATCH = 100
"""Rows that are in hand at once; the creator says how many of them go to the server at a time."""

log = get_logger()


class Submitter:
    """Works through the rows without an object."""

    def __init__(self, store: Store, clock: Clock, creator: Creator) -> None:
        self._store = store
        self._clock = clock
        self._creator = creator
        self._rounds = Rounds(store, TOPIC, "cluster.takes_nothing")

    @property
    def trouble(self) -> str | None:
        """Why the cluster takes something not now; None while it takes all."""
        return self._rounds.trouble

    async def run(self) -> None:
        """Submit until cancelled."""
        await self._rounds.run(self._submit_all)

    async def _submit_all(self) -> None:
        """
        Raises:
            Transient: some are not there yet; as many of the others as the server takes are.
        """
        later: list[Transient] = []
        more = True
        while more and not any(isinstance(error, Unreachable) for error in later):
            # What the cluster did not take now is not in the way of what comes after it.
            rows = await self._store.read(lambda c: elsewhere.unsubmitted(c, BATCH, len(later)))
            async with anyio.create_task_group() as group:
                for row in rows:
                    group.start_soon(self._settle, row, later)
            more = len(rows) == BATCH
        if later:
            raise later[0]

    async def _settle(self, row: RunRow, later: list[Transient]) -> None:
        try:
            await self._submit(row)
        except Transient as error:
            later.append(error)

    async def _submit(self, row: RunRow) -> None:
        if row.control in runs.ENDING:
            await self._end(row, f"Stopped with strategy '{row.control.capitalize()}'", Phase.Failed)
            return
        try:
            made = await self._creator.create(row.id, _wanted(row), row.labels)
        except Transient:
            raise
        except RetrainError as error:
            await self._end(row, str(error), Phase.Error)
            return
        if made is not None:
            faults.point("cluster.before_place")
            placed = await self._store.write(lambda c: elsewhere.place_object(c, row.id, made))
            faults.point("cluster.after_place")
            self._store.signals.notify("runs")
            if not placed:  # somebody has ended the run meanwhile
                await self._creator.withdraw(made)

    async def _end(self, row: RunRow, reason: str, phase: Phase) -> None:
        now = self._clock.now()
        if await self._store.write(lambda c: refuse(c, row.id, reason, now, phase)):
            log.warning("run.not_submitted", run_id=row.id, reason=reason)
            for topic in ("outbox", "firings", "retention", "crons"):
                self._store.signals.notify(topic)


def _wanted(row: RunRow) -> dict[str, Any]:
    """The Workflow of a row; suspended where somebody asked for that meanwhile."""
    if row.control != "suspend":
        return row.manifest
    spec: Any = row.manifest.get("spec") or {}
    return {**row.manifest, "spec": {**spec, "suspend": True}}


def refuse(connection: Connection, run_id: str, reason: str, now: datetime, phase: Phase = Phase.Error) -> bool:
    """End a run that the cluster never gets; False if it is over, or is there."""
    row = runs.get(connection, run_id)
    if row is None or row.phase not in runs.OPEN or row.object is not None:
        return False
    elsewhere.reflect(connection, run_id, {"phase": str(phase), "message": reason, "finished": now})
    outbox.add(connection, [failure(row, reason, phase, now, cause_of(connection, row))], now)
    close(connection, row, now, succeeded=False)
    count_run(row, str(phase), None, now)
    return True
