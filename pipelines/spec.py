"""What a user writes: Workflow, WorkflowTemplate and ClusterWorkflowTemplate of `argoproj.io/v1alpha1`.

Every field of Argo's schema is named here, so that an unknown one is an error. What belongs to a pod alone is `Opaque`:
it is carried and not looked into. Texts may be written as bare numbers or booleans, which become text (`AnyString`).

Source: https://argo-workflows.readthedocs.io/en/latest/fields/ (v4.1)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from pipelines.core.naming import go_text
from retrain.errors import ConfigError

Opaque = Any
NOT_BUILT_KINDS = ("CronWorkflow", "WorkflowEventBinding")
"""Known kinds of Argo Workflows that are refused by name."""


def _as_text(value: Any) -> Any:
    return go_text(value) if isinstance(value, bool | int | float) else value


AnyString = Annotated[str, BeforeValidator(_as_text), WithJsonSchema({"type": ["string", "number", "boolean"]})]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ValueFrom(Model):
    configMapKeyRef: Opaque = None
    default: AnyString | None = None
    event: str | None = None
    expression: str | None = None
    jqFilter: str | None = None
    jsonPath: str | None = None
    parameter: str | None = None
    path: str | None = None
    supplied: Opaque = None


class Parameter(Model):
    name: AnyString = ""
    default: AnyString | None = None
    value: AnyString | None = None
    valueFrom: ValueFrom | None = None
    globalName: str | None = None
    enum: list[AnyString] | None = None
    description: AnyString | None = None


class Artifact(Model):
    name: AnyString = ""
    archive: Opaque = None
    archiveLogs: bool | None = None
    artifactGC: Opaque = None
    artifactory: Opaque = None
    azure: Opaque = None
    deleted: bool | None = None
    from_: str | None = Field(default=None, alias="from")
    fromExpression: str | None = None
    gcs: Opaque = None
    git: Opaque = None
    globalName: str | None = None
    hdfs: Opaque = None
    http: Opaque = None
    mode: int | None = None
    optional: bool | None = None
    oss: Opaque = None
    path: str | None = None
    plugin: Opaque = None
    raw: Opaque = None
    recurseMode: bool | None = None
    s3: Opaque = None
    subPath: str | None = None


class Arguments(Model):
    parameters: list[Parameter] | None = None
    artifacts: list[Artifact] | None = None


class Inputs(Arguments):
    pass


class Outputs(Arguments):
    exitCode: str | None = None
    result: str | None = None


class TemplateRef(Model):
    name: str = ""
    template: str = ""
    clusterScope: bool | None = None


class WorkflowTemplateRef(Model):
    name: str = ""
    clusterScope: bool | None = None


class Backoff(Model):
    duration: AnyString | None = None
    factor: AnyString | None = None
    maxDuration: AnyString | None = None
    cap: AnyString | None = None


class RetryStrategy(Model):
    limit: AnyString | None = None
    retryPolicy: str | None = None
    backoff: Backoff | None = None
    expression: str | None = None
    affinity: Opaque = None


class ContinueOn(Model):
    error: bool | None = None
    failed: bool | None = None


class Sequence(Model):
    count: AnyString | None = None
    start: AnyString | None = None
    end: AnyString | None = None
    format: str | None = None


class LifecycleHook(Model):
    template: str | None = None
    templateRef: TemplateRef | None = None
    arguments: Arguments | None = None
    expression: str | None = None


class Step(Model):
    """What steps of `steps` and tasks of `dag` share."""

    name: AnyString = ""
    template: str | None = None
    templateRef: TemplateRef | None = None
    inline: Template | None = None
    arguments: Arguments | None = None
    when: AnyString | None = None
    withItems: list[Opaque] | None = None
    withParam: AnyString | None = None
    withSequence: Sequence | None = None
    continueOn: ContinueOn | None = None
    hooks: dict[str, LifecycleHook] | None = None
    onExit: str | None = None


class WorkflowStep(Step):
    pass


class DAGTask(Step):
    dependencies: list[AnyString] | None = None
    depends: AnyString | None = None


class DAGTemplate(Model):
    tasks: list[DAGTask] = []
    target: str | None = None
    failFast: bool | None = None


class Container(Model):
    """A Kubernetes container. What only a kubelet reads is carried along."""

    name: str | None = None
    image: str | None = None
    command: list[AnyString] | None = None
    args: list[AnyString] | None = None
    env: list[Opaque] | None = None
    envFrom: list[Opaque] | None = None
    workingDir: str | None = None
    volumeMounts: list[Opaque] | None = None
    imagePullPolicy: Opaque = None
    lifecycle: Opaque = None
    livenessProbe: Opaque = None
    ports: Opaque = None
    readinessProbe: Opaque = None
    resizePolicy: Opaque = None
    resources: Opaque = None
    restartPolicy: Opaque = None
    restartPolicyRules: Opaque = None
    securityContext: Opaque = None
    startupProbe: Opaque = None
    stdin: Opaque = None
    stdinOnce: Opaque = None
    terminationMessagePath: Opaque = None
    terminationMessagePolicy: Opaque = None
    tty: Opaque = None
    volumeDevices: Opaque = None


class ScriptTemplate(Container):
    source: AnyString | None = None


class UserContainer(Container):
    mirrorVolumeMounts: bool | None = None


class ContainerNode(Container):
    dependencies: list[str] | None = None


class ContainerSetTemplate(Model):
    containers: list[ContainerNode] = []
    retryStrategy: Opaque = None
    volumeMounts: Opaque = None


class SuspendTemplate(Model):
    duration: AnyString | None = None


class ResourceTemplate(Model):
    action: str = ""
    manifest: str | None = None
    manifestFrom: Opaque = None
    mergeStrategy: str | None = None
    successCondition: str | None = None
    failureCondition: str | None = None
    setOwnerReference: bool | None = None
    flags: list[str] | None = None


class HTTP(Model):
    url: str = ""
    method: str | None = None
    headers: list[Opaque] | None = None
    body: str | None = None
    bodyFrom: Opaque = None
    timeoutSeconds: int | None = None
    insecureSkipVerify: bool | None = None
    successCondition: str | None = None


class Metrics(Model):
    prometheus: list[dict[str, Any]] = []


class Template(Model):
    name: str = ""
    inputs: Inputs | None = None
    outputs: Outputs | None = None
    container: Container | None = None
    script: ScriptTemplate | None = None
    steps: list[list[WorkflowStep]] | None = None
    dag: DAGTemplate | None = None
    suspend: SuspendTemplate | None = None
    containerSet: ContainerSetTemplate | None = None
    resource: ResourceTemplate | None = None
    data: Opaque = None
    http: HTTP | None = None
    plugin: Opaque = None
    retryStrategy: RetryStrategy | None = None
    timeout: AnyString | None = None
    pendingTimeout: AnyString | None = None
    activeDeadlineSeconds: AnyString | None = None
    parallelism: int | None = None
    failFast: bool | None = None
    daemon: bool | None = None
    memoize: Opaque = None
    synchronization: Opaque = None
    initContainers: list[UserContainer] | None = None
    sidecars: list[UserContainer] | None = None
    volumes: list[Opaque] | None = None
    archiveLocation: Opaque = None
    metrics: Metrics | None = None
    metadata: Opaque = None
    annotations: Opaque = None
    affinity: Opaque = None
    automountServiceAccountToken: Opaque = None
    executor: Opaque = None
    hostAliases: Opaque = None
    nodeSelector: Opaque = None
    podResources: Opaque = None
    podSpecPatch: Opaque = None
    priority: Opaque = None
    priorityClassName: Opaque = None
    resourceClaims: Opaque = None
    schedulerName: Opaque = None
    securityContext: Opaque = None
    serviceAccountName: Opaque = None
    tolerations: Opaque = None


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
    synchronization: Opaque = None
    volumes: list[Opaque] | None = None
    volumeClaimTemplates: list[Opaque] | None = None
    workflowMetadata: Opaque = None
    priority: int | None = None
    serviceAccountName: str | None = None
    affinity: Opaque = None
    archiveLogs: Opaque = None
    artifactGC: Opaque = None
    artifactRepositoryRef: Opaque = None
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
    podGC: Opaque = None
    podMetadata: Opaque = None
    podPriority: Opaque = None
    podPriorityClassName: Opaque = None
    podResources: Opaque = None
    podSpecPatch: Opaque = None
    resourceClaims: Opaque = None
    schedulerName: Opaque = None
    securityContext: Opaque = None
    tolerations: Opaque = None
    ttlStrategy: Opaque = None
    volumeClaimGC: Opaque = None


class Metadata(BaseModel):
    """Kubernetes' ObjectMeta; it has many more fields, which are let through."""

    model_config = ConfigDict(frozen=True, extra="allow")
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


