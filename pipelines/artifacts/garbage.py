"""`artifactGC`: which artifacts of a run are to go, and when.

The strategy of an artifact wins over the workflow's; without any it is Never, as upstream. What a parent's artifact
names again is deleted once.

Source: https://argo-workflows.readthedocs.io/en/latest/walk-through/artifacts/#artifact-garbage-collection
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import orjson

from pipelines.artifacts.port import ArtifactMissing, ArtifactRun, Artifacts
from pipelines.core.nodes import Artifact
from retrain.errors import RetrainError
from retrain.log import get_logger

log = get_logger()

Moment = Literal["OnWorkflowCompletion", "OnWorkflowDeletion"]
_LOCATIONS = ("s3", "gcs", "plugin")


def doomed(spec: Mapping[str, Any], outputs: Iterable[Artifact], moment: Moment) -> Iterator[Artifact]:
    """Of the output artifacts of all nodes those that go at this moment. `spec` is the workflow's.

    At the deletion of a run also those go that its completion should have taken: it may have been deleted first.
    """
    usual = (spec.get("artifactGC") or {}).get("strategy") or "Never"
    times = {moment, "OnWorkflowCompletion"}
    seen: set[bytes] = set()
    for artifact in outputs:
        strategy = (artifact.get("artifactGC") or {}).get("strategy") or usual
        place = {kind: artifact[kind] for kind in _LOCATIONS if artifact.get(kind)}
        if strategy not in times or not place or artifact.get("deleted"):
            continue
        known = orjson.dumps(place, option=orjson.OPT_SORT_KEYS)
        if known not in seen:
            seen.add(known)
            yield artifact


def delete_all(artifacts: Artifacts, gone: Iterable[Artifact], run: ArtifactRun) -> list[str]:
    """Delete them, one after the other; what could not be deleted, in words. Blocks; may be repeated."""
    problems: list[str] = []
    for artifact in gone:
        try:
            artifacts.delete(artifact, run)
        except ArtifactMissing:
            continue
        except (RetrainError, OSError) as error:
            log.warning("artifact.not_deleted", run_id=run.run_id, artifact=artifact.get("name"), reason=str(error))
            problems.append(str(error))
    return problems
