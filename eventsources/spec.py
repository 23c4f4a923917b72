"""What a user writes as an EventSource: `argoproj.io/v1alpha1` as Argo Events has it, or `retrain.dev/v1`.

One model serves both. `check` says what is wrong with a document of the right shape, and refuses by name
(`unsupported-kind`, `unsupported-field`) what is known and not built yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from eventsources.checking import check_file, check_filter, check_minio, check_plugged, check_webhook
from eventsources.shapes import File, Minio, Webhook
from retrain.events import JsonValue
from retrain.manifests import Pluggable, Problem
from retrain.manifests.argo import ObjectMeta, Shape

ARGO = "argoproj.io/v1alpha1"
_OF_PODS = ("template", "service", "replicas", "eventBusName")
Loose = dict[str, JsonValue]

BUILT = ("webhook", "file", "minio")
"""The kinds of which the spec knows every field; `eventsources.KINDS` runs them."""


class EventSourceSpec(Shape, Pluggable):
    """One map for each kind of source, by event name. `template`, `service` and such tell of pods: unused here.

    A kind may be a plugin's, also one that Argo Events has and that is not built here.
    """

    built_in: ClassVar[frozenset[str]] = frozenset({*BUILT, *_OF_PODS})

    webhook: dict[str, Webhook] = {}
    file: dict[str, File] = {}
    minio: dict[str, Minio] = {}

    amqp: Loose = {}
    azure_events_hub: Loose = {}
    azure_queue_storage: Loose = {}
    azure_service_bus: Loose = {}
    bitbucket: Loose = {}
    bitbucketserver: Loose = {}
    calendar: Loose = {}
    emitter: Loose = {}
    generic: Loose = {}
    gerrit: Loose = {}
    github: Loose = {}
    gitlab: Loose = {}
    hdfs: Loose = {}
    kafka: Loose = {}
    mns: Loose = {}
    mqtt: Loose = {}
    nats: Loose = {}
    nsq: Loose = {}
    pub_sub: Loose = {}
    pulsar: Loose = {}
    redis: Loose = {}
    redis_stream: Loose = {}
    resource: Loose = {}
    sftp: Loose = {}
    slack: Loose = {}
    sns: Loose = {}
    sqs: Loose = {}
    storage_grid: Loose = {}
    stripe: Loose = {}

    event_bus_name: str = ""
    replicas: int | None = None
    service: JsonValue = None
    template: JsonValue = None

    def entries(self, kind: str) -> dict[str, Any]:
        """The sources of one kind that is built or a plugin's, by event name: each as its kind's own model has it."""
        if (plugged := self.plugged.get(kind)) is None:
            return getattr(self, kind)
        named = plugged.body if isinstance(plugged.body, dict) else {}
        return {name: plugged.read(body) for name, body in named.items()}

    @property
    def runnable(self) -> tuple[str, ...]:
        """The kinds that can run."""
        return (*BUILT, *self.plugged)


class EventSourceDocument(BaseModel):
    """A whole EventSource."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    api_version: str = Field(alias="apiVersion")
    kind: str
    metadata: ObjectMeta = ObjectMeta()
    spec: EventSourceSpec
    status: JsonValue = None

    @property
    def name(self) -> str:
        """What events carry as their source."""
        return self.metadata.name

    @property
    def ours(self) -> bool:
        """Whether it is a retrain.dev/v1 one, with what only that has."""
        return self.api_version != ARGO


_ALIASES = {str(field.alias): name for name, field in EventSourceSpec.model_fields.items()}
KNOWN = tuple(alias for alias in _ALIASES if alias not in _OF_PODS)
"""Every kind that Argo Events has."""


def check(document: EventSourceDocument) -> Iterator[Problem]:
    """What is wrong with an EventSource that has the right shape."""
    spec = document.spec
    if not document.name:
        yield Problem(("metadata",), "missing-field", "metadata.name is missing; events carry it as their source")
    yield from check_plugged(spec.plugged.values())
    entries = {kind: getattr(spec, _ALIASES[kind]) for kind in KNOWN}
    entries |= {kind: one.body for kind, one in spec.plugged.items() if isinstance(one.body, dict)}
    if not any(entries.values()):
        yield Problem(("spec",), "missing-field", "spec names no event source: add one, such as webhook or minio")
    yield from _check_pods(document)
    yield from _check_names(entries)
    for kind, named in entries.items():
        if named and kind not in spec.runnable:
            yield Problem(("spec", kind), "unsupported-kind", f"eventSource kind {kind!r} is not built yet")
    yield from check_webhook(spec.webhook)
    for name, file in spec.file.items():
        yield from check_filter(("spec", "file", name), file.filter)
        yield from check_file(("spec", "file", name), file, ours=document.ours)
    for name, minio in spec.minio.items():
        yield from check_minio(("spec", "minio", name), minio, ours=document.ours)


def _check_pods(document: EventSourceDocument) -> Iterator[Problem]:
    written = {str(EventSourceSpec.model_fields[name].alias) for name in document.spec.model_fields_set}
    for name in _OF_PODS:
        if document.ours and name in written:
            message = f"{name} tells Argo Events of its pods; there are none here, so it changes nothing"
            yield Problem(("spec", name), "ignored-field", message, "warning")


def _check_names(entries: dict[str, dict[str, JsonValue]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for kind, named in entries.items():
        for name in named:
            if not name:
                yield Problem(("spec", kind, name), "wrong-value", "an event's name must not be empty")
            other = first.setdefault(name, kind)
            if other != kind:
                message = f"event name {name!r} is taken by {other}; names are unique over all kinds of one EventSource"
                yield Problem(("spec", kind, name), "duplicate-name", message)
