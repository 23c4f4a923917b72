"""What the cells of a sensor rest on: a digest of each part of its spec, as far as that matters to its cells.

A shape is kept with the cells. Parts with the same digest keep theirs when the spec changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

import orjson

from retrain.events import JsonValue
from sensors import dependency_spec, trigger_spec
from sensors.core.cells import TRIGGER as OF_TRIGGER
from sensors.dependency_spec import Dependency
from sensors.spec import SensorDocument
from sensors.trigger_spec import Trigger

Shape = dict[str, JsonValue]
"""{"v": 1, "dependencies"|"triggers"|"dedupes"|"silences"|"limits": {name: digest}}. JSON."""

TABLES = ("dependencies", "triggers", "dedupes", "silences", "limits")
MOST_GONE = 200
"""Parts that are gone and remembered, of each kind."""


def without_foreign(document: SensorDocument) -> SensorDocument:
    """Under Argo Events' name the fields of retrain.dev/v1 mean nothing."""
    if document.ours:
        return document
    spec = document.spec
    dependencies = tuple(one.model_copy(update=dict.fromkeys(dependency_spec.OURS)) for one in spec.dependencies)
    triggers = tuple(_without_ours(one) for one in spec.triggers)
    nothing: dict[str, Any] = {"mode": None, "start": None, "priority": None}
    changed = spec.model_copy(update={"dependencies": dependencies, "triggers": triggers, **nothing})
    return document.model_copy(update={"spec": changed})


def _without_ours(trigger: Trigger) -> Trigger:
    nothing: dict[str, Any] = dict.fromkeys(trigger_spec.OURS) | {"ordered": False}
    if trigger.rate_limit is not None:
        nothing["rate_limit"] = trigger.rate_limit.model_copy(update={"mode": None})
    return trigger.model_copy(update=nothing)


def shape_of(document: SensorDocument, names: Mapping[str, tuple[str, ...]]) -> Shape:
    """The shape of a sensor. `names`: the dependencies of each trigger."""
    written = {one.name: one for one in document.spec.dependencies}
    dependencies = {name: _digest(_of_dependency(one)) for name, one in written.items()}
    triggers: dict[str, str] = {}
    silences = {name: _digest(_json(one.absent)) for name, one in written.items() if one.absent is not None}
    limits: dict[str, str] = {}
    for one in document.spec.triggers:
        name = one.template.name if one.template is not None else ""
        rest = {about: dependencies[about] for about in names[name]}
        triggers[name] = _digest([_of_trigger(one), rest])
        limits[name] = _digest([_json(getattr(one, field)) for field in _LIMITS])
        if one.absent is not None:
            silences[OF_TRIGGER + name] = _digest(_json(one.absent))
    dedupes = {name: _digest(_of_dedupe(one)) for name, one in written.items() if one.dedupe is not None}
    tables = (dependencies, triggers, dedupes, silences, limits)
    return {"v": 1, **dict(zip(TABLES, tables, strict=True))}


_LIMITS = ("schedule", "concurrency", "cooldown", "rate_limit", "budget")
_ADDRESS = ("event_source_name", "event_name", "transform")
_OF_DEPENDENCY = (*_ADDRESS, "filters", "filters_logical_operator", "key", "window")
_OF_TRIGGER = ("window", "sequence")


def _of_dependency(one: Dependency) -> JsonValue:
    return [*(_json(getattr(one, field)) for field in _OF_DEPENDENCY), one.absent is not None]


def _of_dedupe(one: Dependency) -> JsonValue:
    key = None if one.dedupe is None else one.dedupe.key or one.key
    return [*(_json(getattr(one, field)) for field in _ADDRESS), _json(key)]


def _of_trigger(one: Trigger) -> JsonValue:
    template = one.template
    condition = None if template is None else template.conditions
    resets = () if template is None else template.conditions_reset
    return [*(_json(getattr(one, field)) for field in _OF_TRIGGER), condition, _json(resets), one.absent is not None]


def _json(value: Any) -> JsonValue:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return [_json(one) for one in value] if isinstance(value, tuple) else value


def _digest(value: JsonValue) -> str:
    return sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def merge(own: Shape, previous: Shape | None) -> Shape:
    """A shape with what the one before says of parts that are gone."""
    merged: Shape = {"v": 1}
    for table in TABLES:
        gone = {name: digest for name, digest in table_of(previous, table).items() if name not in own[table]}
        merged[table] = dict(list(gone.items())[-MOST_GONE:]) | own[table]
    return merged


def table_of(shape: Shape | None, name: str) -> dict[str, str]:
    return cast("dict[str, str]", (shape or {}).get(name) or {})
