"""Runs one workflow here and now, without a platform: in memory, or in a data directory that outlives the call."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipelines.core import engine
from pipelines.core.engine import Decision, Run
from pipelines.core.nodes import to_rfc3339
from pipelines.core.plan import Catalog, merged_arguments
from pipelines.local.executor import Limits
from pipelines.local.leaf import Surroundings
from pipelines.local.workspace import run_directory
from retrain.clock import Clock
from retrain.errors import ConfigError

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes generated names of: no vowels, no words."""
MAX_GENERATED = 58
"""Characters of `generateName` that a name has: Kubernetes cuts it so, for 63 with the five letters."""

Watch = Callable[[Decision], None]


@dataclass(frozen=True, slots=True)
class LocalRun:
    """A workflow to run. `keep` leaves the directories of its steps behind."""

    manifest: Mapping[str, Any]
    name: str
    catalog: Catalog = field(default_factory=Catalog)
    run_id: str = field(default_factory=lambda: f"r-{uuid4().hex[:20]}")
    keep: bool = False
    documents: tuple[Mapping[str, Any], ...] = ()
    """ConfigMaps, Secrets, claims and templates beside it, which steps find as objects."""

    def home(self, data: Path) -> Path:
        """Where the directories of its steps are."""
        return run_directory(data, self.run_id)


def named(manifest: Mapping[str, Any], name: str | None) -> str:
    """The run's name: the one given, `metadata.name`, or `generateName` (`workflow-` without one) and 5 letters.

    Raises:
        ConfigError: the name given is none that a workflow can have.
    """
    metadata: Mapping[str, Any] = manifest.get("metadata") or {}
    if chosen := name or metadata.get("name"):
        if any(c not in "abcdefghijklmnopqrstuvwxyz0123456789-." for c in chosen) or len(chosen) > 253:
            raise ConfigError(f"{chosen!r} is no name of a workflow: lower-case letters, digits, '-' and '.'")
        return chosen
    prefix = str(metadata.get("generateName") or "workflow-")[:MAX_GENERATED]
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(5))


def with_parameters(manifest: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The manifest with these values for its workflow parameters; new ones are added, as `argo submit -p` does."""
    if not values:
        return dict(manifest)
    spec: Mapping[str, Any] = manifest.get("spec") or {}
    given = {"parameters": [{"name": name, "value": value} for name, value in values.items()]}
    return {**manifest, "spec": {**spec, "arguments": merged_arguments(spec.get("arguments") or {}, given)}}


def check_local(what: LocalRun, around: Surroundings, clock: Clock, limits: Limits) -> None:
    """
    Raises:
        ConfigError: the workflow is not valid, or this machine cannot run it.
    """
    from pipelines.host.fitting import check_machine

    check_machine(begin_local(what, clock).plan, around, limits)


def begin_local(what: LocalRun, clock: Clock) -> Run:
    """The run, not started. Pure: it may be made once more, only to see whether the workflow can run.

    Raises:
        ConfigError: the workflow is not valid or asks for what is not built.
    """
    return engine.begin(what.manifest, name=what.name, uid=what.run_id, created=clock.now(), templates=what.catalog)


async def run_local(what: LocalRun, around: Surroundings, clock: Clock, limits: Limits, watch: Watch) -> Run:
    """Run a workflow to its end; `watch` sees every decision. Cancelled, it ends all its processes.

    Raises:
        ConfigError: as `begin_local`, or this machine cannot run it; nothing was started.
    """
    from pipelines.host.memory_host import open_memory_host

    refused: ConfigError | None = None
    try:
        async with open_memory_host(around, clock, limits, what.catalog, what.documents) as host:
            try:
                return await host.run(what.manifest, what.name, what.run_id, watch)
            except ConfigError as error:  # the host's task groups would wrap it
                refused = error
        raise refused
    finally:
        if not what.keep:
            shutil.rmtree(what.home(around.data), ignore_errors=True)


async def run_kept(what: LocalRun, around: Surroundings, clock: Clock, limits: Limits, watch: Watch) -> dict[str, Any]:
    """The same in a data directory that outlives the call (`around.data`): the run, its locks, memos, objects and
    artifacts stay in the store there. The Workflow object in the end.

    Raises:
        ConfigError: as `run_local`; nothing is written down then.
    """
    from pipelines.host.kept_run import run_in_store

    check_local(what, around, clock, limits)
    return await run_in_store(what, around, clock, limits, watch)


def to_workflow(run: Run) -> dict[str, Any]:
    """The Workflow object with Argo's `status`."""
    manifest = run.plan.manifest
    metadata = {key: value for key, value in (manifest.get("metadata") or {}).items() if key != "generateName"}
    labels = {**(metadata.get("labels") or {}), "workflows.argoproj.io/phase": str(run.phase)}
    if run.ended:
        labels["workflows.argoproj.io/completed"] = "true"
    return {
        "apiVersion": manifest.get("apiVersion"),
        "kind": "Workflow",
        "metadata": {
            **metadata,
            "name": run.plan.name,
            "namespace": run.plan.namespace,
            "uid": run.plan.uid,
            "creationTimestamp": to_rfc3339(run.plan.created),
            "labels": labels,
        },
        "spec": manifest.get("spec"),
        "status": engine.status(run),
    }
