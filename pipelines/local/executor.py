"""Runs tasks as processes on this machine: so many at once, each from its directory to its result.

`start` may be repeated for the same node of the same run, by this process or by the next one after a `kill -9`: a step
that ended meanwhile is read and not run again, one that still runs is found again, and only one whose leader died with
no word (the machine went down, somebody killed it) starts anew, a few times at most.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Literal, TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from pipelines.core.happenings import Started, Task, TaskResult
from pipelines.core.nodes import Phase
from pipelines.local import collect, process
from pipelines.local.leaf import NotInPath, StepRun, Surroundings, node_mark, prepare, run_mark
from pipelines.local.process import Leader
from pipelines.local.workspace import View, Workspace, open_workspace
from retrain.clock import Clock
from retrain.errors import ConfigError

Report = Callable[[Started | TaskResult], None]
"""Where a step's news go. Called on the event loop; must not block."""

GRACE_S = 30.0
"""Kubernetes' terminationGracePeriodSeconds."""
MAX_LOST = 3
"""How often a step may be lost before it is an Error: it may be what takes the machine down."""
EMISSARY_FAILED = 64
KILLED = 137
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"

_THREADS = 4

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """`slots`: step processes at once. `grace_s`: from SIGTERM to SIGKILL. `leave`: what leaving the executor does to
    running steps: "kill" ends them, "keep" lets them run, to be found again by the next `start`."""

    slots: int = field(default_factory=lambda: 2 * (os.cpu_count() or 1))
    grace_s: float = GRACE_S
    leave: Literal["kill", "keep"] = "kill"


@dataclass(slots=True)
class _Job:
    """One task in hand. `stopped`: somebody wants its end. `found`: an earlier platform had started it."""

    task: Task
    run: StepRun
    workspace: Workspace
    report: Report
    mark: str
    started_at: datetime | None = None
    stopped: anyio.Event = field(default_factory=anyio.Event)
    done: anyio.Event = field(default_factory=anyio.Event)
    queue: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    overdue: bool = False
    interrupted: bool = False
    found: bool = False

    def stop(self) -> None:
        self.stopped.set()
        self.queue.cancel()


