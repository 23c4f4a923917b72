"""Templates as users write them: steps, dags, containers and the rest of `argoproj.io/v1alpha1`.

Every field of Argo's schema is named here, so that an unknown one is an error.

Source: https://argo-workflows.readthedocs.io/en/latest/fields/ (v4.1)
"""

from __future__ import annotations

from pipelines.value_spec import AnyString, Arguments, Artifact, Inputs, Model, Opaque, Outputs


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


class ConfigMapName(Model):
    name: str = ""


class Cache(Model):
    configMap: ConfigMapName | None = None


class Memoize(Model):
    key: AnyString = ""
    cache: Cache | None = None
    maxAge: AnyString | None = None


class ConfigMapKey(Model):
    name: str = ""
    key: str = ""
    optional: bool | None = None


class DatabaseKey(Model):
    key: str = ""


class Semaphore(Model):
    configMapKeyRef: ConfigMapKey | None = None
    database: DatabaseKey | None = None
    namespace: str | None = None


class Mutex(Model):
    name: str | None = None
    namespace: str | None = None
    database: bool | None = None


class Synchronization(Model):
    """The singular fields are the spelling of Argo before 4.0."""

    mutexes: list[Mutex] | None = None
    semaphores: list[Semaphore] | None = None
    mutex: Mutex | None = None
    semaphore: Semaphore | None = None


class Transformation(Model):
    expression: str = ""


class DataSource(Model):
    artifactPaths: Artifact | None = None


class DataTemplate(Model):
    source: DataSource
    transformation: list[Transformation] | None = None


class ContainerSetRetry(Model):
    retries: AnyString | None = None
    duration: AnyString | None = None


class ContainerSetTemplate(Model):
    containers: list[ContainerNode] = []
    retryStrategy: ContainerSetRetry | None = None
    volumeMounts: list[Opaque] | None = None


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


class MetricLabel(Model):
    key: str = ""
    value: AnyString = ""


class Gauge(Model):
    value: AnyString = ""
    realtime: bool | None = None
    operation: str | None = None


class Counter(Model):
    value: AnyString = ""


class Histogram(Model):
    value: AnyString = ""
    buckets: list[float | int] = []


class Prometheus(Model):
    name: str = ""
    help: str = ""
    labels: list[MetricLabel] | None = None
    when: AnyString | None = None
    gauge: Gauge | None = None
    counter: Counter | None = None
    histogram: Histogram | None = None


class Metrics(Model):
    prometheus: list[Prometheus] = []


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
    data: DataTemplate | None = None
    http: HTTP | None = None
    plugin: Opaque = None
    retryStrategy: RetryStrategy | None = None
    timeout: AnyString | None = None
    pendingTimeout: AnyString | None = None
    activeDeadlineSeconds: AnyString | None = None
    parallelism: int | None = None
    failFast: bool | None = None
    daemon: bool | None = None
    memoize: Memoize | None = None
    synchronization: Synchronization | None = None
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
