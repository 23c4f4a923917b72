"""`resource` templates: objects that are held locally, and child runs; no cluster, no kubectl.

A condition is looked at when the object changes, not every five seconds. What a step made it recognises when it is
asked for the same again after a crash.

Source: workflow/executor/resource.go of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import anyio.to_thread

from pipelines.agents.admission import PLURALS
from pipelines.agents.conditions import Requirement, check, compile_condition
from pipelines.agents.data import artifact_run
from pipelines.agents.held import HeldObjects, not_found
from pipelines.agents.objects import Body, Objects
from pipelines.agents.orders import MAX_MANIFEST, Order, order_of
from pipelines.agents.port import ChildRuns, TaskRun
from pipelines.agents.readings import read_parameters
from pipelines.agents.results import failed, succeeded
from pipelines.agents.workflows import ChildWorkflows
from pipelines.artifacts.port import Artifacts
from pipelines.core.happenings import Task, TaskResult
from pipelines.core.nodes import Artifact
from retrain.clock import Clock
from retrain.errors import ConfigError, RetrainError, Transient
from retrain.log import get_logger

LOOK_S = 1.0
"""Seconds between two looks at an object that somebody unseen may change."""
RETRY_S = 1.0
ATTEMPTS = 300
"""How often a task is tried while the store or the sandbox is away."""

log = get_logger()

Place = HeldObjects | ChildWorkflows


class ResourceAgent:
    """Does `resource` templates."""

    def __init__(self, objects: Objects, runs: ChildRuns, artifacts: Artifacts, clock: Clock) -> None:
        self._held = HeldObjects(objects)
        self._workflows = ChildWorkflows(runs)
        self._artifacts = artifacts
        self._clock = clock

    async def do(self, task: Task, run: TaskRun) -> TaskResult:
        for _ in range(ATTEMPTS):
            try:
                return await self._do(task, run)
            except Transient as error:
                # The store is away: what was not done is done again, what was done is recognised.
                log.warning("resource.retried", run_id=run.run_id, node_id=task.node_id, reason=str(error))
                await anyio.sleep(RETRY_S)
            except (RetrainError, OSError) as error:
                return failed(task, str(error))
        return failed(task, f"what it needs was away {ATTEMPTS} times")

    async def _do(self, task: Task, run: TaskRun) -> TaskResult:
        resource: Mapping[str, Any] = task.template.get("resource") or {}
        success = _condition("success", str(resource.get("successCondition") or ""))
        failure = _condition("fail", str(resource.get("failureCondition") or ""))
        order = order_of(task, run, await self._manifest(resource, task, run), self._clock.now())
        place: Place = self._workflows if order.ref.kind == "Workflow" else self._held
        if order.action == "delete":
            await place.delete(order)
            return succeeded(task)
        body = await _act(place, order)
        if body is not None and (success or failure):
            body = await _wait(place, order, success, failure)
        return succeeded(task, parameters=await read_parameters(task.template, body))

    async def _manifest(self, resource: Mapping[str, Any], task: Task, run: TaskRun) -> str:
        if resource.get("manifest"):
            return str(resource["manifest"])
        named: Mapping[str, Any] = (resource.get("manifestFrom") or {}).get("artifact") or {}
        if not named:
            return ""
        declared = [one for one in task.inputs.artifacts if one.get("name") == named.get("name")]
        artifact: Artifact = {**named, **(declared[0] if declared else {})}
        return await anyio.to_thread.run_sync(self._load, artifact, task, run)

    def _load(self, artifact: Artifact, task: Task, run: TaskRun) -> str:
        with TemporaryDirectory(prefix="retrain-manifest-") as folder:
            file = Path(folder) / "manifest.yaml"
            self._artifacts.load(artifact, file, artifact_run(task, run))
            if not file.is_file() or file.stat().st_size > MAX_MANIFEST:
                raise ConfigError(f"manifestFrom: the artifact is no file of at most {MAX_MANIFEST} bytes")
            return file.read_text(errors="replace")


async def _act(place: Place, order: Order) -> Body | None:
    match order.action:
        case "create":
            return await place.create(order)
        case "apply":
            return await place.apply(order)
        case "replace":
            return await place.replace(order)
        case "patch":
            return await place.patch(order)
        case _:
            body = await place.get(order.ref)
            if body is None and not order.ignore_missing:
                raise not_found(order.ref)
            return body


async def _wait(place: Place, order: Order, success: tuple[Requirement, ...], failure: tuple[Requirement, ...]) -> Body:
    """Until the success condition holds.

    Raises:
        ConfigError: the failure condition holds, or the object is gone.
    """
    while True:
        body = await place.get(order.ref)
        if body is None:
            raise ConfigError(
                "The resource has been deleted while its status was still being checked. Will not be retried: "
                f'{PLURALS[order.ref.kind]} "{order.ref.name}" not found'
            )
        if check(body, success, failure):
            return body
        await place.wait_change(order.ref, LOOK_S)


def _condition(which: str, text: str) -> tuple[Requirement, ...]:
    try:
        return compile_condition(text)
    except ConfigError as error:
        raise ConfigError(f"{which} condition '{text}' failed to parse: {error}") from None
