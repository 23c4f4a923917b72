"""One run from where it is to its end: what the engine decides is saved first and done then.

The same loop for the platform's runner and for `retrain run`; they differ in where a decision is saved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from pipelines.core import engine
from pipelines.core.engine import Decision, Run
from pipelines.core.happenings import ContainerNews, Happening, LockNews, Progressed, Started, Task, Tick
from pipelines.core.nodes import Phase
from pipelines.core.plan import Plan
from pipelines.host.keepers import Keepers
from pipelines.host.requests import Request
from pipelines.local.executor import LocalExecutor
from pipelines.local.leaf import StepRun, Surroundings
from pipelines.local.sign import Sign
from pipelines.local.workspace import run_directory
from retrain import faults
from retrain.clock import Clock

Save = Callable[[Decision, Sequence[int]], Awaitable[None]]
"""Keep a decision, and that the requests of these numbers are done; returns when it is durable. A run that has ended
comes once, as the last one."""

CALM_S = 0.05
"""Seconds that news from which nothing follows may wait for company."""

_CALM = (Started, Progressed, ContainerNews)
_READS_RESULT = re.compile(r"\.outputs\.result|outputs\[")


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

    _news: list[Happening] = field(default_factory=list[Happening])
    _numbers: list[int] = field(default_factory=list[int])
    _some: Sign = field(default_factory=Sign)
    _urgent: Sign = field(default_factory=Sign)

    def put(self, one: Happening, number: int | None = None) -> None:
        """Add something that happened; a request that is kept somewhere has its number. On the event loop."""
        self._news.append(one)
        if number is not None:
            self._numbers.append(number)
        self._some.set()
        if not isinstance(one, _CALM):
            self._urgent.set()

    async def take(self, at_most_s: float | None) -> tuple[list[Happening], list[int]]:
        """All that has happened; waits for something, and gives a Tick after `at_most_s` seconds (None: for ever)."""
        if at_most_s is None:
            await self._gather()
        else:
            with anyio.move_on_after(at_most_s):
                await self._gather()
        news, numbers = self.drain()
        return news or [Tick()], numbers

    async def _gather(self) -> None:
        await self._some.wait()
        if not self._urgent.is_set():
            # Nothing follows from a start; that of a short step is saved together with its end.
            with anyio.move_on_after(CALM_S):
                await self._urgent.wait()
        # Whoever is ready too may still put its news into this batch.
        await anyio.lowlevel.checkpoint()

    @property
    def waiting(self) -> bool:
        """Whether something has happened that nobody has taken."""
        return bool(self._news)

    def drain(self) -> tuple[list[Happening], list[int]]:
        """All that has happened, without waiting, and the numbers of the requests among it."""
        news, self._news = self._news, []
        numbers, self._numbers = self._numbers, []
        self._some, self._urgent = Sign(), Sign()
        return news, numbers


@dataclass(frozen=True, slots=True)
class Hands:
    """Who does what a run asks for. `group`: where work goes on that a run need not wait for."""

    executor: LocalExecutor
    keepers: Keepers
    clock: Clock
    group: TaskGroup


@dataclass(slots=True)
class _Errands:
    """What a run asks of the keepers, one after the other and beside its course.

    In order, for a lock must not be given back before it is asked for; beside it, for 10,000 members of a loop may want
    a lock each.
    """

    hands: Hands
    hear_of_it: Callable[[], None]
    _waiting: list[Callable[[], Awaitable[None]]] = field(default_factory=list[Callable[[], Awaitable[None]]])
    _idle: anyio.Event | None = None
    trouble: Exception | None = None

    def add(self, errand: Callable[[], Awaitable[None]]) -> None:
        self._waiting.append(errand)
        if self._idle is None:
            self._idle = anyio.Event()
            self.hands.group.start_soon(self._work, self._idle)

    async def done(self) -> None:
        """Wait until nothing is left to do."""
        while self._idle is not None:
            await self._idle.wait()

    async def _work(self, idle: anyio.Event) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                for errand in batch:
                    await errand()
        except Exception as error:  # noqa: BLE001 - it is the run's, which hears of it at its next step
            self.trouble = error
            self.hear_of_it()
        finally:
            self._idle = None
            idle.set()


@dataclass(slots=True)
class Drive:
    """A run in hand."""

    run: Run
    step_run: StepRun
    hands: Hands
    save: Save
    parks: bool = True
    """Whether `go` gives a run back that waits for people; else it waits with it."""
    mailbox: Mailbox = field(default_factory=Mailbox)
    _saved: tuple[Phase, str] = (Phase.Pending, "")
    _errands: _Errands = field(init=False)

    def __post_init__(self) -> None:
        self._errands = _Errands(self.hands, lambda: self.mailbox.put(Tick()))

    async def go(self, unfinished: Sequence[Task] = ()) -> Decision:
        """Work until the run has ended; the last decision. `unfinished`: tasks of an earlier life of this run.

        No process of the run is left when it has ended, and only then the end is saved. A run that is suspended and
        has nothing left that runs is given back as it is, `parked`.
        """
        run_id, keepers = self.step_run.run_id, self.hands.keepers
        keepers.watch(run_id, self._hear)
        try:
            return await self._go(unfinished)
        finally:
            keepers.unwatch(run_id)

    async def _go(self, unfinished: Sequence[Task]) -> Decision:
        # What was asked before it begins counts at once: a run that is to end starts nothing.
        news, numbers = self.mailbox.drain()
        again: list[Happening] = [Tick()] if unfinished or self.run.nodes else []
        decision = engine.step(self.run, [*again, *news], self.hands.clock.now())
        self._start(unfinished, decision.stop)
        while not decision.run.ended:
            await self._act(decision, numbers)
            if self.parks and decision.run.parked:
                await self._errands.done()
                if not self.mailbox.waiting:
                    return decision
            news, numbers = await self.mailbox.take(self._until(decision))
            if self._errands.trouble is not None:
                raise self._errands.trouble
            decision = engine.step(decision.run, news, self.hands.clock.now())
        await self._finish(decision, numbers)
        return decision

    def ask(self, request: Request, number: int | None = None) -> None:
        """Ask the run to end, to start nothing more, or to go on. `number`: what `save` is told once that is done."""
        self.mailbox.put(request, number)

    async def _act(self, decision: Decision, numbers: Sequence[int]) -> None:
        now = (decision.phase, decision.message)
        for memo in decision.remember:
            # Before it is saved that the node has ended: after a crash it ends once more, and is remembered once more.
            await self.hands.keepers.remember(memo)
        if decision.changed or decision.edges or numbers or now != self._saved:
            faults.point("runner.before_save")
            await self.save(decision, numbers)
            faults.point("runner.after_save")
            self._saved = now
        for node_id in decision.stop:
            self.hands.executor.stop(self.step_run.run_id, node_id)
        self._ask_keepers(decision)
        self._start(decision.start, ())

    def _ask_keepers(self, decision: Decision) -> None:
        keepers, run_id, add = self.hands.keepers, self.step_run.run_id, self._errands.add
        if decision.release:
            add(partial(self._release, decision.release))
        for wish in decision.look_up:
            add(partial(self._answer, partial(keepers.look_up, wish)))
        for wish in decision.acquire:
            add(partial(self._answer, partial(keepers.acquire, run_id, wish)))

    async def _answer(self, question: Callable[[], Awaitable[Happening]]) -> None:
        faults.point("runner.before_keepers")
        self.mailbox.put(await question())
        faults.point("runner.after_keepers")

    async def _release(self, holders: Sequence[str]) -> None:
        await self.hands.keepers.release(self.step_run.run_id, holders)

    def _hear(self, news: LockNews) -> None:
        self.mailbox.put(news)

    def _start(self, tasks: Sequence[Task], stopped: Sequence[str]) -> None:
        for task in tasks:
            if task.node_id not in stopped:
                self.hands.executor.start(task, self.step_run, self._report)

    async def _finish(self, decision: Decision, numbers: Sequence[int]) -> None:
        executor, run_id = self.hands.executor, self.step_run.run_id
        executor.stop_run(run_id)
        await executor.idle(run_id)
        await executor.sweep(self.step_run)
        for memo in decision.remember:
            await self.hands.keepers.remember(memo)
        self._ask_keepers(decision)
        await self._errands.done()
        await executor.finish(self.step_run, decision.phase is Phase.Succeeded)
        faults.point("runner.before_finish")
        await self.save(decision, numbers)
        faults.point("runner.after_finish")
        await self.hands.keepers.release_run(run_id)

    def _report(self, news: Happening) -> None:
        self.mailbox.put(news)
        if isinstance(news, Started):
            faults.point("runner.after_start")

    def _until(self, decision: Decision) -> float | None:
        if decision.wake_at is None:
            return None
        return max(0.0, (decision.wake_at - self.hands.clock.now()).total_seconds())


def step_run_of(run: Run, run_id: str, around: Surroundings, labels: Mapping[str, str] | None = None) -> StepRun:
    """What the steps of a run need to know of it. `labels`: those that it has beside the workflow's own."""
    plan = run.plan
    return StepRun(
        run_id=run_id,
        name=plan.name,
        uid=plan.uid,
        home=run_directory(around.data, run_id),
        capture=reads_results(plan),
        spec=plan.spec,
        namespace=plan.namespace,
        labels={**plan.labels, **(labels or {})},
        annotations=plan.annotations,
        service_account=str(plan.spec.get("serviceAccountName") or ""),
    )
