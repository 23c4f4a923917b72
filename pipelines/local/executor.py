"""Does tasks on this machine: pods as processes, so many at once, and by its agents what needs no process.

`start` may be repeated for the same node of the same run, by this process or by the next one after a `kill -9`: a step
that ended meanwhile is read and not run again, one that still runs is found again, and only one whose leader died with
no word (the machine went down, somebody killed it) starts anew, a few times at most.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import anyio
from anyio.abc import TaskGroup

from pipelines.agents.port import Agent
from pipelines.artifacts.port import Artifacts
from pipelines.core.happenings import Progressed, Started, Task, TaskKind, TaskResult
from pipelines.core.nodes import Phase
from pipelines.local import cgroups, devices, process, retention
from pipelines.local.contained import plain
from pipelines.local.demand import is_device, pod_demand
from pipelines.local.isolation import Rung
from pipelines.local.leaf import StepRun, Surroundings, run_mark
from pipelines.local.life import Machine
from pipelines.local.machine import machine
from pipelines.local.pod import DEADLINE_MESSAGE, STOPPED_BEFORE, Pod, Report
from pipelines.local.podplan import PodPlan
from pipelines.local.progress import read_progress
from pipelines.local.selectors import ends_by_itself, misplaced, no_such_node
from pipelines.local.sign import Sign
from pipelines.local.slots import Grant, Slots
from pipelines.local.spawner import Spawner, open_spawner
from pipelines.local.workspace import claims_directory, open_workspace
from retrain.clock import Clock
from retrain.errors import ConfigError
from retrain.log import get_logger

log = get_logger()

GRACE_S = 30.0
"""Kubernetes' terminationGracePeriodSeconds."""
PROGRESS_S = 1.0
"""Seconds between two looks at what running steps say of their progress."""

_THREADS = 4
_TRANSFERS = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """`slots`: steps at once. `grace_s`: from SIGTERM to SIGKILL. `leave`: what leaving the executor does to running
    steps: "kill" ends them, "keep" lets them run, to be found again by the next `start`. `finish_s`: what "kill" gives
    them before that, to end by themselves: those that do are not to run again. `if_killed`: the argument list
    of a program that is to run if this process is gone without having left it. `fleeting`: the directories of steps go
    with the executor, so no step is to be found in them again, and one that was left empty is used again."""

    slots: int = field(default_factory=cgroups.steps)
    grace_s: float = GRACE_S
    leave: Literal["kill", "keep"] = "kill"
    finish_s: float = 0.0
    if_killed: tuple[str, ...] = ()
    fleeting: bool = False


@dataclass(slots=True)
class _Job:
    """One task in hand. `waits` is where it waits for its turn, if it does; `pod` there is once it has begun, of an
    agent's task there is never one."""

    task: Task
    run: StepRun
    report: Report
    waits: anyio.CancelScope | None = None
    stopped: bool = False
    done: Sign = field(default_factory=Sign)
    pod: Pod | None = None
    progress: str = ""

    def stop(self) -> None:
        self.stopped = True
        if self.pod is not None:
            self.pod.stop()
        elif self.waits is not None:
            self.waits.cancel()

    def waiting(self) -> anyio.CancelScope:
        """A scope to wait in, which `stop` cancels."""
        self.waits = anyio.CancelScope()
        if self.stopped:
            self.waits.cancel()
        return self.waits


