"""What people may do to runs, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from pipelines.artifacts.port import Artifacts
from pipelines.core.happenings import Resume, SetNodes, Stop, Suspend
from pipelines.host import control
from pipelines.host.control import ResubmitOptions, RetryOptions
from pipelines.host.retention import Retention
from pipelines.kubernetes.creating import OpenCluster
from pipelines.kubernetes.requests import ClusterRequests
from retrain.app.runs.artifacts import Download, download
from retrain.app.runs.compare import Direction
from retrain.app.runs.comparing import compare_runs
from retrain.app.runs.logs import LogPlace, Logs, LogWish, log_lines
from retrain.app.runs.previews import Looked, look_at
from retrain.app.services import Action
from retrain.clock import Clock
from retrain.errors import Refused
from retrain.store import Store, runs
from retrain.store.runs import RunRow

Request = Stop | Suspend | Resume | SetNodes


@dataclass(frozen=True, slots=True)
class Doing:
    """What does what is asked of runs. `cluster`: for those on a cluster; None: none is reached from here."""

    store: Store
    clock: Clock
    cluster: ClusterRequests | None

    def there(self, run: RunRow) -> ClusterRequests:
        """
        Raises:
            Refused: no cluster is reached from here.
        """
        if self.cluster is None:
            raise Refused(f"{run.name} is on a cluster, and this process of the platform reaches none")
        return self.cluster


def run_actions(
    store: Store, clock: Clock, data: Path, artifacts: Artifacts | None, cluster: OpenCluster | None = None
) -> dict[str, Action]:
    """Every action on a run but `runs.delete`, which is of whoever keeps runs no longer than they are wanted.

    `cluster`: the connection, for runs of the engines `argo` and `object`; without, nothing can be asked of those.
    """
    doing = Doing(store, clock, None if cluster is None else ClusterRequests(store, clock, cluster))
    ask = partial(_ask, doing)
    return {
        "runs.stop": ask,
        "runs.terminate": partial(ask, request=Stop("Terminate")),
        "runs.suspend": partial(ask, request=Suspend()),
        "runs.resume": ask,
        "runs.set": ask,
        "runs.retry": partial(_retry, doing),
        "runs.resubmit": partial(_resubmit, doing),
        "runs.logs": partial(_logs, LogPlace(store, data, artifacts, cluster)),
        "runs.artifacts": partial(_artifacts, store, artifacts),
        "runs.look": partial(_look, store, artifacts),
        "runs.compare": partial(_compare, store, artifacts),
    }


async def _ask(doing: Doing, run: RunRow, request: Request) -> None:
    if run.engine != "local":
        await doing.there(run).ask(run, request)
        return
    await doing.store.write(lambda c: control.ask(c, run, request))
    doing.store.signals.notify("runs")


async def _retry(doing: Doing, run: RunRow, options: RetryOptions) -> None:
    if run.engine != "local":
        await doing.there(run).retry(run, options)
        return
    await doing.store.write(lambda c: control.retry(c, run, options, doing.clock.now()))
    doing.store.signals.notify("runs")


async def _resubmit(doing: Doing, run: RunRow, options: ResubmitOptions) -> RunRow:
    if run.engine == "object" or (run.engine == "argo" and options.memoized):
        return await doing.there(run).resubmit(run, options)

    def work(connection: Connection) -> RunRow | None:
        return runs.get(connection, control.resubmit(connection, run, options, doing.clock))

    made = await doing.store.write(work)
    assert made is not None
    doing.store.signals.notify("runs")
    return made


def delete_action(retention: Retention, store: Store, clock: Clock, cluster: OpenCluster | None = None) -> Action:
    """`runs.delete`: a run goes with what it has left; one on a cluster with its object."""
    requests = None if cluster is None else ClusterRequests(store, clock, cluster)
    return partial(_delete, Doing(store, clock, requests), retention)


async def _delete(doing: Doing, retention: Retention, run: RunRow) -> None:
    if run.engine == "local" or run.object is None:
        await retention.delete(run)
        return
    await retention.check_deletable(run)
    await doing.there(run).delete(run)
    if run.phase in runs.OPEN:
        # The watch sees the object go and ends the run; then its time is over.
        await doing.store.write(lambda c: runs.let_expire(c, run.id, doing.clock.now()))
        return
    await retention.delete(run)


async def _logs(place: LogPlace, run: RunRow, wish: LogWish) -> Logs:
    return await log_lines(place, run, wish)


async def _artifacts(store: Store, artifacts: Artifacts | None, run: RunRow, node: str, name: str) -> Download:
    return await download(store, _there(artifacts), run, node, name)


async def _look(store: Store, artifacts: Artifacts | None, run: RunRow, node: str, name: str, path: str) -> Looked:
    return await look_at(store, _there(artifacts), run, node, name, path)


async def _compare(
    store: Store, artifacts: Artifacts | None, found: Sequence[RunRow], better: Mapping[str, Direction], now: datetime
) -> dict[str, Any]:
    return await store.read(lambda c: compare_runs(c, found, better, artifacts, now))


def _there(artifacts: Artifacts | None) -> Artifacts:
    if artifacts is None:
        raise Refused("this process of the platform keeps no artifacts; ask one with the role runner")
    return artifacts
