"""Works the queue of runs: takes what nobody holds, drives it to its end, and tells of it.

A run belongs to the runner whose lease it carries. The lease is renewed at a third of its length; that of a dead runner
runs out, and the next one goes on from the saved nodes (`pipelines.local.executor` says what becomes of running steps).
Everything that a batch of news changes is one transaction: nodes, edges, the run's phase, the requests that it answers,
and the event that tells of it.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TypeVar
from uuid import uuid4

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup, TaskStatus
from sqlalchemy import Connection

from pipelines.agents.objects import ConfigMaps, Objects
from pipelines.agents.opening import AgentSettings
from pipelines.artifacts.keeper import Keeper
from pipelines.core import engine
from pipelines.core.engine import Decision, Run
from pipelines.core.happenings import Task
from pipelines.core.nodes import Phase
from pipelines.core.plan import Catalog
from pipelines.host.counting import RunCounter
from pipelines.host.drive import Drive, Hands, step_run_of
from pipelines.host.fitting import check_machine
from pipelines.host.metrics import WorkflowMetrics
from pipelines.host.requests import request_of
from pipelines.host.restoring import load, restore
from pipelines.host.saving import LeaseLost, Ledger
from pipelines.host.tools import Tools, open_store_tools
from pipelines.local.executor import Limits
from pipelines.local.leaf import Surroundings
from pipelines.local.workspace import run_directory, set_aside_all_but
from retrain.clock import Clock
from retrain.errors import ConfigError, Transient
from retrain.log import get_logger
from retrain.store import Store, run_requests, runs
from retrain.store.runs import RunRow
from retrain.store.traces import trace_ids
from retrain.telemetry.bound import bound
from retrain.telemetry.ids import run_span

POLL_S = 1.0
"""Seconds after which the queue is looked at without a notice: other processes write to it too."""
RETRY_S = 0.5

Watch = Callable[[RunRow, Decision], None]
"""Sees every decision once it is saved."""

T = TypeVar("T")

log = get_logger()


def _nobody(_name: str) -> None:
    """Nobody waits for a run."""


def _owner() -> str:
    return f"runner-{uuid4().hex[:12]}"


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """`max_runs`: runs in hand at once, the others wait as Pending rows. `lease_s`: after which a dead runner's runs
    are anybody's. `only`: work on the run of this id and those that it starts, on nothing else. `traced`: steps are
    told the trace that they belong to."""

    max_runs: int = 64
    lease_s: float = 30.0
    limits: Limits = field(default_factory=Limits)
    owner: str = field(default_factory=_owner)
    only: str | None = None
    agents: AgentSettings = field(default_factory=AgentSettings)
    traced: bool = False


@dataclass(slots=True)
class _Held:
    """A run in hand. `asked`: the requests that were passed on to it."""

    row: RunRow
    ledger: Ledger
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    drive: Drive | None = None
    asked: set[int] = field(default_factory=set[int])

    def obey(self, request: run_requests.RequestRow) -> None:
        if self.drive is not None and request.id not in self.asked:
            self.asked.add(request.id)
            self.drive.ask(request_of(request.body), request.id)


class Runner:
    """The local engine as a part of the platform."""

    name = "runner"

    def __init__(  # noqa: PLR0913 - one part each
        self,
        store: Store,
        clock: Clock,
        around: Surroundings,
        catalog: Callable[[], Catalog],
        options: RunnerOptions | None = None,
        *,
        objects: Objects | None = None,
        artifacts: Keeper | None = None,
        watch: Watch | None = None,
    ) -> None:
        """`catalog` gives the templates and ConfigMaps that a run may name, as they are when it is taken up.

        `objects` and `artifacts`: where steps find and keep theirs; without them, in memory and in the data directory.
        """
        self._store = store
        self._clock = clock
        self._around = around
        self._catalog = catalog
        self._options = options or RunnerOptions()
        self._objects = objects
        self._artifacts = artifacts
        self._watch = watch
        self.metrics = WorkflowMetrics()
        self._counter = RunCounter()
        self._held: dict[str, _Held] = {}
        self._mine: set[str] = set()
        self._changed: Callable[[str], None] = _nobody
        self._places: Callable[[], Mapping[str, tuple[float, float]]] = dict[str, tuple[float, float]]

    def in_use(self) -> Mapping[str, tuple[float, float]]:
        """Resource -> (in use, capacity) of this machine's steps; `runs` are the runs in hand. Empty before it runs."""
        places = self._places()
        return {"runs": (len(self._held), self._options.max_runs), **places} if places else {}

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled; then end the steps (or leave them, see `Limits.leave`) and give the runs back."""
        tools = open_store_tools(
            self._store,
            self._clock,
            self._around,
            self._options.limits,
            objects=self._objects,
            artifacts=self._artifacts,
            settings=self._options.agents,
        )
        try:
            async with tools as opened, anyio.create_task_group() as group:
                self._changed = opened.children.changed
                self._places = opened.executor.in_use
                group.start_soon(self._renew)
                task_status.started()
                await self._work_queue(group, opened)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(5.0):
                await self._patiently(lambda c: runs.release(c, self._options.owner))

    async def _work_queue(self, group: TaskGroup, tools: Tools) -> None:
        while True:
            taken = await self._claim()
            for row in taken:
                held = self._held[row.id] = _Held(row, Ledger(row, self._options.owner, told=row.templates is not None))
                self._mine.add(row.id)
                group.start_soon(self._settle, held, Hands(tools.executor, tools.keepers, self._clock, group), tools)
            await self._obey()
            if not taken:
                await self._store.signals.wait("runs", POLL_S)

    async def _claim(self) -> list[RunRow]:
        room = self._options.max_runs - len(self._held)
        if room <= 0:
            return []
        now = self._clock.now()
        until = now + self._lease()
        only = None if self._options.only is None else frozenset({self._options.only, *self._mine})
        taken = await self._patiently(lambda c: runs.claim(c, self._options.owner, now, until, room, only=only))
        return [row for row in taken if row.id not in self._held]

    async def _obey(self) -> None:
        if self._held:
            asked = await self._store.read(lambda c: run_requests.of_owner(c, self._options.owner))
            for request in asked:
                if held := self._held.get(request.run_id):
                    held.obey(request)

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

    async def _settle(self, held: _Held, hands: Hands, tools: Tools) -> None:
        """One run, whatever comes: its trouble is its own, the others live on."""
        row = held.row
        try:
            trace = await self._trace_of(row)
            with held.scope, bound(trace_id=trace, span_id=run_span(row.id, row.retries)):
                await self._drive(held, hands, tools, trace)
            if held.scope.cancelled_caught:
                self._drop(row, hands, "its lease ran out")
        except LeaseLost as error:
            self._drop(row, hands, str(error))
        except ConfigError as error:
            await self._fail(held, f"invalid spec: {error}", Phase.Failed)
        except Exception as error:
            log.exception("run.broken", run_id=row.id)
            hands.executor.stop_run(row.id)
            await self._fail(held, f"the engine failed: {error!r}", Phase.Error)
            await hands.keepers.release_run(row.id)
        finally:
            if self._held.get(row.id) is held:
                del self._held[row.id]
            self._store.signals.notify("runs")

    async def _trace_of(self, row: RunRow) -> str:
        """The trace that the run belongs to; empty where the store does not say now."""
        try:
            return (await self._store.read(lambda c: trace_ids(c, [("run", row.id)])))["run", row.id].id
        except Transient:
            return ""

    def _drop(self, row: RunRow, hands: Hands, reason: str) -> None:
        """Let go of a run that is another runner's: its steps must not go on here as well."""
        log.warning("run.lost", run_id=row.id, reason=reason)
        hands.executor.stop_run(row.id)

    async def _drive(self, held: _Held, hands: Hands, tools: Tools, trace: str) -> None:
        row = held.row
        run, unfinished = await self._open(row)
        step_run = step_run_of(run, row.id, self._around, row.labels)
        if self._options.traced:
            step_run = replace(step_run, trace=trace, retries=row.retries)
        held.drive = Drive(run, step_run, hands, partial(self._save, held))
        for request in await self._store.read(lambda c: run_requests.of_run(c, row.id)):
            held.obey(request)
        log.info("run.taken", run_id=row.id, workflow=row.workflow, again=bool(run.nodes))
        decision = await held.drive.go(unfinished)
        if decision.run.ended:
            log.info("run.ended", run_id=row.id, phase=str(decision.phase), message=decision.message)
            await tools.forgetting.completed(row, str(decision.phase), run.plan.spec)
            return
        # Nobody needs to hold it until it is resumed; if it was, meanwhile, the next claim has it.
        del self._held[row.id]
        await self._patiently(lambda c: runs.park(c, self._options.owner, row.id, decision.wake_at))
        log.info("run.suspended", run_id=row.id)

    async def _open(self, row: RunRow) -> tuple[Run, tuple[Task, ...]]:
        saved = await self._store.read(lambda c: load(c, row))
        if row.retries:
            # A step that runs again must not find what its earlier life has left behind.
            home = run_directory(self._around.data, row.id)
            await anyio.to_thread.run_sync(set_aside_all_but, home, list(saved.nodes), "retried")
        run = restore(row, saved, self._catalog_of(row))
        if saved.nodes:
            return run, engine.unfinished(run)
        check_machine(run.plan, self._around, self._options.limits)
        return run, ()

    def _catalog_of(self, row: RunRow) -> Catalog:
        """A run that has begun keeps the templates that it began with, whatever the project says by now; what steps
        wrote into ConfigMaps is seen at once."""
        catalog = self._catalog() if row.templates is None else Catalog.of(row.templates)
        written = ConfigMaps(self._around.references)
        return replace(catalog, config_maps=ChainMap(written, catalog.config_maps))  # pyright: ignore[reportArgumentType] - only read

    async def _save(self, held: _Held, decision: Decision, requests: Sequence[int]) -> None:
        now, ledger = self._clock.now(), held.ledger
        news = await self._patiently(lambda c: ledger.keep(c, decision, requests, now))
        ledger.kept(decision)
        self.metrics.see(decision, now)
        self._counter.see(held.row, decision)
        if self._watch is not None:
            self._watch(held.row, decision)
        self._changed(held.row.name)
        if news:
            self._notify_of_news(held.row)

    async def _fail(self, held: _Held, message: str, phase: Phase) -> None:
        """End a run that the engine cannot drive."""
        now = self._clock.now()
        await self._patiently(lambda c: held.ledger.fail(c, message, phase, now))
        self._counter.failed(held.row, phase)
        self._notify_of_news(held.row)
        log.warning("run.failed", run_id=held.row.id, message=message)

    def _notify_of_news(self, row: RunRow) -> None:
        topics = ["outbox", "firings", "retention"]
        for topic in [*topics, "crons"] if row.parent else topics:
            self._store.signals.notify(topic)

    async def _patiently(self, work: Callable[[Connection], T]) -> T:
        """Write, however long the disk is full: what has happened must not be forgotten for want of room."""
        while True:
            try:
                return await self._store.write(work)
            except Transient as error:
                log.warning("runner.store_away", reason=str(error), retry_in_s=RETRY_S)
                await anyio.sleep(RETRY_S)
