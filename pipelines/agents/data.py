"""`data` templates: the keys below an artifact's, run through expressions; the JSON of it is `outputs.result`.

Source: workflow/data/data.go of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import anyio.to_thread

from pipelines.agents.port import TaskRun
from pipelines.agents.results import failed, succeeded
from pipelines.artifacts.port import ArtifactRun, Artifacts
from pipelines.core.happenings import Task, TaskResult
from pipelines.core.naming import go_json
from retrain.errors import RetrainError
from retrain.events import JsonValue
from retrain.expressions.exprlang import ExprError, compile_expr

MAX_KEYS = 200_000
"""Keys that one listing may have before its transformation."""
MAX_RESULT = 4 * 1024 * 1024
"""Characters of the result."""


class DataAgent:
    """Does `data` templates."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    async def do(self, task: Task, run: TaskRun) -> TaskResult:
        try:
            # Left alone when the task is cancelled: a listing changes nothing, and may be waiting for a server.
            listed = await anyio.to_thread.run_sync(self._list, task, run, abandon_on_cancel=True)
            result = await anyio.to_thread.run_sync(_transform, task, listed)
        except _Failed as error:
            return failed(task, f"unable to process data template: {error}")
        return succeeded(task, result)

    def _list(self, task: Task, run: TaskRun) -> list[str]:
        source: Mapping[str, Any] = (task.template.get("data") or {}).get("source") or {}
        artifact: Mapping[str, Any] | None = source.get("artifactPaths")
        if artifact is None:
            raise _Failed("unable to process data source: no valid source is used for data template")
        try:
            keys = list(islice(self._artifacts.keys(artifact, artifact_run(task, run)), MAX_KEYS + 1))
        except (RetrainError, OSError) as error:
            raise _Failed(f"unable to process data source: unable to source artifact paths: {error}") from error
        if len(keys) > MAX_KEYS:
            raise _Failed(f"unable to process data source: there are more than {MAX_KEYS} keys; use a longer prefix")
        return keys


class _Failed(Exception):
    """The task came to nothing; the message is for the node."""


def artifact_run(task: Task, run: TaskRun) -> ArtifactRun:
    """For whom artifacts are read."""
    repository: Mapping[str, Any] | None = run.spec.get("artifactRepositoryRef")
    return ArtifactRun(run.run_id, run.name, run.namespace, task.node_id, task.pod_name, repository, run.uid)


def _transform(task: Task, keys: list[str]) -> str:
    steps: Sequence[Mapping[str, Any]] = (task.template.get("data") or {}).get("transformation") or ()
    found: JsonValue = list(keys)
    for number, step in enumerate(steps):
        if not step.get("expression"):
            continue
        try:
            found = compile_expr(str(step["expression"])).evaluate({"data": found})
        except ExprError as error:
            raise _Failed(
                f"unable to process data transformation: error processing data step {number}: {error}"
            ) from error
    result = go_json(found, sort=True)
    if len(result) > MAX_RESULT:
        raise _Failed(f"the result has {len(result)} characters, {MAX_RESULT} are allowed; filter further")
    return result