AnyDocument = WorkflowDocument | WorkflowTemplateDocument
DOCUMENTS: dict[str, type[WorkflowDocument] | type[WorkflowTemplateDocument]] = {
    "Workflow": WorkflowDocument,
    "WorkflowTemplate": WorkflowTemplateDocument,
    "ClusterWorkflowTemplate": WorkflowTemplateDocument,
}


def normalize(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest as plain JSON with only what was written, and texts as text.

    Raises:
        ConfigError: it is none of our kinds, or does not fit its kind.
    """
    kind = manifest.get("kind")
    model = DOCUMENTS.get(str(kind))
    if model is None:
        raise ConfigError(f"kind {kind} cannot be run: it must be one of {', '.join(DOCUMENTS)}")
    try:
        document = model.model_validate(_without_nulls(manifest))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ConfigError(f"{kind}: {where}: {first['msg']}") from error
    return written(document)


def written(document: AnyDocument) -> dict[str, Any]:
    """The document's fields that the user wrote, by the names they wrote them."""
    out = document.model_dump(mode="json", by_alias=True, exclude_unset=True)
    out.setdefault("metadata", {})
    return _without_nulls(out)


def _without_nulls(value: Any) -> Any:
    """A null field is a field left out, but an item of a list that is null stays."""
    if isinstance(value, Mapping):
        return {str(key): _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
