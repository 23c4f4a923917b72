"""Works the queue of runs: takes what nobody holds, drives it to its end, and tells of it.

A run belongs to the runner whose lease it carries. The lease is renewed at a third of its length; that of a dead runner
runs out, and the next one goes on from the saved nodes (`pipelines.local.executor` says what becomes of running steps).
Everything that a batch of news changes is one transaction: nodes, the run's phase, and the event that tells of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import anyio
import anyio.to_thread
import structlog
from anyio.abc import TaskGroup, TaskStatus
from sqlalchemy import Connection

from pipelines.core import engine
from pipelines.core.engine import Decision, Run
from pipelines.core.happenings import Resume, Stop, Suspend, Task
from pipelines.core.nodes import Outputs, Phase
from pipelines.core.plan import Catalog
from pipelines.host.announce import Cause, Moment, announcement, failure, moment_of
from pipelines.host.drive import Drive, reads_results
from pipelines.local.executor import Limits, LocalExecutor, open_executor
from pipelines.local.leaf import StepRun, Surroundings
from pipelines.local.workspace import run_directory, set_aside_all_but
from retrain.clock import Clock
from retrain.errors import ConfigError, Refused, Transient
from retrain.store import Store, firings, outbox, runs
from retrain.store.runs import RunRow

POLL_S = 1.0
"""Seconds after which the queue is looked at without a notice: other processes write to it too."""
RETRY_S = 0.5

REQUESTS = {"stop": Stop("Stop"), "terminate": Stop("Terminate"), "suspend": Suspend(), "resume": Resume()}
"""What `runs.control` may hold."""

T = TypeVar("T")

log = structlog.get_logger()


class LeaseLost(Refused):
    """The run is another runner's now."""


def _owner() -> str:
    return f"runner-{uuid4().hex[:12]}"


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """`max_runs`: runs in hand at once, the others wait as Pending rows. `lease_s`: after which a dead runner's runs
    are anybody's."""

    max_runs: int = 64
    lease_s: float = 30.0
    limits: Limits = field(default_factory=Limits)
    owner: str = field(default_factory=_owner)


@dataclass(slots=True)
class _Held:
    """A run in hand. `told`: `run.started` is in the outbox; `control`: what was asked for and passed on."""

    row: RunRow
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    drive: Drive | None = None
    told: bool = False
    control: str | None = None

    def obey(self, control: str) -> None:
        if self.drive is not None and control != self.control and control in REQUESTS:
            self.control = control
            self.drive.ask(REQUESTS[control])


