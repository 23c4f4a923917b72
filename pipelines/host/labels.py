"""The labels that a run's Workflow object has, as Argo's controller keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain.store import runs
from retrain.store.runs import RunRow

PHASE_LABEL = "workflows.argoproj.io/phase"
COMPLETED_LABEL = "workflows.argoproj.io/completed"
RESUBMITTED_LABEL = "workflows.argoproj.io/resubmitted-from-workflow"
ARCHIVING_LABEL = "workflows.argoproj.io/workflow-archiving-status"
OURS = "retrain.dev/"


def labels_of(run: RunRow) -> dict[str, str]:
    """The labels that the Workflow object of a run has now: on a cluster those that it was last seen with."""
    if run.object is not None:
        metadata: Any = run.object.get("metadata") or {}
        return {name: str(value) for name, value in (metadata.get("labels") or {}).items()}
    written: Mapping[str, Any] = (run.manifest.get("metadata") or {}).get("labels") or {}
    labels = {**{name: str(value) for name, value in written.items()}, **run.labels, PHASE_LABEL: run.phase}
    if run.phase not in runs.OPEN:
        labels[COMPLETED_LABEL] = "true"
    return labels


def is_of_the_run(label: str) -> bool:
    """Whether a label tells of one run, so that a run made of it does not take it over."""
    return label.startswith(OURS) or label in {PHASE_LABEL, COMPLETED_LABEL}
