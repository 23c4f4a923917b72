"""How agents say that a task ended, in the words that Argo's executor has for its pods."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.core.happenings import Task, TaskResult
from pipelines.core.nodes import Phase

EXECUTOR_FAILED = 64
"""Exit code of Argo's executor where it could not do what a template says."""


def succeeded(task: Task, result: str | None = None, parameters: Mapping[str, str | None] | None = None) -> TaskResult:
    """A `data` or `resource` task that is done; such a node is a pod, and has its exit code."""
    return TaskResult(task.node_id, Phase.Succeeded, exit_code=0, result=result, parameters=parameters or {})


def failed(task: Task, reason: str) -> TaskResult:
    """A `data` or `resource` task that Argo's executor would have given up."""
    message = f"main: Error (exit code {EXECUTOR_FAILED}): {reason}"
    return TaskResult(task.node_id, Phase.Failed, exit_code=EXECUTOR_FAILED, message=message)


def broken(task: Task, reason: str) -> TaskResult:
    """A task that never came to begin: what it needs is not to be had here."""
    return TaskResult(task.node_id, Phase.Error, message=reason)
