"""Tasks that need no process: who does them, and how they end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipelines.core.happenings import Happening, Started, Task, TaskResult
from pipelines.core.nodes import Phase
from pipelines.local.executor import Limits, LocalExecutor, open_executor
from pipelines.local.leaf import StepRun, Surroundings
from retrain.clock import SystemClock


class Answering:
    """An agent that does what it is told to."""

    def __init__(self, do: Callable[[Task], Awaitable[TaskResult]]) -> None:
        self._do = do

    async def do(self, task: Task, _run: Any) -> TaskResult:
        return await self._do(task)


async def _says(task: Task) -> TaskResult:
    return TaskResult(task.node_id, Phase.Succeeded, result="said")


async def _never(_task: Task) -> TaskResult:
    await anyio.sleep_forever()
    raise AssertionError


async def _breaks(_task: Task) -> TaskResult:
    raise RuntimeError("a bug")


async def outcome(
    root: Path,
    agent: Callable[[Task], Awaitable[TaskResult]],
    then: Callable[[LocalExecutor], None] = lambda _: None,
    **task: Any,
) -> list[Happening]:
    around = Surroundings(root, root / "data", {}, {})
    run = StepRun("r", "wf", "u", root / "data" / "r")
    news: list[Happening] = []
    ended = anyio.Event()

    def report(one: Happening) -> None:
        news.append(one)
        if isinstance(one, TaskResult):
            ended.set()

    with anyio.fail_after(20):
        async with open_executor(around, SystemClock(), Limits(slots=1), agents={"http": Answering(agent)}) as executor:
            executor.start(Task("n", "n", "p", {"name": "t"}, **{"kind": "http", **task}), run, report)
            await anyio.wait_all_tasks_blocked()
            then(executor)
            await ended.wait()
            await executor.idle("r")
    return news


async def test_an_agent_does_its_kind_and_times_are_added(tmp_path: Path) -> None:
    started, result = await outcome(tmp_path, _says)
    assert isinstance(started, Started)
    assert isinstance(result, TaskResult)
    assert (result.phase, result.result) == (Phase.Succeeded, "said")
    assert result.started_at is not None
    assert result.finished_at is not None
    assert result.finished_at >= result.started_at


async def test_a_kind_without_an_agent_is_an_error_with_its_name(tmp_path: Path) -> None:
    [result] = await outcome(tmp_path, _says, kind="data")
    assert isinstance(result, TaskResult)
    assert (result.phase, result.message) == (Phase.Error, "data templates are not done here: nobody is there for them")


@pytest.mark.parametrize("how", ["deadline", "stop", "stop_run"])
async def test_an_agent_leaves_off_when_its_task_is_to_end(tmp_path: Path, how: str) -> None:
    def then(executor: LocalExecutor) -> None:
        if how == "stop":
            executor.stop("r", "n")
        if how == "stop_run":
            executor.stop_run("r")

    news = await outcome(tmp_path, _never, then, deadline_s=0.05 if how == "deadline" else None)
    result = news[-1]
    assert isinstance(result, TaskResult)
    assert result.phase is Phase.Failed
    assert ("deadline" in result.message) is (how == "deadline")


async def test_a_bug_ends_its_task_and_nobody_elses(tmp_path: Path) -> None:
    news = await outcome(tmp_path, _breaks)
    result = news[-1]
    assert isinstance(result, TaskResult)
    assert (result.phase, result.message) == (Phase.Error, "the executor failed: RuntimeError('a bug')")
