"""`InferenceService` of KServe (serving.kserve.io/v1beta1): a model that is put to work.

A service has no end; what is followed is its rollout. It has succeeded when it is `Ready` with the model of its spec,
and failed when that model cannot be loaded or its spec cannot be used. What becomes of it later is not told: then the
run has ended. Where it serves becomes its output `url`.

Source: pkg/apis/serving/v1beta1/inference_service_status.go of kserve/kserve, 2026-07.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.kubernetes.kinds.controls import by_removal
from pipelines.kubernetes.kinds.port import Kind, Object, Phase, Reading
from pipelines.kubernetes.kinds.status import (
    Part,
    failing,
    holding,
    mapping,
    metadata_of,
    parameters,
    status_of,
    time_of,
    with_nodes,
    word,
)
from pipelines.kubernetes.kinds.steps import joined

BLOCKED = ("BlockedByFailedLoad", "InvalidSpec")
UP_TO_DATE = ("", "UpToDate")


def read(found: Object) -> Reading:
    """What an InferenceService says, with its components as parts."""
    holds = holding(found)
    components = [name for name in mapping(status_of(found).get("components")) if name]
    return with_nodes(found, _whole(found), [Part(name, _component(name, holds)) for name in components])


def _component(name: str, holds: Mapping[str, Any]) -> Phase:
    return "Succeeded" if f"{name.capitalize()}Ready" in holds else "Running"


def _whole(found: Object) -> Reading:
    status, holds = status_of(found), holding(found)
    made = time_of(metadata_of(found).get("creationTimestamp"))
    model = mapping(status.get("modelStatus"))
    transition = word(model.get("transitionStatus"))
    if transition in BLOCKED:
        wrong = mapping(model.get("lastFailureInfo"))
        said = joined(transition, word(wrong.get("reason")), word(wrong.get("message")))
        return Reading("Failed", said, made, time_of(wrong.get("time")))
    if (ready := holds.get("Ready")) and transition in UP_TO_DATE:
        outputs = parameters([("url", url)] if (url := word(status.get("url"))) else [])
        return Reading("Succeeded", "", made, ready.at, outputs)
    if not status.get("conditions"):
        return Reading("Pending")
    waits = failing(found).get("Ready")
    return Reading("Running", waits.text if waits else "", made)


def pods_of(found: Object) -> str:
    return f"serving.kserve.io/inferenceservice={metadata_of(found).get('name')}"


KIND = Kind(
    "serving.kserve.io",
    "v1beta1",
    "InferenceService",
    "inferenceservices",
    read,
    pods_of,
    by_removal(),
)
