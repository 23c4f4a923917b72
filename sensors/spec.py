"""What a user writes as a Sensor: `argoproj.io/v1alpha1` as Argo Events has it; `retrain.dev/v1`, which adds to it.

One model serves both. Lists and names may be missing as far as the model goes; `check` says what is wrong with them,
and refuses by name (`unsupported-kind`) what is known and not built yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pipelines.engines import ENGINE, ENGINES
from retrain.events import JsonValue
from retrain.manifests import Problem
from retrain.manifests.argo import ObjectMeta, Shape
from sensors.checks.sensor import Scope, check_dependencies, check_triggers
from sensors.dependency_spec import Dependency
from sensors.trigger_spec import Trigger

ARGO = "argoproj.io/v1alpha1"
STARTS = ("now", "earliest")
_OF_PODS = ("template", "replicas", "revisionHistoryLimit")
_DEAD = {"errorOnFailedRound": "error_on_failed_round", "loggingFields": "logging_fields"}
Mode = Literal["active", "shadow", "suspended"]
MODES: dict[str, Mode] = {"active": "active", "shadow": "shadow", "suspended": "suspended"}
MODE = "retrain.dev/mode"
"""The annotation that is a Sensor's mode where it is of Argo Events, which does not read it: so that a Sensor can be
taken over without acting yet, and without a change of what it says."""


class SensorSpec(Shape):
    """`mode`, `start` and `priority` are of retrain.dev/v1. `template`, `replicas` and such tell of Argo's pods: unused
    here. `mode` shadow decides and acts on nothing; suspended takes no events and goes on from its place later."""

    dependencies: tuple[Dependency, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    event_bus_name: str = ""
    template: dict[str, JsonValue] | None = None
    replicas: int | None = None
    revision_history_limit: int | None = None
    error_on_failed_round: bool = False
    logging_fields: dict[str, str] | None = None
    mode: Mode | None = None
    start: Literal["now", "earliest"] | AwareDatetime | None = None
    priority: int | None = Field(default=None, ge=-1000, le=1000)


class SensorDocument(BaseModel):
    """A whole Sensor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    apiVersion: str
    kind: str
    metadata: ObjectMeta = ObjectMeta()
    spec: SensorSpec
    status: JsonValue = None

    @property
    def name(self) -> str:
        """What the sensor is known by."""
        return self.metadata.name

    @property
    def ours(self) -> bool:
        """Whether it is a retrain.dev/v1 one, with what only that has."""
        return self.apiVersion != ARGO

    @property
    def mode(self) -> Mode:
        """Whether it acts: as its spec says, of Argo Events' its annotation."""
        if self.ours:
            return self.spec.mode or "active"
        return MODES.get((self.metadata.annotations or {}).get(MODE, ""), "active")

    @property
    def engine(self) -> str | None:
        """Who is to run the workflows of its firings that do not say it themselves; None: it does not say."""
        return (self.metadata.annotations or {}).get(ENGINE)


def check(document: SensorDocument) -> Iterator[Problem]:
    """What is wrong with a Sensor that has the right shape."""
    spec = document.spec
    scope = Scope(document.ours, spec.dependencies)
    yield from _check_fields(document)
    yield from _check_mode(document)
    yield from _check_engine(document)
    yield from check_dependencies(spec.dependencies, scope)
    yield from check_triggers(spec.triggers, scope)


def _check_fields(document: SensorDocument) -> Iterator[Problem]:
    spec = document.spec
    written = {str(SensorSpec.model_fields[name].alias) for name in spec.model_fields_set}
    for name in _OF_PODS:
        if document.ours and name in written:
            message = f"{name} tells Argo Events of its pods; there are none here, so it changes nothing"
            yield Problem(("spec", name), "ignored-field", message, "warning")
    for name, field in _DEAD.items():
        if getattr(spec, field):  # Argo Events' controller writes `loggingFields: null` into every Sensor
            message = f"{name} has no effect, nor has it in Argo Events"
            yield Problem(("spec", name), "ignored-field", message, "warning")
    for name in ("mode", "start", "priority"):
        if name in written and not document.ours:
            message = f"{name} is a field of retrain.dev/v1; under {ARGO} it changes nothing"
            yield Problem(("spec", name), "unknown-field", message, "warning")


def _check_mode(document: SensorDocument) -> Iterator[Problem]:
    written = (document.metadata.annotations or {}).get(MODE)
    path = ("metadata", "annotations", MODE)
    if written is not None and document.ours:
        yield Problem(path, "ignored-field", f"{MODE} is for {ARGO}; here spec.mode says it", "warning")
    elif written is not None and written not in MODES:
        yield Problem(path, "wrong-value", f"{MODE} is one of {', '.join(MODES)}, not {written!r}")


def _check_engine(document: SensorDocument) -> Iterator[Problem]:
    if document.engine is not None and document.engine not in ENGINES:
        message = f"{ENGINE} is one of {', '.join(ENGINES)}, not {document.engine!r}"
        yield Problem(("metadata", "annotations", ENGINE), "wrong-value", message)
