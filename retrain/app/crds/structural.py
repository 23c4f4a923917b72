"""A JSON schema as the structural schema that a Kubernetes API server takes. Pure.

The server knows less than JSON Schema: no references, no unions but of integer and text, no types below `anyOf`. What
it cannot say is left open there (`x-kubernetes-preserve-unknown-fields`) and judged by whoever reads the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

Schema = dict[str, Any]

OPEN = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
DEEPEST = 2
"""How often a definition may stand inside itself: deeper ones are left open."""
_KEPT = (
    *("minimum", "maximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems"),
    *("minProperties", "maxProperties", "enum", "required"),
)
_PYTHON = re.compile(r"\(\?|\\[ZA]|\\[dwsDWSbB]?\[\^|\\u")
"""What Go's regular expressions do not have, or read otherwise."""


def structural(schema: Mapping[str, Any], open_ones: frozenset[str] = frozenset()) -> Schema:
    """The schema of a whole document. `open_ones`: definitions in which other fields may stand, too."""
    definitions = cast("dict[str, Schema]", dict(schema.get("$defs") or {}))
    for name in open_ones & definitions.keys():
        definitions[name] = {**definitions[name], "additionalProperties": True}
    return _node(schema, definitions, ())


def _node(schema: Mapping[str, Any], definitions: Mapping[str, Schema], within: tuple[str, ...]) -> Schema:
    if (reference := schema.get("$ref")) is not None:
        return _referred(str(reference), schema, definitions, within)
    if (several := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")) is not None:
        return _described(_union(several, definitions, within), schema)
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]], "type": schema.get("type", "string")}
    kind = schema.get("type")
    if not isinstance(kind, str):
        return _described({OPEN: True}, schema)
    found: Schema = {"type": kind, **{name: schema[name] for name in _KEPT if name in schema}}
    found |= _bounds(schema)
    if kind == "object":
        found |= _members(schema, definitions, within)
    elif kind == "array":
        found["items"] = _node(schema.get("items") or {}, definitions, within)
    elif schema.get("format") == "date-time":
        found["format"] = "date-time"
    if "pattern" in schema and not _PYTHON.search(schema["pattern"]):
        found["pattern"] = schema["pattern"]
    return _described(found, schema)


def _referred(
    reference: str, schema: Mapping[str, Any], definitions: Mapping[str, Schema], within: tuple[str, ...]
) -> Schema:
    name = reference.rpartition("/")[2]
    if within.count(name) >= DEEPEST:
        return {"type": "object", OPEN: True}
    return _described(_node(definitions[name], definitions, (*within, name)), schema)


def _members(schema: Mapping[str, Any], definitions: Mapping[str, Schema], within: tuple[str, ...]) -> Schema:
    properties = cast("dict[str, Schema]", schema.get("properties") or {})
    more = schema.get("additionalProperties", not properties)
    if properties:
        named = {name: _node(one, definitions, within) for name, one in properties.items()}
        return {"properties": named, **({OPEN: True} if more else {})}
    if isinstance(more, dict) and more:
        return {"additionalProperties": _node(cast("Schema", more), definitions, within)}
    return {OPEN: True} if more else {}


def _union(several: Iterable[Schema], definitions: Mapping[str, Schema], within: tuple[str, ...]) -> Schema:
    """One schema that fits all members: their own where they are alike, else as much as can be said."""
    members = [one for one in several if one.get("type") != "null"]
    nullable = {"nullable": True} if len(members) < len(list(several)) else {}
    found = [_node(one, definitions, within) for one in members]
    types = {one.get("type") for one in found}
    if len(found) == 1:
        return {**found[0], **nullable}
    if types == {"string"}:
        return {"type": "string", **nullable}
    if types == {"integer", "string"}:
        return {INT_OR_STRING: True, **nullable}
    if types == {"object"}:
        return {**_merged(found), **nullable}
    return {OPEN: True, **nullable}


def _merged(members: list[Schema]) -> Schema:
    """An object that may be any of several: all fields of all of them; one that they read otherwise is left open."""
    if not all("properties" in one for one in members):
        return {"type": "object", OPEN: True}
    properties: Schema = {}
    for one in members:
        for name, schema in one["properties"].items():
            known = properties.setdefault(name, schema)
            properties[name] = known if known == schema else _either(known, schema)
    required = set.intersection(*(set(one.get("required") or ()) for one in members))
    merged: Schema = {"type": "object", "properties": properties}
    merged |= {"required": sorted(required)} if required else {}
    return merged | ({OPEN: True} if any(OPEN in one for one in members) else {})


def _either(one: Schema, other: Schema) -> Schema:
    if one.get("type") == other.get("type") == "string":
        values = [*one.get("enum", ()), *other.get("enum", ())] if "enum" in one and "enum" in other else []
        return {"type": "string", **({"enum": list(dict.fromkeys(values))} if values else {})}
    return {OPEN: True}


def _bounds(schema: Mapping[str, Any]) -> Schema:
    found: Schema = {}
    for word, name in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(word), int | float) and not isinstance(schema[word], bool):
            found |= {name: schema[word], word: True}
    return found


def _described(found: Schema, schema: Mapping[str, Any]) -> Schema:
    text = schema.get("description")
    return {**found, "description": " ".join(str(text).split())} if text else found
