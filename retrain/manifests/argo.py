"""Small shapes that EventSources and Sensors share. Names and types are those of Argo Events' v1alpha1."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from retrain.events import JsonValue


class Shape(BaseModel):
    """What every part of these documents is: frozen, with camelCase names, and without unknown ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=False)


class KeySelector(Shape):
    """A key of a Secret or ConfigMap."""

    name: str = ""
    key: str = ""
    optional: bool = False


class ObjectMeta(Shape):
    """Kubernetes' ObjectMeta. What only the API server writes is taken as it is."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: list[str] | None = None
    owner_references: JsonValue = None
    managed_fields: JsonValue = None
    creation_timestamp: JsonValue = None
    deletion_timestamp: JsonValue = None
    deletion_grace_period_seconds: int | None = None
    generation: int | None = None
    resource_version: str = ""
    self_link: str = ""
    uid: str = ""
