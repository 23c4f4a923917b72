"""Triggers: when a Sensor fires, and the action that it asks for then."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from retrain.events import JsonValue
from retrain.manifests import Pluggable, Plugged
from retrain.manifests.argo import KeySelector, Shape
from sensors.decision_spec import Absent, Budget, Concurrency, Cooldown, Schedule, Sequence, Window
from sensors.shapes import Backoff, BasicAuth, Parameter, Sasl, SecureHeader, Tls

Parameters = tuple[Parameter, ...]


class Url(Shape):
    path: str = ""
    verify_cert: bool = False


class File(Shape):
    path: str = ""


class GitCreds(Shape):
    username: KeySelector | None = None
    password: KeySelector | None = None


class GithubApp(Shape):
    private_key: KeySelector | None = None
    app_id: int | None = Field(default=None, alias="appID")
    installation_id: int | None = Field(default=None, alias="installationID")


class GitRemote(Shape):
    name: str = ""
    urls: tuple[str, ...] = ()


class Git(Shape):
    url: str = ""
    clone_directory: str = ""
    creds: GitCreds | None = None
    github_app: GithubApp | None = None
    ssh_key_secret: KeySelector | None = None
    file_path: str = ""
    branch: str = ""
    tag: str = ""
    ref: str = ""
    remote: GitRemote | None = None
    insecure_ignore_host_key: bool = False


class S3Bucket(Shape):
    name: str = ""
    key: str = ""


class S3Filter(Shape):
    prefix: str = ""
    suffix: str = ""


class S3(Shape):
    endpoint: str = ""
    bucket: S3Bucket | None = None
    region: str = ""
    insecure: bool = False
    access_key: KeySelector | None = None
    secret_key: KeySelector | None = None
    ca_certificate: KeySelector | None = None
    events: tuple[str, ...] = ()
    filter: S3Filter | None = None
    metadata: dict[str, str] | None = None


class Source(Shape):
    """Where the object of a trigger comes from: one of these. sources.py tells how each is read."""

    resource: dict[str, JsonValue] | None = None
    inline: str | None = None
    file: File | None = None
    url: Url | None = None
    configmap: KeySelector | None = None
    git: Git | None = None
    s3: S3 | None = None


class K8s(Shape):
    """From `successCondition` on of retrain.dev/v1: when the object has ended, and what comes of it (`outputs`: name ->
    jsonPath). `track: false`: an object whose end is known is no run for all that."""

    operation: str = ""
    patch_strategy: str = ""
    live_object: bool = False
    source: Source | None = None
    parameters: Parameters = ()
    success_condition: str = ""
    failure_condition: str = ""
    outputs: dict[str, str] | None = None
    track: bool | None = None


class ArgoWorkflow(Shape):
    operation: str = ""
    source: Source | None = None
    parameters: Parameters = ()
    args: tuple[str, ...] = ()


class Http(Shape):
    """`timeout` in seconds."""

    url: str = ""
    method: str = ""
    host: str = ""
    payload: Parameters = ()
    parameters: Parameters = ()
    headers: dict[str, str] | None = None
    secure_headers: tuple[SecureHeader, ...] = ()
    dynamic_headers: Parameters = ()
    basic_auth: BasicAuth | None = None
    timeout: int | None = None
    tls: Tls | None = None


class Log(Shape):
    interval_seconds: int | None = None


class Promotion(Shape):
    """Ask the Promotion `name` to put a candidate live. `parameters` fill `candidate`: digest, uri, metrics, run, or
    `mlflow: {model, version}` or `{model, alias}`. `environment`: left out, the one that candidates enter at.
    """

    name: str
    environment: str | None = None
    candidate: dict[str, JsonValue] | None = None
    parameters: Parameters = ()


class Retrain(Shape):
    """Call other sensors: an event of the source `retrain` with the name `eventName`, and `payload` as its data."""

    event_name: str = ""
    payload: Parameters = ()
    parameters: Parameters = ()


class AwsLambda(Shape):
    function_name: str = ""
    region: str = ""
    invocation_type: str | None = None
    access_key: KeySelector | None = None
    secret_key: KeySelector | None = None
    role_arn: str = Field(default="", alias="roleARN")
    payload: Parameters = ()
    parameters: Parameters = ()


class AzureEventHubs(Shape):
    fqdn: str = ""
    hub_name: str = ""
    shared_access_key: KeySelector | None = None
    shared_access_key_name: KeySelector | None = None
    payload: Parameters = ()
    parameters: Parameters = ()


class AzureServiceBus(Shape):
    connection_string: KeySelector | None = None
    queue_name: str = ""
    topic_name: str = ""
    subscription_name: str = ""
    tls: Tls | None = None
    payload: Parameters = ()
    parameters: Parameters = ()


class Custom(Shape):
    server_url: str = Field(default="", alias="serverURL")
    secure: bool = False
    cert_secret: KeySelector | None = None
    server_name_override: str = ""
    spec: dict[str, str] | None = None
    payload: Parameters = ()
    parameters: Parameters = ()


class Email(Shape):
    host: str = ""
    port: int | None = None
    username: str = ""
    smtp_password: KeySelector | None = None
    from_: str = Field(default="", alias="from")
    to: tuple[str, ...] = ()
    subject: str = ""
    body: str = ""
    parameters: Parameters = ()


class SchemaRegistry(Shape):
    url: str = ""
    schema_id: int | None = None
    auth: BasicAuth | None = None


class Kafka(Shape):
    url: str = ""
    topic: str = ""
    partition: int | None = None
    partitioning_key: str | None = None
    payload: Parameters = ()
    parameters: Parameters = ()
    headers: dict[str, str] | None = None
    secure_headers: tuple[SecureHeader, ...] = ()
    required_acks: int | None = None
    compress: bool = False
    flush_frequency: int | None = None
    version: str = ""
    tls: Tls | None = None
    sasl: Sasl | None = None
    schema_registry: SchemaRegistry | None = None


class NatsAuth(Shape):
    basic: BasicAuth | None = None
    token: KeySelector | None = None
    nkey: KeySelector | None = None
    credential: KeySelector | None = None


class Nats(Shape):
    url: str = ""
    subject: str = ""
    payload: Parameters = ()
    parameters: Parameters = ()
    tls: Tls | None = None
    auth: NatsAuth | None = None


class OpenWhisk(Shape):
    host: str = ""
    version: str = ""
    namespace: str = ""
    action_name: str = ""
    auth_token: KeySelector | None = None
    payload: Parameters = ()
    parameters: Parameters = ()


class Pulsar(Shape):
    url: str = ""
    topic: str = ""
    payload: Parameters = ()
    parameters: Parameters = ()
    auth_token_secret: KeySelector | None = None
    auth_athenz_params: dict[str, str] | None = None
    auth_athenz_secret: KeySelector | None = None
    tls: Tls | None = None
    tls_allow_insecure_connection: bool = False
    tls_trust_certs_secret: KeySelector | None = None
    tls_validate_hostname: bool = False
    connection_backoff: Backoff | None = None


class SlackSender(Shape):
    username: str = ""
    icon: str = ""


class SlackThread(Shape):
    message_aggregation_key: str = ""
    broadcast_message_to_channel: bool = False


class Slack(Shape):
    slack_token: KeySelector | None = None
    channel: str = ""
    message: str = ""
    attachments: str = ""
    blocks: str = ""
    thread: SlackThread | None = None
    sender: SlackSender | None = None
    parameters: Parameters = ()


class ByTime(Shape):
    cron: str = ""
    timezone: str = ""


class ConditionsReset(Shape):
    by_time: ByTime | None = None


BUILT = frozenset(
    {
        *("argoWorkflow", "awsLambda", "email", "http", "k8s", "kafka", "log", "nats", "promotion", "retrain", "slack"),
    }
)
"""Kinds of trigger that can act."""


class Template(Shape, Pluggable):
    """What to do (one of the kinds) and when: `conditions` over dependencies, all of them where it is empty.

    A kind may be a plugin's, also one that Argo Events has and that is not built here.
    """

    built_in: ClassVar[frozenset[str]] = BUILT | {"name", "conditions", "conditionsReset"}

    name: str = ""
    conditions: str = ""
    conditions_reset: tuple[ConditionsReset, ...] = ()
    argo_workflow: ArgoWorkflow | None = None
    http: Http | None = None
    k8s: K8s | None = Field(default=None, alias="k8s")
    log: Log | None = None
    promotion: Promotion | None = None
    retrain: Retrain | None = None
    aws_lambda: AwsLambda | None = None
    azure_event_hubs: AzureEventHubs | None = None
    azure_service_bus: AzureServiceBus | None = None
    custom: Custom | None = None
    email: Email | None = None
    kafka: Kafka | None = None
    nats: Nats | None = None
    open_whisk: OpenWhisk | None = None
    pulsar: Pulsar | None = None
    slack: Slack | None = None


NOT_KINDS = frozenset({"name", "conditions", "conditions_reset"})
KINDS = {field: str(info.alias) for field, info in Template.model_fields.items() if field not in NOT_KINDS}
"""Kinds of trigger: the field of `Template` -> the name that users write."""


def kinds_of(template: Template) -> list[str]:
    """The kinds that a template names, as users write them. A good one names one."""
    return [name for field, name in KINDS.items() if getattr(template, field) is not None] + list(template.plugged)


def body_of(template: Template) -> Shape | Plugged | None:
    """What stands under the template's kind; the first where there are several."""
    own = (body for field in KINDS if (body := getattr(template, field)) is not None)
    return next(own, None) or next(iter(template.plugged.values()), None)


