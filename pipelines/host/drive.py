"""One run from where it is to its end: what the engine decides is saved first and done then.

The same loop for the platform's runner and for `retrain run`; they differ in where a decision is saved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from pipelines.core import engine
from pipelines.core.engine import Decision, Run
from pipelines.core.happenings import Happening, Resume, Started, Stop, Suspend, Task, TaskResult, Tick
from pipelines.core.plan import Plan
from pipelines.local.executor import LocalExecutor
from pipelines.local.leaf import StepRun
from retrain import faults
from retrain.clock import Clock

Save = Callable[[Decision], Awaitable[None]]
"""Keep a decision; returns when it is durable. A run that has ended comes once, as the last one."""

CALM_S = 0.05
"""Seconds that the news of a start may wait for company."""

_READS_RESULT = re.compile(r"\.outputs\.result")


def reads_results(plan: Plan) -> bool:
    """Whether some template of the workflow, or one beside it that it may refer to, reads a step's stdout."""
    spec = json.dumps(plan.spec)
    if _READS_RESULT.search(spec):
        return True
    # Only then may the templates beside it matter, which can be many.
    return "templateRef" in spec and any(
        _READS_RESULT.search(json.dumps(document)) for document in plan.catalog.templates.values()
    )


@dataclass(slots=True)
class Mailbox:
    """What happened to a run since it was last asked: news that come together are one batch."""

    _news: list[Happening] = field(default_factory=list)
    _some: anyio.Event = field(default_factory=anyio.Event)
    _urgent: anyio.Event = field(default_factory=anyio.Event)

    def put(self, one: Happening) -> None:
        """Add something that happened. On the event loop."""
        self._news.append(one)
        self._some.set()
        if not isinstance(one, Started):
            self._urgent.set()

    async def take(self, at_most_s: float | None) -> list[Happening]:
        """All that has happened; waits for something, and gives a Tick after `at_most_s` seconds (None: for ever)."""
        with anyio.move_on_after(at_most_s):
            await self._some.wait()
            # Nothing follows from a start; that of a short step is saved together with its end.
            with anyio.move_on_after(CALM_S):
                await self._urgent.wait()
            # Whoever is ready too may still put its news into this batch.
            await anyio.lowlevel.checkpoint()
        return self.drain() or [Tick()]

    def drain(self) -> list[Happening]:
        """All that has happened, without waiting."""
        news, self._news = self._news, []
        self._some, self._urgent = anyio.Event(), anyio.Event()
        return news


@dataclass(slots=True)
class Drive:
    """A run in hand."""

    run: Run
    step_run: StepRun
    executor: LocalExecutor
    clock: Clock
    save: Save
    mailbox: Mailbox = field(default_factory=Mailbox)

    async def go(self, unfinished: Sequence[Task] = ()) -> Decision:
        """Work until the run has ended; the last decision. `unfinished`: tasks of an earlier life of this run.

        No process of the run is left when it has ended, and only then the end is saved. A run that is suspended and
        has nothing left that runs is given back as it is, `parked`.
        """
        again: list[Happening] = [Tick()] if unfinished or self.run.nodes else []
        # What was asked before it begins counts at once: a run that is to end starts nothing.
        decision = engine.step(self.run, [*again, *self.mailbox.drain()], self.clock.now())
        self._start(unfinished, decision.stop)
        while not decision.run.ended:
            await self._act(decision)
            if decision.run.parked:
                return decision
            happened = await self.mailbox.take(self._until(decision))
            decision = engine.step(decision.run, happened, self.clock.now())
        await self._finish(decision)
        return decision

    def ask(self, request: Stop | Suspend | Resume) -> None:
        """Ask the run to end, to start nothing more, or to go on."""
        self.mailbox.put(request)

    async def _act(self, decision: Decision) -> None:
        if decision.changed:
            await self.save(decision)
        for node_id in decision.stop:
            self.executor.stop(self.step_run.run_id, node_id)
        self._start(decision.start, ())

    def _start(self, tasks: Sequence[Task], stopped: Sequence[str]) -> None:
        for task in tasks:
            if task.node_id not in stopped:
                self.executor.start(task, self.step_run, self._report)

    async def _finish(self, decision: Decision) -> None:
        self.executor.stop_run(self.step_run.run_id)
        await self.executor.idle(self.step_run.run_id)
        await self.executor.sweep(self.step_run)
        faults.point("runner.before_finish")
        await self.save(decision)
        faults.point("runner.after_finish")

    def _report(self, news: Started | TaskResult) -> None:
        self.mailbox.put(news)
        if isinstance(news, Started):
            faults.point("runner.after_start")

    def _until(self, decision: Decision) -> float | None:
        if decision.wake_at is None:
            return None
        return max(0.0, (decision.wake_at - self.clock.now()).total_seconds())
