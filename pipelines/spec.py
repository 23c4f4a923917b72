"""The documents that users write: Workflow, WorkflowTemplate, ClusterWorkflowTemplate, CronWorkflow and
WorkflowEventBinding of `argoproj.io/v1alpha1`.

Old and new spellings are both taken; `normalize` gives the new one.

Source: https://argo-workflows.readthedocs.io/en/latest/fields/ (v4.1)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.template_spec import (
    LifecycleHook,
    Metrics,
    RetryStrategy,
    Synchronization,
    Template,
    WorkflowTemplateRef,
)
from pipelines.value_spec import AnyString, Arguments, Model, Opaque
from retrain.errors import ConfigError


class LabelFrom(Model):
    expression: str = ""


class WorkflowMetadata(Model):
    labels: dict[str, AnyString] | None = None
    annotations: dict[str, AnyString] | None = None
    labelsFrom: dict[str, LabelFrom] | None = None


class TTLStrategy(Model):
    """Seconds after which a run is deleted."""

    secondsAfterCompletion: int | None = None
    secondsAfterSuccess: int | None = None
    secondsAfterFailure: int | None = None


class PodGC(Model):
    strategy: str | None = None
    labelSelector: Opaque = None
    deleteDelayDuration: AnyString | None = None


class VolumeClaimGC(Model):
    strategy: str | None = None


class ArtifactGC(Model):
    strategy: str | None = None
    forceFinalizerRemoval: bool | None = None
    podMetadata: Opaque = None
    podSpecPatch: Opaque = None
    serviceAccountName: Opaque = None


class ArtifactRepositoryRef(Model):
    configMap: str | None = None
    key: str | None = None


class WorkflowSpec(Model):
    entrypoint: str | None = None
    arguments: Arguments | None = None
    templates: list[Template] | None = None
    templateDefaults: Template | None = None
    workflowTemplateRef: WorkflowTemplateRef | None = None
    activeDeadlineSeconds: int | None = None
    parallelism: int | None = None
    retryStrategy: RetryStrategy | None = None
    onExit: str | None = None
    hooks: dict[str, LifecycleHook] | None = None
    suspend: bool | None = None
    shutdown: str | None = None
    synchronization: Synchronization | None = None
    volumes: list[Opaque] | None = None
    volumeClaimTemplates: list[Opaque] | None = None
    workflowMetadata: WorkflowMetadata | None = None
    priority: int | None = None
    serviceAccountName: str | None = None
    affinity: Opaque = None
    archiveLogs: bool | None = None
    artifactGC: ArtifactGC | None = None
    artifactRepositoryRef: ArtifactRepositoryRef | None = None
    automountServiceAccountToken: Opaque = None
    dnsConfig: Opaque = None
    dnsPolicy: Opaque = None
    executor: Opaque = None
    executorPlugins: Opaque = None
    hostAliases: Opaque = None
    hostNetwork: Opaque = None
    imagePullSecrets: Opaque = None
    metrics: Metrics | None = None
    nodeSelector: Opaque = None
    podDisruptionBudget: Opaque = None
    podGC: PodGC | None = None
    podMetadata: Opaque = None
    podPriority: Opaque = None
    podPriorityClassName: Opaque = None
    podResources: Opaque = None
    podSpecPatch: Opaque = None
    resourceClaims: Opaque = None
    schedulerName: Opaque = None
    securityContext: Opaque = None
    tolerations: Opaque = None
    ttlStrategy: TTLStrategy | None = None
    volumeClaimGC: VolumeClaimGC | None = None


class Metadata(BaseModel):
    """Kubernetes' ObjectMeta; it has many more fields, which are let through."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)
    name: str | None = None
    generateName: str | None = None
    namespace: str | None = None
    labels: dict[str, AnyString] | None = None
    annotations: dict[str, AnyString] | None = None


class WorkflowDocument(Model):
    apiVersion: Literal["argoproj.io/v1alpha1"]
    kind: Literal["Workflow"]
    metadata: Metadata = Metadata()
    spec: WorkflowSpec
    status: Opaque = None


class WorkflowTemplateDocument(Model):
    apiVersion: Literal["argoproj.io/v1alpha1"]
    kind: Literal["WorkflowTemplate", "ClusterWorkflowTemplate"]
    metadata: Metadata = Metadata()
    spec: WorkflowSpec


class StopStrategy(Model):
    expression: str | None = None
    condition: str | None = None
    """The spelling before 3.7."""