class K8sPolicy(Shape):
    """`conditions` (type -> status) and `jsonPath` (path -> value) are of retrain.dev/v1."""

    labels: dict[str, str] | None = None
    conditions: dict[str, str] | None = None
    json_path: dict[str, str] | None = None
    backoff: Backoff | None = None
    error_on_backoff_timeout: bool = False


class StatusPolicy(Shape):
    allow: tuple[int, ...] = ()


class Policy(Shape):
    k8s: K8sPolicy | None = Field(default=None, alias="k8s")
    status: StatusPolicy | None = None


class RateLimit(Shape):
    """At most `requestsPerUnit` in any `unit` (Second, Minute, Hour; Day is of retrain.dev/v1). `mode` is of
    retrain.dev/v1: throttle makes firings wait, drop lets no event in while the unit is used up."""

    unit: str = ""
    requests_per_unit: int | None = None
    mode: Literal["throttle", "drop"] | None = None


class Trigger(Shape):
    """A template with what holds for its execution. Those from `window` on are of retrain.dev/v1."""

    template: Template | None = None
    parameters: Parameters = ()
    policy: Policy | None = None
    retry_strategy: Backoff | None = None
    rate_limit: RateLimit | None = None
    at_least_once: bool = False
    dlq_trigger: Trigger | None = None
    window: Window | None = None
    sequence: Sequence | None = None
    absent: Absent | None = None
    every: int | None = Field(default=None, ge=1)
    schedule: Schedule | None = None
    concurrency: Concurrency | None = None
    cooldown: Cooldown | None = None
    budget: Budget | None = None
    ordered: bool = False
    priority: int | None = Field(default=None, ge=-1000, le=1000)


OURS = (
    "window",
    "sequence",
    "absent",
    "every",
    "schedule",
    "concurrency",
    "cooldown",
    "budget",
    "ordered",
    "priority",
)
"""Fields of a trigger that only retrain.dev/v1 has."""
