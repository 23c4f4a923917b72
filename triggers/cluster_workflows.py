"""Workflows of firings that Argo's controller runs: the object is made before the firing's transaction, which then
writes its run down.

Whatever comes in between, the object is made once: its name follows from the firing, and a run that is written down is
not made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from pipelines.engines import ENGINE, engine_of
from pipelines.kubernetes.policy import check
from retrain.errors import ConfigError, Permanent
from retrain.events import JsonValue
from retrain.store.runs import Engine
from triggers.port import CREATED, Firing, Tools
from triggers.workflow_request import Submission


def engine_wanted(manifest: Mapping[str, Any], tools: Tools) -> Engine:
    """Who is to run a Workflow: as its annotation says, else as the platform is set.

    Raises:
        Permanent: the annotation names none.
    """
    try:
        return engine_of(manifest, tools.engine)
    except ConfigError as error:
        raise Permanent(str(error)) from error


def may_be_argo(action: Mapping[str, JsonValue], tools: Tools) -> bool:
    """Whether a look at the whole action is worth it: most platforms have one engine, and it is their own."""
    if tools.engine == "argo":
        return True
    resource: Any = action.get("resource")
    metadata: Any = resource.get("metadata") if isinstance(resource, Mapping) else None
    annotations: Any = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    return bool(action.get("args")) or (isinstance(annotations, Mapping) and ENGINE in annotations)


async def make(submission: Submission, firing: Firing, tools: Tools) -> Firing:
    """Have the Workflow of a firing on the cluster; the firing with the object, for `record_run`.

    Raises:
        Permanent: this platform reaches no cluster, or an event has chosen what it may not.
        Transient, Refused, ConfigError, NotFound: as the cluster says it.
    """
    if tools.workflows is None:
        raise Permanent("no cluster is reached from here, and the workflow is for the engine argo")
    if firing.chosen:
        written: Any = submission.manifest["metadata"]
        check(firing.chosen, tools.allow, str(written.get("namespace") or await tools.workflows.namespace()))
    made = await tools.workflows.create(submission.run_id, submission.manifest, submission.labels)
    return firing if made is None else replace(firing, action={**firing.action, CREATED: cast("JsonValue", made)})
