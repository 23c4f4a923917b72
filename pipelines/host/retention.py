"""What becomes of runs that are over: `podGC`, `artifactGC`, `ttlStrategy`, and how long runs are kept without it.

A run goes in this order: the directories of its steps, its artifacts, its rows. So a crash in between leaves a run that
is deleted again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import structlog
from anyio.abc import TaskStatus

from pipelines.artifacts.port import ArtifactMissing, ArtifactRun, Artifacts
from pipelines.core.nodes import Artifact
from pipelines.local.retention import remove_old, remove_run, remove_tree
from pipelines.local.workspace import open_workspace, run_directory
from retrain.clock import Clock
from retrain.errors import RetrainError, Transient
from retrain.store import Store, runs
from retrain.store.runs import RunRow

LOOK_S = 60.0
"""Seconds between two looks for runs whose time is over."""
SWEEP_S = 3600.0
"""Seconds between two looks for old directories of steps."""
AT_ONCE = 50

_ON_COMPLETION = frozenset({"OnWorkflowCompletion"})
_AT_ALL = frozenset({"OnWorkflowCompletion", "OnWorkflowDeletion"})
_POD_GC = {
    "OnPodCompletion": ("Succeeded", "Failed", "Error"),
    "OnPodSuccess": ("Succeeded",),
    "OnWorkflowCompletion": ("Succeeded", "Failed", "Error"),
    "OnWorkflowSuccess": ("Succeeded",),
}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Keep:
    """How long things are kept where a workflow does not say. `runs` None: for ever. `steps`: directories and logs."""

    runs: timedelta | None = timedelta(days=90)
    steps: timedelta = timedelta(days=7)


class Forgetting:
    """Deletes what runs have left."""

    def __init__(self, store: Store, data: Path, artifacts: Artifacts) -> None:
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
        try:
            self._delete_artifacts(row, spec, nodes, _ON_COMPLETION)
        except RetrainError as error:
            log.warning("run.artifacts_kept", run_id=row.id, reason=str(error))

    def _remove(self, row: RunRow, nodes: Mapping[str, Any]) -> None:
        remove_run(self._data, row.id)
        spec: Mapping[str, Any] = row.manifest.get("spec") or {}
        try:
            self._delete_artifacts(row, spec, nodes, _AT_ALL)
        except Transient:
            if not (spec.get("artifactGC") or {}).get("forceFinalizerRemoval"):
                raise
        except RetrainError as error:
            log.warning("run.artifacts_kept", run_id=row.id, reason=str(error))

    def _delete_artifacts(
        self, row: RunRow, spec: Mapping[str, Any], nodes: Mapping[str, Any], strategies: frozenset[str]
    ) -> None:
        for node_id, artifact in _artifacts(spec, nodes, strategies):
            run = ArtifactRun(row.id, row.name, row.namespace, node_id, node_id, spec.get("artifactRepositoryRef"))
            try:
                self._artifacts.delete(artifact, run)
            except ArtifactMissing:
                continue


def _artifacts(
    spec: Mapping[str, Any], nodes: Mapping[str, Any], strategies: frozenset[str]
) -> Iterator[tuple[str, Artifact]]:
    """What nodes have left whose strategy is one of these; the artifact's own counts, then the workflow's."""
    of_all = str((spec.get("artifactGC") or {}).get("strategy") or "Never")
    for node_id, node in nodes.items():
        if node.get("type") != "Pod":
            continue  # what others list is a pod's
        for artifact in (node.get("outputs") or {}).get("artifacts") or ():
            own = (artifact.get("artifactGC") or {}).get("strategy") or of_all
            if own in strategies:
                yield node_id, artifact


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

    def __init__(self, store: Store, clock: Clock, data: Path, artifacts: Artifacts, keep: Keep | None = None) -> None:
        self._store = store
        self._clock = clock
        self._data = data
        self._keep = keep or Keep()
        self._forgetting = Forgetting(store, data, artifacts)
        self._later: set[str] = set()
        """Runs that could not be deleted at this look."""

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
                    await anyio.to_thread.run_sync(partial(remove_old, self._data, self._keep.steps, now))
            except (RetrainError, OSError) as error:
                log.warning("retention.waiting", reason=str(error))
            await self._store.signals.wait("retention", LOOK_S)

    async def look(self) -> int:
        """Delete what is due; how many runs."""
        now = self._clock.now()
        default = None if self._keep.runs is None else now - self._keep.runs
        done, self._later = 0, set()
        while True:
            due = await self._store.read(lambda c: runs.expired(c, now, default, AT_ONCE + len(self._later)))
            due = [row for row in due if row.id not in self._later]
            for row in due:
                done += await self._delete(row)
            if not due:
                return done

    async def delete(self, row: RunRow) -> None:
        """Delete a run now, or as soon as it is over: an open one is terminated first."""
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
            self._later.add(row.id)
            return 0