class LocalExecutor:
    """Step processes of many runs. Get one from `open_executor`."""

    def __init__(self, group: TaskGroup, around: Surroundings, clock: Clock, limits: Limits) -> None:
        self._group = group
        self._around = around
        self._clock = clock
        self._limits = limits
        self._slots = anyio.CapacityLimiter(limits.slots)
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._jobs: dict[tuple[str, str], _Job] = {}

    def start(self, task: Task, run: StepRun, report: Report) -> None:
        """Take a task; `report` gets `Started` when its process runs and one `TaskResult` at its end.

        Returns at once; the process starts when there is room. A task that is in hand already is left alone.
        """
        key = (run.run_id, task.node_id)
        if key not in self._jobs:
            job = _Job(task, run, open_workspace(run.home, task.node_id), report, node_mark(run, task.node_id))
            self._jobs[key] = job
            self._group.start_soon(self._work, key, job)

    def stop(self, run_id: str, node_id: str) -> None:
        """Ask for a step's end: SIGTERM, then SIGKILL. Its result comes as always. Unknown nodes are ignored."""
        if job := self._jobs.get((run_id, node_id)):
            job.stop()

    def stop_run(self, run_id: str) -> None:
        """Ask for the end of all steps of a run."""
        for (one, _), job in self._jobs.items():
            if one == run_id:
                job.stop()

    async def idle(self, run_id: str) -> None:
        """Wait until no step of a run is in hand."""
        for job in [job for (one, _), job in self._jobs.items() if one == run_id]:
            await job.done.wait()

    async def sweep(self, run: StepRun) -> None:
        """Kill whatever processes of a run are left: daemons that its steps put behind themselves."""
        killed = await self._thread(partial(process.sweep, process.RUN_MARKER, [run_mark(run)]))
        if killed:
            _warn("run.left_processes", run_id=run.run_id, killed=killed)

    async def _work(self, key: tuple[str, str], job: _Job) -> None:
        try:
            with job.queue:
                await self._slots.acquire()
            try:
                result = await self._settle(job)
            finally:
                if not job.queue.cancelled_caught:
                    self._slots.release()
        finally:
            del self._jobs[key]
            job.done.set()
        job.report(result)

    async def _settle(self, job: _Job) -> TaskResult:
        try:
            result = await self._run(job)
        except NotInPath as error:
            message = f"main: Error (exit code {EMISSARY_FAILED}): {error}"
            result = TaskResult(job.task.node_id, Phase.Failed, EMISSARY_FAILED, message=message)
        except (ConfigError, OSError, ValueError) as error:
            # ValueError: a NUL character or broken text in an argument. OSError: too long, no processes, no disk.
            result = TaskResult(job.task.node_id, Phase.Error, message=_plain(error))
        began = result.started_at or job.started_at or self._clock.now()
        return replace(result, started_at=began, finished_at=result.finished_at or self._clock.now())

    async def _run(self, job: _Job) -> TaskResult:
        while not job.stopped.is_set():
            # Not lost to a cancellation: anyio gives a thread's result whatever came meanwhile.
            leader, seen = await self._thread(partial(self._begin, job))
            while True:
                if leader is not None:
                    await self._attend(job, leader)
                after = await self._thread(partial(self._after, job, seen, leader))
                if isinstance(after, TaskResult):
                    return after
                if after is None:
                    break
                leader = after
            await self._thread(partial(self._lose, job))
        return TaskResult(job.task.node_id, Phase.Failed, message="stopped before it started")

    def _begin(self, job: _Job) -> tuple[Leader | None, View]:
        """Find the step's process or start it; no leader if it has ended. On a thread."""
        command, seen = prepare(job.task, job.run, job.workspace, self._around)
        home = job.workspace.home
        job.found = process.began(home)
        if job.found:
            job.started_at = collect.began_at(home)
            return process.attach(home), seen
        job.started_at = self._clock.now()
        return process.launch(home, command), seen

    async def _attend(self, job: _Job, leader: Leader) -> None:
        """Stay with a process until it has ended, by itself, by its deadline or because it was asked to.

        A cancellation ends the process or lets it be, as `Limits.leave` says, and takes the leader's descriptor.
        """
        try:
            job.report(Started(job.task.node_id, job.started_at or self._clock.now()))
            async with anyio.create_task_group() as group:
                group.start_soon(self._guard, job, leader)
                await leader.wait()
                group.cancel_scope.cancel()
            if job.interrupted:
                await process.clear(leader, job.mark)
        except anyio.get_cancelled_exc_class():
            if self._limits.leave == "kill":
                with anyio.CancelScope(shield=True):
                    # One that has ended already, though nobody has seen it yet, is not to run again.
                    ended = await self._thread(partial(collect.recorded_exit, job.workspace.home)) is not None
                    await process.stop(leader, job.mark, self._limits.grace_s)
                    if not ended:
                        await self._thread(partial(job.workspace.set_aside, "interrupted"))
                    leader.close()
            else:
                leader.let_go()
            raise

    async def _guard(self, job: _Job, leader: Leader) -> None:
        """End the process when it is asked for or overdue."""
        with anyio.move_on_after(self._left(job)):
            await job.stopped.wait()
        job.overdue = not job.stopped.is_set()
        job.stopped.set()
        job.interrupted = True
        await process.urge(leader, self._limits.grace_s)

    def _left(self, job: _Job) -> float | None:
        if job.task.deadline_s is None:
            return None
        gone = (self._clock.now() - job.started_at).total_seconds() if job.started_at else 0.0
        return max(0.0, job.task.deadline_s - gone)

    def _after(self, job: _Job, seen: View, leader: Leader | None) -> TaskResult | Leader | None:
        """Once the leader has ended: the step's result; another leader that came first in this home; or None, if the
        step was lost. On a thread."""
        if leader is not None:
            leader.close()
        code = collect.recorded_exit(job.workspace.home)
        if code is None and not job.stopped.is_set():
            return process.attach(job.workspace.home)
        return self._end(job, seen, KILLED if code is None else code)

    def _end(self, job: _Job, seen: View, code: int) -> TaskResult:
        home = job.workspace.home
        if job.found:
            # The group of a leader that was not our child cannot be told from another's once it has ended.
            process.sweep(process.MARKER, [job.mark])
        result = collect.collect(job.task, seen, code, job.run.capture)
        if job.overdue:
            result = replace(result, phase=Phase.Failed, message=DEADLINE_MESSAGE)
        elif job.interrupted and result.exit_code == 0:
            # It caught SIGTERM and ended well: it is still a step that was not allowed to finish.
            result = replace(result, phase=Phase.Failed, message="stopped while it ran")
        return replace(result, started_at=collect.began_at(home), finished_at=collect.ended_at(home))

    def _lose(self, job: _Job) -> None:
        """Clear away an attempt whose leader died without a word, and what processes it left.

        Raises:
            ConfigError: the leader could not even begin, or this has happened too often.
        """
        if not process.began(job.workspace.home):
            raise ConfigError(f"the step could not begin: {_tail(job.workspace)}")
        process.sweep(process.MARKER, [job.mark])
        said = _tail(job.workspace)
        lost = job.workspace.set_aside("lost")
        _warn("step.lost", run_id=job.run.run_id, node_id=job.task.node_id, times=lost)
        if lost >= MAX_LOST:
            raise ConfigError(f"the step's process was lost {lost} times; the log of the last: {said}")

    async def _thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._threads)


@asynccontextmanager
async def open_executor(
    around: Surroundings, clock: Clock, limits: Limits | None = None
) -> AsyncGenerator[LocalExecutor]:
    """An executor; leaving the block ends its steps or lets them be (`Limits.leave`)."""
    async with anyio.create_task_group() as group:
        try:
            yield LocalExecutor(group, around, clock, limits or Limits())
        finally:
            group.cancel_scope.cancel()


def _warn(event: str, **keys: object) -> None:
    import structlog  # 60 ms, which a `retrain run` that has nothing to say need not pay

    structlog.get_logger().warning(event, **keys)


def _plain(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"the step cannot be started: {error.strerror or error}"
    return str(error)


def _tail(workspace: Workspace) -> str:
    try:
        return workspace.main_log.read_bytes()[-500:].decode(errors="replace").strip()
    except OSError:
        return "it left no log"
