"""What becomes of runs that are over: `podGC`, `artifactGC`, `ttlStrategy`, and how long runs are kept without it.

A run goes in this order: the directories of its steps, its artifacts, its rows. So a crash in between leaves a run that
is deleted again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus
from sqlalchemy import Connection

from pipelines.artifacts.garbage import Moment, delete_all, doomed
from pipelines.artifacts.keeper import Keeper
from pipelines.artifacts.port import ArtifactRun
from pipelines.local.retention import remove_old, remove_run, remove_tree
from pipelines.local.workspace import open_workspace, run_directory
from retrain.clock import Clock
from retrain.errors import Refused, RetrainError, Transient
from retrain.log import get_logger
from retrain.store import Store, runs
from retrain.store.lineage import led_to_promotions
from retrain.store.runs import RunRow

LOOK_S = 60.0
"""Seconds between two looks for runs whose time is over."""
SWEEP_S = 3600.0
"""Seconds between two looks for old directories of steps."""
AT_ONCE = 50

_POD_GC = {
    "OnPodCompletion": ("Succeeded", "Failed", "Error"),
    "OnPodSuccess": ("Succeeded",),
    "OnWorkflowCompletion": ("Succeeded", "Failed", "Error"),
    "OnWorkflowSuccess": ("Succeeded",),
}

log = get_logger()


@dataclass(frozen=True, slots=True)
class Keep:
    """How long things are kept where a workflow does not say. `runs` None: for ever. `steps`: directories and logs."""

    runs: timedelta | None = timedelta(days=90)
    steps: timedelta = timedelta(days=7)
    artifact_days: int | None = None


class Forgetting:
    """Deletes what runs have left."""

    def __init__(self, store: Store, data: Path, artifacts: Keeper) -> None:
        self._store = store
        self._data = data
        self._artifacts = artifacts

    async def completed(self, row: RunRow, phase: str, spec: Mapping[str, Any]) -> None:
        """A run is over: `podGC` and `artifactGC` may want something gone at once. What is missed goes with the run."""
        if not spec.get("podGC") and not spec.get("artifactGC"):
            return
        nodes = await self._store.read(lambda c: runs.load_bare(c, row.id))
        work = partial(self._complete, row, phase, spec, nodes)
        await anyio.to_thread.run_sync(work)

    async def forget(self, row: RunRow) -> bool:
        """Delete a run that is over; False if it is open, or there was none.

        Raises:
            Transient: artifacts that are to go with it cannot be deleted now.
        """
        nodes = await self._store.read(lambda c: runs.load_bare(c, row.id))
        await anyio.to_thread.run_sync(partial(self._remove, row, nodes))
        gone = await self._store.write(lambda c: runs.forget(c, row.id))
        if gone:
            log.info("run.deleted", run_id=row.id, name=row.name)
        return gone

    def _complete(self, row: RunRow, phase: str, spec: Mapping[str, Any], nodes: Mapping[str, Any]) -> None:
        strategy = str((spec.get("podGC") or {}).get("strategy") or "")
        phases = _POD_GC.get(strategy, ())
        if strategy != "OnWorkflowSuccess" or phase == "Succeeded":
            home = run_directory(self._data, row.id)
            for node_id, node in nodes.items():
                if node.get("type") == "Pod" and node.get("phase") in phases:
                    _clear(open_workspace(home, node_id).home)
        self._delete_artifacts(row, spec, nodes, "OnWorkflowCompletion")

    def _remove(self, row: RunRow, nodes: Mapping[str, Any]) -> None:
        remove_run(self._data, row.id)
        spec: Mapping[str, Any] = row.manifest.get("spec") or {}
        force = bool((spec.get("artifactGC") or {}).get("forceFinalizerRemoval"))
        if not self._delete_artifacts(row, spec, nodes, "OnWorkflowDeletion") and not force:
            raise Transient(f"{row.name}: some of its artifacts cannot be deleted now, so the run stays")
        self._artifacts.local.forget_run(row.id)

    def _delete_artifacts(self, row: RunRow, spec: Mapping[str, Any], nodes: Mapping[str, Any], moment: Moment) -> bool:
        """Whether all of those are gone that are to go at this moment."""
        outputs = [one for node in nodes.values() for one in (node.get("outputs") or {}).get("artifacts") or ()]
        if not outputs:
            return True
        run = ArtifactRun(row.id, row.name, row.namespace, "", "", spec.get("artifactRepositoryRef"))
        return not delete_all(self._artifacts, doomed(spec, outputs, moment), run)


def _clear(home: Path) -> None:
    """Take away what a step had on disk, but for its logs."""
    if not home.is_dir():
        return
    for path in home.iterdir():
        if path.suffix != ".log" and path.name != "containers":
            remove_tree(path)


class Retention:
    """Deletes runs when their time is over."""

    name = "retention"

    def __init__(self, store: Store, clock: Clock, data: Path, artifacts: Keeper, keep: Keep | None = None) -> None:
        self._store = store
        self._clock = clock
        self._data = data
        self._keep = keep or Keep()
        self._artifacts = artifacts
        self._forgetting = Forgetting(store, data, artifacts)
        self._later: dict[str, str] = {}
        """Runs that could not be deleted at this look, each with the reason."""
        self._needed: set[str] = set()
        """Runs that led to promotions, as far as they were in question: that does not change any more."""
        self.trouble: str | None = None
        """Why the last look deleted nothing, or not all."""

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Look now and then until cancelled."""
        task_status.started()
        swept = float("-inf")
        while True:
            try:
                await self.look()
                if self._clock.monotonic() - swept >= SWEEP_S:
                    swept = self._clock.monotonic()
                    now = self._clock.now()
                    await anyio.to_thread.run_sync(partial(self._sweep, now))
                self.trouble = self._left()
            except (RetrainError, OSError) as error:
                self.trouble = str(error)
                log.warning("retention.waiting", reason=str(error))
            await self._store.signals.wait("retention", LOOK_S)

    def _left(self) -> str | None:
        if not self._later:
            return None
        reason = next(iter(self._later.values()))
        return f"{len(self._later)} runs that are to be deleted cannot be: {reason}"

    def _sweep(self, now: datetime) -> None:
        remove_old(self._data, self._keep.steps, now)
        self._artifacts.local.sweep(now.timestamp(), self._keep.artifact_days)

    async def look(self) -> int:
        """Delete what is due; how many runs."""
        now = self._clock.now()
        default = None if self._keep.runs is None else now - self._keep.runs
        done, self._later = 0, {}
        due: list[tuple[datetime, str]] = []
        while True:
            last = due[-1] if due else None
            due = await self._store.read(
                partial(runs.expired_after, now=now, default=default, after=last, most=AT_ONCE)
            )
            for row in await self._store.read(partial(self._not_needed, [id_ for _, id_ in due])):
                done += await self._delete(row)
            if len(due) < AT_ONCE:
                return done

    def _not_needed(self, ids: list[str], connection: Connection) -> list[RunRow]:
        """The runs that no promotion came of, however many runs later: their traces stay whole."""
        asked = [id_ for id_ in ids if id_ not in self._needed]
        self._needed |= {id_ for _, id_ in led_to_promotions(connection, [("run", id_) for id_ in asked])}
        rows = [runs.get(connection, id_) for id_ in asked if id_ not in self._needed]
        return [row for row in rows if row is not None]

    async def check_deletable(self, row: RunRow) -> None:
        """
        Raises:
            Refused: a promotion came of the run.
        """
        if await self._store.read(lambda c: led_to_promotions(c, [("run", row.id)])):
            raise Refused(
                f"{row.name}: a promotion came of it, and its trace would break; it is kept as long as that is"
            )

    async def delete(self, row: RunRow) -> None:
        """Delete a run now, or as soon as it is over: an open one is terminated first.

        Raises:
            Refused: a promotion came of it.
        """
        await self.check_deletable(row)
        now = self._clock.now()

        def work(connection: Any) -> bool:
            runs.let_expire(connection, row.id, now)
            return runs.ask(connection, row.id, "terminate")

        if await self._store.write(work):
            self._store.signals.notify("runs")
            return
        await self._forgetting.forget(row)

    async def _delete(self, row: RunRow) -> int:
        try:
            return int(await self._forgetting.forget(row))
        except (RetrainError, OSError) as error:
            log.warning("run.not_deleted", run_id=row.id, reason=str(error))
            self._later[row.id] = str(error)
            return 0