class Runner:
    """The local engine as a part of the platform."""

    name = "runner"

    def __init__(
        self,
        store: Store,
        clock: Clock,
        around: Surroundings,
        catalog: Callable[[], Catalog],
        options: RunnerOptions | None = None,
    ) -> None:
        """`catalog` gives the templates and ConfigMaps that a run may name, as they are when it is taken up."""
        self._store = store
        self._clock = clock
        self._around = around
        self._catalog = catalog
        self._options = options or RunnerOptions()
        self._held: dict[str, _Held] = {}

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled; then end the steps (or leave them, see `Limits.leave`) and give the runs back."""
        try:
            async with (
                open_executor(self._around, self._clock, self._options.limits) as executor,
                anyio.create_task_group() as group,
            ):
                group.start_soon(self._renew)
                task_status.started()
                await self._work_queue(group, executor)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(5.0):
                await self._patiently(lambda c: runs.release(c, self._options.owner))

    async def _work_queue(self, group: TaskGroup, executor: LocalExecutor) -> None:
        while True:
            taken = await self._claim()
            for row in taken:
                held = self._held[row.id] = _Held(row, told=row.started is not None)
                group.start_soon(self._settle, held, executor)
            await self._obey()
            if not taken:
                await self._store.signals.wait("runs", POLL_S)

    async def _claim(self) -> list[RunRow]:
        room = self._options.max_runs - len(self._held)
        if room <= 0:
            return []
        now = self._clock.now()
        until = now + self._lease()
        taken = await self._patiently(lambda c: runs.claim(c, self._options.owner, now, until, room))
        return [row for row in taken if row.id not in self._held]

    async def _obey(self) -> None:
        if self._held:
            asked = await self._store.read(lambda c: runs.asked(c, self._options.owner))
            for run_id, control in asked.items():
                if held := self._held.get(run_id):
                    held.obey(control)

    async def _renew(self) -> None:
        while True:
            await anyio.sleep(self._options.lease_s / 3)
            ids = list(self._held)
            until = self._clock.now() + self._lease()
            kept = await self._patiently(lambda c, ids=ids, until=until: runs.renew(c, self._options.owner, ids, until))
            for run_id in set(ids) - kept:
                if held := self._held.get(run_id):
                    held.scope.cancel()

    def _lease(self) -> timedelta:
        return timedelta(seconds=self._options.lease_s)

    async def _settle(self, held: _Held, executor: LocalExecutor) -> None:
        """One run, whatever comes: its trouble is its own, the others live on."""
        row = held.row
        try:
            with held.scope:
                await self._drive(held, executor)
            if held.scope.cancelled_caught:
                self._drop(row, executor, "its lease ran out")
        except LeaseLost as error:
            self._drop(row, executor, str(error))
        except ConfigError as error:
            await self._fail(held, f"invalid spec: {error}", Phase.Failed)
        except Exception as error:
            log.exception("run.broken", run_id=row.id)
            executor.stop_run(row.id)
            await self._fail(held, f"the engine failed: {error!r}", Phase.Error)
        finally:
            if self._held.get(row.id) is held:
                del self._held[row.id]
            self._store.signals.notify("runs")

    def _drop(self, row: RunRow, executor: LocalExecutor, reason: str) -> None:
        """Let go of a run that is another runner's: its steps must not go on here as well."""
        log.warning("run.lost", run_id=row.id, reason=reason)
        executor.stop_run(row.id)

    async def _drive(self, held: _Held, executor: LocalExecutor) -> None:
        row = held.row
        run, unfinished = await self._open(row)
        home = run_directory(self._around.data, row.id)
        step_run = StepRun(row.id, row.name, row.id, home, reads_results(run.plan))

        async def save(decision: Decision) -> None:
            await self._save(held, decision)

        held.drive = Drive(run, step_run, executor, self._clock, save)
        if row.control:
            held.obey(row.control)
        log.info("run.taken", run_id=row.id, workflow=row.workflow, again=bool(run.nodes))
        decision = await held.drive.go(unfinished)
        if decision.run.ended:
            log.info("run.ended", run_id=row.id, phase=str(decision.phase), message=decision.message)
            return
        # Nobody needs to hold it until it is resumed; if it was, meanwhile, the next claim has it.
        del self._held[row.id]
        await self._patiently(lambda c: runs.let_go(c, self._options.owner, row.id))
        log.info("run.suspended", run_id=row.id)

    async def _open(self, row: RunRow) -> tuple[Run, tuple[Task, ...]]:
        saved = await self._store.read(lambda c: runs.load_nodes(c, row.id)) if row.started else {}
        # A run that has begun keeps the templates that it began with, whatever the project says by now.
        catalog = self._catalog() if row.templates is None else Catalog.of(row.templates)
        if row.retries:
            # A step that runs again must not find what its earlier life has left behind.
            home = run_directory(self._around.data, row.id)
            await anyio.to_thread.run_sync(set_aside_all_but, home, list(saved), "retried")
        if not saved:
            run = engine.begin(row.manifest, name=row.name, uid=row.id, created=row.created, templates=catalog)
            return run, ()
        run = engine.restore(
            row.manifest,
            saved,
            name=row.name,
            uid=row.id,
            created=row.created,
            templates=catalog,
            started_at=row.started,
            outputs=Outputs.from_argo(row.outputs).parameters,
        )
        return run, engine.unfinished(run)

    async def _save(self, held: _Held, decision: Decision) -> None:
        row, run, now = held.row, decision.run, self._clock.now()
        moments: list[Moment] = [] if held.told else ["started"]
        if moment := moment_of(decision):
            moments.append(moment)
        nodes = {node_id: run.nodes[node_id].to_argo() for node_id in decision.changed}
        changes: dict[str, Any] = {"started": run.started_at, "outputs": Outputs(decision.outputs).to_argo()}
        if not held.told:
            changes["templates"] = run.plan.catalog.needed_by(row.manifest)
        if run.finished_at is not None:
            changes["finished"] = run.finished_at

        def work(connection: Connection) -> None:
            phase, owner = str(decision.phase), self._options.owner
            if not runs.advance(connection, owner, row.id, phase=phase, message=decision.message, **changes):
                raise LeaseLost(f"run {row.id} is another runner's, or over")
            runs.save_nodes(connection, row.id, nodes)
            if moments:
                cause = _cause(connection, row)
                outbox.add(connection, [announcement(row, decision, one, cause) for one in moments], now)
            if moment is not None:
                _wake_firing(connection, row, now)

        await self._patiently(work)
        held.told = True
        if moments:
            self._notify_of_news()

    async def _fail(self, held: _Held, message: str, phase: Phase) -> None:
        """End a run that the engine cannot drive."""
        row, now = held.row, self._clock.now()

        def work(connection: Connection) -> None:
            owner = self._options.owner
            if runs.advance(connection, owner, row.id, phase=str(phase), message=message, finished=now):
                outbox.add(connection, [failure(row, message, phase, now, _cause(connection, row))], now)
                _wake_firing(connection, row, now)

        await self._patiently(work)
        self._notify_of_news()
        log.warning("run.failed", run_id=row.id, message=message)

    def _notify_of_news(self) -> None:
        for topic in ("outbox", "firings"):
            self._store.signals.notify(topic)

    async def _patiently(self, work: Callable[[Connection], T]) -> T:
        """Write, however long the disk is full: what has happened must not be forgotten for want of room."""
        while True:
            try:
                return await self._store.write(work)
            except Transient as error:
                log.warning("runner.store_away", reason=str(error), retry_in_s=RETRY_S)
                await anyio.sleep(RETRY_S)


def _cause(connection: Connection, row: RunRow) -> Cause | None:
    """Whose run it is. Asked when there is something to tell: the start, and the end."""
    if row.firing_id is None:
        return None
    found = firings.origin(connection, row.firing_id)
    return Cause(row.firing_id, *found) if found else None


def _wake_firing(connection: Connection, row: RunRow, now: datetime) -> None:
    """The firing of a run may wait for its end (`policy.k8s`)."""
    if row.firing_id is not None:
        firings.wake(connection, row.firing_id, now)