class CronWorkflowSpec(Model):
    workflowSpec: WorkflowSpec
    schedules: list[str] | None = None
    schedule: str | None = None
    """The spelling before 4.0."""
    timezone: str | None = None
    suspend: bool | None = None
    concurrencyPolicy: Literal["Allow", "Forbid", "Replace"] | None = None
    startingDeadlineSeconds: int | None = None
    successfulJobsHistoryLimit: int | None = None
    failedJobsHistoryLimit: int | None = None
    stopStrategy: StopStrategy | None = None
    when: AnyString | None = None
    workflowMetadata: Metadata | None = None


class CronWorkflowDocument(Model):
    apiVersion: Literal["argoproj.io/v1alpha1"]
    kind: Literal["CronWorkflow"]
    metadata: Metadata = Metadata()
    spec: CronWorkflowSpec
    status: Opaque = None


class BindingEvent(Model):
    selector: str = ""


class BindingSubmit(Model):
    workflowTemplateRef: WorkflowTemplateRef
    arguments: Arguments | None = None
    metadata: Metadata | None = None


class WorkflowEventBindingSpec(Model):
    event: BindingEvent
    submit: BindingSubmit | None = None


class WorkflowEventBindingDocument(Model):
    apiVersion: Literal["argoproj.io/v1alpha1"]
    kind: Literal["WorkflowEventBinding"]
    metadata: Metadata = Metadata()
    spec: WorkflowEventBindingSpec


AnyDocument = WorkflowDocument | WorkflowTemplateDocument | CronWorkflowDocument | WorkflowEventBindingDocument
DOCUMENTS: dict[str, type[AnyDocument]] = {
    "Workflow": WorkflowDocument,
    "WorkflowTemplate": WorkflowTemplateDocument,
    "ClusterWorkflowTemplate": WorkflowTemplateDocument,
    "CronWorkflow": CronWorkflowDocument,
    "WorkflowEventBinding": WorkflowEventBindingDocument,
}
RUNNABLE = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate")


def normalize(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest as plain JSON with only what was written, texts as text, and the new spelling of what has two.

    Raises:
        ConfigError: it is none of our kinds, or does not fit its kind.
    """
    kind = manifest.get("kind")
    model = DOCUMENTS.get(str(kind))
    if model is None:
        raise ConfigError(f"kind {kind} cannot be run: it must be one of {', '.join(RUNNABLE)}")
    try:
        document = model.model_validate(_without_nulls(manifest))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ConfigError(f"{kind}: {where}: {first['msg']}") from error
    return modern(written(document))


def written(document: AnyDocument) -> dict[str, Any]:
    """The document's fields that the user wrote, by the names they wrote them."""
    out = document.model_dump(mode="json", by_alias=True, exclude_unset=True)
    out.setdefault("metadata", {})
    return _without_nulls(out)


def of_cron(document: Mapping[str, Any]) -> dict[str, Any]:
    """The Workflow that a normalized CronWorkflow starts, without a name of its own."""
    more: Mapping[str, Any] = document["spec"].get("workflowMetadata") or {}
    metadata: dict[str, Any] = {key: dict(more[key]) for key in ("labels", "annotations") if more.get(key)}
    if namespace := document["metadata"].get("namespace"):
        metadata["namespace"] = namespace
    return {
        "apiVersion": document["apiVersion"],
        "kind": "Workflow",
        "metadata": metadata,
        "spec": document["spec"]["workflowSpec"],
    }


_PLURAL = {"mutex": "mutexes", "semaphore": "semaphores"}


def modern(document: dict[str, Any]) -> dict[str, Any]:
    """The new spelling of what has two; the same document, changed."""
    spec = document["spec"]
    if document["kind"] == "CronWorkflow":
        spec["schedules"] = [*(spec.get("schedules") or ()), *filter(None, [spec.pop("schedule", None)])]
        if stop := spec.get("stopStrategy"):
            spec["stopStrategy"] = {"expression": stop.get("expression") or stop.get("condition") or ""}
        spec = spec["workflowSpec"]
    templates: list[Any] = [*(spec.get("templates") or ()), spec.get("templateDefaults")]
    for one in (spec, *(template for template in templates if template)):
        if locks := one.get("synchronization"):
            one["synchronization"] = _plural(locks)
    return document


def _plural(locks: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for old, new in _PLURAL.items():
        all_of = [*(locks.get(new) or ()), *([locks[old]] if locks.get(old) else ())]
        if all_of:
            found[new] = all_of
    return found


def _without_nulls(value: Any) -> Any:
    """A null field is a field left out, but an item of a list that is null stays."""
    if isinstance(value, Mapping):
        return {str(k): _without_nulls(v) for k, v in cast("Mapping[Any, Any]", value).items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in cast("list[Any]", value)]
    return value
