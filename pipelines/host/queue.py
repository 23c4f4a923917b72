"""How a run gets into the queue: what asks for one, and the one function that writes it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from pipelines.checks.unsupported import unsupported
from pipelines.engines import engine_of
from pipelines.spec import normalize
from retrain.clock import Clock, SystemClock
from retrain.errors import ConfigError
from retrain.store import runs
from retrain.store.runs import Engine, RunRow


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run that is to be. `manifest` is a Workflow with `metadata.name`; `depth` the lineage depth of its cause.

    `priority`: a higher one is worked on first; None takes the workflow's `spec.priority`, 0 without one.
    """

    run_id: str
    firing_id: str | None
    manifest: dict[str, Any]
    labels: Mapping[str, str]
    depth: int = 0
    priority: int | None = None
    parent: str | None = None
    """`Workflow/<run id>` or `CronWorkflow/<namespace>/<name>` of whoever makes it."""
    engine: Engine = "local"
    """Who is to work on it where the workflow's own annotation `retrain.dev/engine` does not say."""
    object: dict[str, Any] | None = None
    """What is on the cluster already, as `RunRow.object` has it."""


def submit(connection: Connection, request: RunRequest, clock: Clock | None = None) -> bool:
    """Write a run down to be worked on. False if it (or another of its firing) is there: then nothing changes.

    Raises:
        ConfigError: the manifest is no workflow, or asks for what its engine has not; nothing was written.
    """
    body = normalize(request.manifest)
    engine = engine_of(request.manifest, request.engine)
    for problem in unsupported(body) if engine == "local" else ():
        raise ConfigError(f"{'.'.join(str(step) for step in problem.path)}: {problem.message}")
    metadata: Mapping[str, Any] = body["metadata"]
    name = metadata.get("name")
    if not name:
        raise ConfigError("metadata.name is missing: a run needs the name that it will have")
    row = RunRow(
        id=request.run_id,
        firing_id=request.firing_id,
        name=name,
        namespace=_namespace(request, metadata),
        workflow=_workflow(body, name),
        manifest=request.manifest,
        labels={**(metadata.get("labels") or {}), **request.labels},
        depth=request.depth,
        created=(clock or SystemClock()).now(),
        priority=request.priority if request.priority is not None else int(body["spec"].get("priority") or 0),
        parent=request.parent,
        engine=engine,
        object=request.object,
    )
    return runs.submit(connection, [row]) == 1


def _namespace(request: RunRequest, metadata: Mapping[str, Any]) -> str:
    there: Mapping[str, Any] = (request.object or {}).get("metadata") or {}
    return there.get("namespace") or metadata.get("namespace") or "default"


def _workflow(body: Mapping[str, Any], name: str) -> str:
    """What the run is a run of: its template, else its `generateName` without the dash, else its own name."""
    ref: Mapping[str, Any] = body["spec"].get("workflowTemplateRef") or {}
    generated = str(body["metadata"].get("generateName") or "").rstrip("-")
    return str(ref.get("name") or generated or name)
