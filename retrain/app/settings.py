"""Settings: `RETRAIN_*` variables and one YAML file, in small groups. Read once; each part gets the group it needs.

`RETRAIN_BUS_URL` is `bus.url`; in `retrain.yaml` it is `bus: {url: ...}`. The environment wins.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from pipelines.artifacts.settings import ArtifactSettings
from pipelines.kubernetes.guarded_fields import Rule
from retrain.app.access.access_settings import AccessGroup, base_url
from retrain.bus.settings import DAY_S, BusSettings
from retrain.errors import ConfigError

FILE = "retrain.yaml"
"""The settings file of a project; looked for in the project's folder."""

SECRET = frozenset({"token", "password", "credentials_file", "users", "token_sha256", "oidc", "client_secret"})
"""Settings whose values no message shows."""

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Hours = Annotated[float, Field(gt=0)]
Days = Annotated[int, Field(ge=0, le=36_500)]


class Group(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreGroup(Group):
    """The SQL database."""

    synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    """FULL keeps the last commits through a power cut too, for one disk sync each commit."""
    decisions_days: Count = 30
    """Days that decisions of sensors are kept on record."""
    decisions_rows: Count = 5_000_000
    """Decisions that are kept at most; the oldest go first."""
    events_days: Days = 365
    """Days that events are kept that nothing refers to; 0: for ever. Not shorter than the bus keeps them."""
    firings_days: Days = 365
    """Days that firings are kept after their end; 0: for ever. Those that a promotion came of stay."""
    deadletters_days: Days = 365
    """Days that dead letters are kept, redriven or not; 0: for ever."""
    audit_days: Days = 0
    """Days that the audit is kept; 0: for ever."""
    memos_days: Days = 90
    """Days that outputs which `memoize` remembers are kept after their last use; 0: for ever."""


class ServerGroup(Group):
    """The HTTP door."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 7300
    token: SecretStr | None = None
    """Bearer token of the API. Without one only the loopback interface may be listened on."""
    max_body: Count = 4 * 1024 * 1024
    """Bytes of one request to the API."""
    url: Annotated[str, AfterValidator(base_url)] | None = None
    """Where browsers reach the page, without a path; a login at a provider comes back there."""


class SensorsGroup(Group):
    """The sensor host and the dispatcher of firings."""

    max_depth: Count = 16
    """Events that follow from events that follow from ... : where a loop is cut."""
    concurrency: Count = 64
    """Firings of one trigger that are acted on at once; of all triggers together four times as many."""
    allow_remote_sources: bool = False
    """Whether triggers may take their objects from Git, URLs and S3."""


class TriggersGroup(Group):
    """Services that triggers speak to."""

    slack_url: str = "https://slack.com/api"
    """Where Slack's API is."""
    aws_url: str | None = None
    """Where AWS is; None: where the region says."""


class PipelinesGroup(Group):
    """Workflows, and the local engine that runs them."""

    engine: Literal["local", "argo"] = "local"
    """Who runs workflows that do not say it (annotation `retrain.dev/engine`): this machine, or Argo on a cluster."""
    max_steps: Count | None = None
    """Step processes at once; None: twice the cores."""
    max_runs: Count = 64
    """Runs in hand at once; the others wait in the queue."""
    lease_s: Seconds = 30.0
    """Seconds a runner owns a run without renewing."""
    grace_s: Seconds = 10.0
    """Seconds a step has after SIGTERM."""
    finish_s: Annotated[float, Field(ge=0)] = 3.0
    """Seconds a running step has to end by itself, before SIGTERM, when the platform stops."""
    rung: Literal["rewrite", "namespace", "container"] | None = None
    """How steps are kept apart; None: the best that the machine has without a container engine."""
    images: dict[str, str | dict[str, str]] = {}
    """What stands in for an image: glob -> "this", "host", "argosay", "cowsay" or {venv: PATH}."""
    any_image: bool = False
    """Whether an image that the table does not know is run with this machine's tools."""
    slots: dict[str, str | int | float] = {}
    """What the machine has to give to steps: cpu, memory, gpus, and other devices by the name of the resource."""
    artifacts: ArtifactSettings | None = None
    """Where artifacts are kept, in the shape of Argo's `artifactRepository`; None: below the data directory."""
    archive_logs: bool = False
    """Whether the log of each step is kept as its artifact `main-logs`, where the workflow does not say."""
    http_private: bool = True
    """Whether `http` templates may talk to addresses that are not of the open internet."""
    keep_runs_days: int = Field(default=90, ge=0)
    """Days that runs are kept after their end where they do not say (`ttlStrategy`); 0: for ever."""
    keep_steps_for: Hours = 168.0
    """Hours that the directories of a run's steps are kept after its end."""


class KubernetesGroup(Group):
    """The cluster, where there is one."""

    kubeconfig: Path | None = None
    """How it is reached; None: as kubectl would, or by the service account of this pod."""
    namespace: str | None = None
    """Where runs without a namespace go; None: the namespace of the kubeconfig's context, or of this pod."""
    allow: dict[str, dict[Rule, tuple[str, ...]]] = {}
    """What events may choose of objects that they shape: namespace -> rule -> values, as globs."""
    selector: dict[str, str] = {"app.kubernetes.io/name": "retrain"}
    """The labels by which the Services of EventSources choose this pod."""
    address: str | None = None
    """This pod's address, for Services of EventSources in other namespaces, where labels do not reach."""


class AdmissionGroup(Group):
    """The validating webhook of a cluster: `lint` before an object is taken."""

    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Where it is served, over TLS; None: it is not."""
    host: str | None = None
    """Of which address; None: as server.host."""
    configuration: str = "retrain-admission"
    """The ValidatingWebhookConfiguration that is told which certificate to trust."""
    service: str = "retrain-admission"
    """The Service by which the API server calls it, in this pod's namespace."""
    names: tuple[str, ...] = ()
    """Names and addresses that its certificate has instead of the Service's."""
    secret: str | None = None
    """The Secret, in this pod's namespace, where its keys are kept; None: a file of the data directory."""


class TelemetryGroup(Group):
    """Traces. Their further variables are OpenTelemetry's own (`OTEL_*`)."""

    traces: bool | None = None
    """Whether spans are sent; None: where an endpoint is named, here or by OTEL_EXPORTER_OTLP_ENDPOINT."""
    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = None
    """Where OTLP is taken over HTTP, such as `http://localhost:4318`; None: as OTEL_EXPORTER_OTLP_ENDPOINT says."""


class SecretsGroup(Group):
    """Where event sources and triggers find secrets beside the environment and the project."""

    folder: Path | None = None
    """A folder with files `secrets/NAME/KEY` and `config/NAME/KEY`, as Kubernetes mounts them."""


class Settings(BaseSettings):
    """All of it."""

    model_config = SettingsConfigDict(
        env_prefix="RETRAIN_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        frozen=True,
        extra="forbid",
    )

    bus: BusSettings = BusSettings()
    store: StoreGroup = StoreGroup()
    server: ServerGroup = ServerGroup()
    access: AccessGroup = AccessGroup()
    sensors: SensorsGroup = SensorsGroup()
    triggers: TriggersGroup = TriggersGroup()
    pipelines: PipelinesGroup = PipelinesGroup()
    kubernetes: KubernetesGroup = KubernetesGroup()
    admission: AdmissionGroup = AdmissionGroup()
    secrets: SecretsGroup = SecretsGroup()
    telemetry: TelemetryGroup = TelemetryGroup()
    shutdown_s: Seconds = 20.0
    """Seconds that work in hand gets to finish after the first signal."""

    @model_validator(mode="after")
    def _a_login_comes_back(self) -> Settings:
        if self.access.oidc is not None and self.server.url is None:
            raise ValueError("access.oidc needs server.url: the login comes back to that address")
        return self

    @model_validator(mode="after")
    def _events_outlive_the_bus(self) -> Settings:
        days = self.store.events_days
        if 0 < days * DAY_S < self.bus.max_age_s:
            # What the bus still shows and the store has forgotten would be decided on once more.
            least = math.ceil(self.bus.max_age_s / DAY_S)
            raise ValueError(f"store.events_days {days} is shorter than bus.max_age_s: write {least} at least, or 0")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment over the file: whoever starts the program has the last word."""
        del settings_cls, dotenv_settings, file_secret_settings
        assert isinstance(env_settings, EnvSettingsSource)
        # A group as a whole is not set by a variable: RETRAIN_SERVER is the URL that commands talk to.
        groups = {f"retrain_{name}" for name, field in cls.model_fields.items() if isinstance(field.default, BaseModel)}
        env_settings.env_vars = {n: v for n, v in env_settings.env_vars.items() if n.lower() not in groups}
        return env_settings, init_settings


def load_settings(project: Path | None = None) -> Settings:
    """The settings of a project.

    Raises:
        ConfigError: the file is no YAML mapping, or a setting is unknown or out of range; the message names it.
    """
    try:
        return Settings(**_read(project / FILE if project else None))
    except ValidationError as error:
        raise ConfigError("\n".join(_complaint(one) for one in error.errors())) from None


def _read(file: Path | None) -> dict[str, Any]:
    if file is None or not file.is_file():
        return {}
    try:
        content = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: must be a mapping of groups such as `bus:` and `server:`")
    return content


def _complaint(error: Any) -> str:
    if not error["loc"]:  # of several settings together
        return str(error["msg"]).removeprefix("Value error, ")
    path = ".".join(str(part) for part in error["loc"])
    name = "RETRAIN_" + "_".join(str(part).upper() for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{path}: there is no such setting (docs/settings.md lists them)"
    given = error["input"]
    # A whole group may hold a password, and a secret of the wrong type is still a secret.
    plain = isinstance(given, str | int | float) and error["loc"][-1] not in SECRET
    return f"{path} ({name}): {error['msg'].lower()}" + (f", not {given!r}" if plain else "")
