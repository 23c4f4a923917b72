"""A workflow played to its end with given answers instead of processes: for tests, and to see what it would do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pipelines.core.engine import Decision, Run, step
from pipelines.core.happenings import Happening, Task, TaskResult, Tick
from pipelines.core.nodes import Phase

Answer = Callable[[Task], TaskResult]
STEP = timedelta(seconds=1)


def succeed(task: Task) -> TaskResult:
    return TaskResult(task.node_id, Phase.Succeeded, exit_code=0)


def fail(task: Task, exit_code: int = 1) -> TaskResult:
    return TaskResult(task.node_id, Phase.Failed, exit_code=exit_code, message=f"main: Error (exit code {exit_code})")


def rehearse(
    run: Run, answer: Answer = succeed, *, now: datetime, after: Callable[[Decision], Run] | None = None
) -> Decision:
    """Step a run until it ends, or nothing can happen any more. Each task takes a second, one after the other.

    `after` may put another run in the place of a decision's: a restored one, to see that it is the same.
    """
    waiting: list[Task] = []
    happened: Sequence[Happening] = (Tick(),)
    while True:
        decision = step(run, happened, now)
        run = after(decision) if after else decision.run
        waiting = [task for task in waiting if task.node_id not in decision.stop] + list(decision.start)
        if run.ended:
            return replace(decision, run=run)
        if waiting:
            now += STEP
            happened = [replace(answer(waiting.pop(0)), finished_at=now)]
        elif decision.wake_at is not None:
            now = max(now, decision.wake_at)
            happened = (Tick(),)
        else:
            return decision
