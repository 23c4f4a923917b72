"""The CustomResourceDefinitions of retrain.dev, and those of Argo Events for clusters that never had it. Pure.

What can be said cheaply is refused by the API server already: other fields, wrong types, two kinds of trigger in one
template. The rest is said in an object's status, or before it is stored by the admission webhook.

Argo Events' own kinds take anything, as they do there: manifests that rely on it load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from retrain.app.crds.columns import COLUMNS, Column
from retrain.app.crds.status import status_schema
from retrain.app.crds.structural import OPEN, Schema, structural
from sensors.trigger_spec import KINDS as TRIGGER_KINDS

MOST = 100
"""Dependencies, and triggers, of one Sensor: the server wants to know how much a rule may cost."""


@dataclass(frozen=True, slots=True)
class Names:
    """How a kind is called. Those of argoproj.io are Argo Events' own."""

    group: str
    version: str
    kind: str
    plural: str
    short: tuple[str, ...]
    singular: str
    categories: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.plural}.{self.group}"


KINDS = (
    Names("argoproj.io", "v1alpha1", "EventBus", "eventbus", ("eb",), "eventbus"),
    Names("argoproj.io", "v1alpha1", "EventSource", "eventsources", ("es",), "eventsource"),
    Names("argoproj.io", "v1alpha1", "Sensor", "sensors", ("sn",), "sensor"),
    Names("retrain.dev", "v1", "EventSource", "eventsources", ("res",), "eventsource", ("retrain",)),
    Names("retrain.dev", "v1", "Promotion", "promotions", ("rpr",), "promotion", ("retrain",)),
    Names("retrain.dev", "v1", "Sensor", "sensors", ("rsn",), "sensor", ("retrain",)),
)
OPEN_ONES = frozenset({"Template", "EventSourceSpec"})
"""Definitions where a plugin's kind may stand beside ours."""


def definitions(schemas: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Schema]]:
    """(file name, CustomResourceDefinition) of each kind. `schemas`: the JSON schemas by their files' names."""
    for names in KINDS:
        schema = schemas.get(f"{names.kind.lower()}.{names.group}.{names.version}.json")
        yield f"{names.name}.yaml", _definition(names, schema if names.group == "retrain.dev" else None)


def _definition(names: Names, schema: Mapping[str, Any] | None) -> Schema:
    calls = {
        "kind": names.kind,
        "listKind": f"{names.kind}List",
        "plural": names.plural,
        "singular": names.singular,
        "shortNames": list(names.short),
    }
    version: Schema = {
        "name": names.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(one) for one in COLUMNS[names.kind]],
        "schema": {"openAPIV3Schema": _anything() if schema is None else _written(names, schema)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": names.name, "labels": {"app.kubernetes.io/part-of": "retrain"}},
        "spec": {
            "group": names.group,
            "scope": "Namespaced",
            "names": calls | ({"categories": list(names.categories)} if names.categories else {}),
            "versions": [version],
        },
    }


def _anything() -> Schema:
    whatever: Schema = {"type": "object", OPEN: True}
    properties: Schema = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    properties |= {"spec": dict(whatever), "status": dict(whatever)}
    return {"type": "object", "required": ["metadata", "spec"], "properties": properties}


def _written(names: Names, schema: Mapping[str, Any]) -> Schema:
    whole = structural(schema, OPEN_ONES)
    spec: Schema = whole["properties"]["spec"]
    _RULES[names.kind](spec)
    properties: Schema = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    properties |= {"spec": spec, "status": status_schema(names.kind)}
    described = {"description": whole["description"]} if "description" in whole else {}
    return {"type": "object", "required": ["metadata", "spec"], "properties": properties, **described}


def _column(one: Column) -> Schema:
    shown: Schema = {"name": one.name, "type": one.type, "jsonPath": one.path}
    return shown | ({"priority": 1} if one.wide else {}) | ({"description": one.about} if one.about else {})


# --- rules -----------------------------------------------------------------------------------------------------------


def _rule_event_source(spec: Schema) -> None:
    spec["minProperties"] = 1


def _rule_sensor(spec: Schema) -> None:
    properties = spec["properties"]
    spec["required"] = ["dependencies", "triggers"]
    for name in ("dependencies", "triggers"):
        properties[name] |= {"minItems": 1, "maxItems": MOST}
    template: Schema = properties["triggers"]["items"]["properties"]["template"]
    named = ", ".join(f"has(self.{kind})" for kind in TRIGGER_KINDS.values())
    rules = [
        _rule(f"[{named}].filter(one, one).size() <= 1", "a template has one kind of trigger, not several"),
        _rule("has(self.name) && self.name != ''", "a template has a name"),
    ]
    template["x-kubernetes-validations"] = rules
    template["properties"]["name"] |= {"maxLength": 253}


def _rule_promotion(spec: Schema) -> None:
    several = "has(self.environment) != has(self.environments)"
    spec["x-kubernetes-validations"] = [_rule(several, "write environment, or environments, not both")]


def _rule(rule: str, message: str) -> Schema:
    return {"rule": rule, "message": message}


_RULES = {"EventSource": _rule_event_source, "Sensor": _rule_sensor, "Promotion": _rule_promotion}
