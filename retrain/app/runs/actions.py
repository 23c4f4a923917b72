"""What people may do to runs, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from pipelines.artifacts.port import Artifacts
from pipelines.core.happenings import Resume, SetNodes, Stop, Suspend
from pipelines.host import control
from pipelines.host.control import ResubmitOptions, RetryOptions
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


def run_actions(store: Store, clock: Clock, data: Path, artifacts: Artifacts | None) -> dict[str, Action]:
    """Every action on a run but `runs.delete`, which is of whoever keeps runs no longer than they are wanted."""
    ask = partial(_ask, store)
    return {
        "runs.stop": ask,
        "runs.terminate": partial(ask, request=Stop("Terminate")),
        "runs.suspend": partial(ask, request=Suspend()),
        "runs.resume": ask,
        "runs.set": ask,
        "runs.retry": partial(_retry, store, clock),
        "runs.resubmit": partial(_resubmit, store, clock),
        "runs.logs": partial(_logs, LogPlace(store, data, artifacts)),
        "runs.artifacts": partial(_artifacts, store, artifacts),
        "runs.look": partial(_look, store, artifacts),
        "runs.compare": partial(_compare, store, artifacts),
    }


async def _ask(store: Store, run: RunRow, request: Request) -> None:
    await store.write(lambda c: control.ask(c, run, request))
    store.signals.notify("runs")


async def _retry(store: Store, clock: Clock, run: RunRow, options: RetryOptions) -> None:
    await store.write(lambda c: control.retry(c, run, options, clock.now()))
    store.signals.notify("runs")


async def _resubmit(store: Store, clock: Clock, run: RunRow, options: ResubmitOptions) -> RunRow:
    def work(connection: Connection) -> RunRow | None:
        return runs.get(connection, control.resubmit(connection, run, options, clock))

    made = await store.write(work)
    assert made is not None
    store.signals.notify("runs")
    return made


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