class LocalExecutor:
    """Tasks of many runs. Get one from `open_executor`."""

    def __init__(
        self,
        group: TaskGroup,
        around: Surroundings,
        host: Machine,
        slots: Slots,
        means: tuple[Artifacts | None, Mapping[TaskKind, Agent]],
    ) -> None:
        self._group = group
        self._around = around
        self._host = host
        self._slots = slots
        self._artifacts, self._agents = means
        self._jobs: dict[tuple[str, str], _Job] = {}

    def start(self, task: Task, run: StepRun, report: Report) -> None:
        """Take a task; `report` gets its news, and one `TaskResult` at its end.

        Returns at once; a pod starts when there is room. A task that is in hand already is left alone.
        """
        key = (run.run_id, task.node_id)
        if key not in self._jobs:
            job = self._jobs[key] = _Job(task, run, report)
            self._group.start_soon(self._work, key, job)

    def stop(self, run_id: str, node_id: str) -> None:
        """Ask for a task's end: SIGTERM, then SIGKILL. Its result comes as always. Unknown nodes are ignored."""
        if job := self._jobs.get((run_id, node_id)):
            job.stop()

    def stop_run(self, run_id: str) -> None:
        """Ask for the end of all tasks of a run."""
        for (one, _), job in self._jobs.items():
            if one == run_id:
                job.stop()

    async def idle(self, run_id: str) -> None:
        """Wait until no task of a run is in hand."""
        for job in [job for (one, _), job in self._jobs.items() if one == run_id]:
            await job.done.wait()

    async def sweep(self, run: StepRun) -> None:
        """Kill whatever processes of a run are left, of steps whose leaders were killed."""
        killed = await self._host.thread(partial(process.sweep, process.RUN_MARKER, [run_mark(run)]))
        if self._around.rung is Rung.container:
            from pipelines.local.engine_rung import sweep_containers  # most machines have no use for it

            killed += await self._host.thread(partial(sweep_containers, run_mark(run)))
        if killed:
            log.warning("run.left_processes", run_id=run.run_id, killed=killed)

    async def finish(self, run: StepRun, succeeded: bool) -> None:
        """A run is over: its claims go, as its `volumeClaimGC` says, and its directory begins to age. Twice is once."""

        def work() -> None:
            if not retention.keeps_claims(run.spec, succeeded):
                retention.remove_tree(claims_directory(self._around.data, run.run_id))
            retention.mark_ended(run.home)

        await self._host.thread(work)

    def in_use(self) -> dict[str, tuple[float, float]]:
        """Resource -> (in use, capacity), for people: places of steps, cores, bytes of memory, devices."""
        return self._slots.in_use()

    async def _work(self, key: tuple[str, str], job: _Job) -> None:
        try:
            result = await (self._settle(job) if job.task.kind == "pod" else self._do(job))
        except Exception as error:  # logged, with its traceback
            # One task's trouble is its own: the others live on.
            log.exception("task.broken", run_id=job.run.run_id, node_id=job.task.node_id)
            result = self._never(job.task, Phase.Error, f"the executor failed: {error!r}")
        finally:
            del self._jobs[key]
            job.done.set()
        job.report(result)

    # --- pods ---------------------------------------------------------------------------------------------------------

    async def _settle(self, job: _Job) -> TaskResult:
        try:
            if label := misplaced(job.task.template, job.run.spec):
                return await self._nowhere(job, label)
            demand = pod_demand(job.task.template)
            grant = await self._granted(job, demand)
        except ConfigError as error:
            return self._never(job.task, Phase.Error, str(error))
        if grant is None:
            return self._never(job.task, Phase.Failed, STOPPED_BEFORE)
        try:
            return await self._run(job, grant)
        finally:
            self._slots.release(grant)

    async def _nowhere(self, job: _Job, label: str) -> TaskResult:
        """The end of a pod that no machine here may run: it waits until it is stopped, or overdue."""
        task = job.task
        if not ends_by_itself(task.template, job.run.spec):
            return self._never(task, Phase.Error, no_such_node(label))
        with job.waiting():
            await anyio.sleep(math.inf if task.deadline_s is None else task.deadline_s)
            return self._never(task, Phase.Failed, DEADLINE_MESSAGE)
        return self._never(task, Phase.Failed, STOPPED_BEFORE)

    async def _granted(self, job: _Job, demand: Mapping[str, float]) -> Grant | None:
        """A pod's places; None if it was stopped before it had them."""
        if any(is_device(name) for name in demand):
            home = open_workspace(job.run.home, job.task.node_id).home
            if held := devices.noted(home):
                return self._slots.take_again(job.run.run_id, demand, held)
        if not job.stopped and (grant := self._slots.take(job.run.run_id, demand)) is not None:
            return grant
        with job.waiting():
            return await self._slots.acquire(job.run.run_id, demand)
        return None

    async def _run(self, job: _Job, grant: Grant) -> TaskResult:
        workspace = open_workspace(job.run.home, job.task.node_id)
        try:
            plan = PodPlan(job.task, job.run, workspace, self._around)
            if grant.devices:
                await self._host.thread(partial(devices.note, workspace.home, grant.devices))
        except (ConfigError, OSError) as error:
            return self._never(job.task, Phase.Error, plain(error))
        pod = job.pod = Pod(self._host, plan, grant.devices, self._artifacts, job.report)
        if job.stopped:
            pod.stop()
        result = await pod.run()
        self._look_at(job)
        return result

    def _never(self, task: Task, phase: Phase, message: str) -> TaskResult:
        """The result of a task that came to nothing."""
        now = self._host.clock.now()
        return TaskResult(task.node_id, phase, message=message, started_at=now, finished_at=now)

    # --- tasks of agents ----------------------------------------------------------------------------------------------

    async def _do(self, job: _Job) -> TaskResult:
        task, clock = job.task, self._host.clock
        agent = self._agents.get(task.kind)
        if agent is None:
            return self._never(task, Phase.Error, f"{task.kind} templates are not done here: nobody is there for them")
        begun = clock.now()
        job.report(Started(task.node_id, begun))
        result: TaskResult | None = None
        with job.waiting(), anyio.move_on_after(task.deadline_s) as deadline:
            result = await agent.do(task, job.run)
        if result is None:
            message = DEADLINE_MESSAGE if deadline.cancelled_caught else "stopped while it ran"
            result = TaskResult(task.node_id, Phase.Failed, message=message)
        started = result.started_at or begun
        return replace(result, started_at=started, finished_at=result.finished_at or clock.now())

    # --- progress -----------------------------------------------------------------------------------------------------

    async def watch_progress(self) -> None:
        """Report what running steps say of their progress, until cancelled. One timer for all of them."""
        while True:
            await anyio.sleep(PROGRESS_S)
            for job in list(self._jobs.values()):
                self._look_at(job)

    def _look_at(self, job: _Job) -> None:
        # A look at a small file of the local disk: to hand it to a thread would cost more than it takes.
        if job.pod is None or job.pod.started_at is None:
            return
        said = read_progress(job.pod.plan.workspace.progress)
        if said and said != job.progress:
            job.progress = said
            job.report(Progressed(job.task.node_id, said))


@asynccontextmanager
async def open_executor(
    around: Surroundings,
    clock: Clock,
    limits: Limits | None = None,
    artifacts: Artifacts | None = None,
    agents: Mapping[TaskKind, Agent] | None = None,
    *,
    spawner: Spawner | None = None,
) -> AsyncGenerator[LocalExecutor]:
    """An executor; leaving the block ends its steps or lets them be (`Limits.leave`).

    Without `artifacts` a template that has some is an Error; without an agent for its kind, a task is.
    """
    limits = limits or Limits()
    slots = Slots(machine(around.slots, limits.slots))
    async with open_spawner(limits.if_killed) as own, anyio.create_task_group() as group:
        host = Machine(
            spawner or own, clock, limits.grace_s, limits.leave,
            anyio.CapacityLimiter(_THREADS), anyio.CapacityLimiter(_TRANSFERS), limits.fleeting, limits.finish_s,
        )  # fmt: skip
        executor = LocalExecutor(group, around, host, slots, (artifacts, agents or {}))
        try:
            group.start_soon(executor.watch_progress)
            yield executor
        finally:
            group.cancel_scope.cancel()
