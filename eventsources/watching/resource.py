"""The resource source: what becomes of objects of a Kubernetes API. What a user writes, and which objects are meant.

resource_source.py runs it, retrain/kube/ speaks to the API server.
Source of payload, fields and filters: pkg/eventsources/sources/resource of Argo Events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson
import re2
from pydantic import Field

from eventsources.fields import Filter, Limits, Path, check_regexp, check_secret, only_ours
from retrain.errors import ConfigError
from retrain.events import parse_time
from retrain.expressions.paths import compile_path
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

ADD, UPDATE, DELETE = "ADD", "UPDATE", "DELETE"
TYPES = (ADD, UPDATE, DELETE)
LABELS = ("=", "==", "!=", "in", "notin", "exists", "!", "gt", "lt")
FIELDS = ("=", "==", "!=")


class Selector(Shape):
    """A condition on a label or a field. `operation` empty is `==`."""

    key: str = ""
    operation: str = ""
    value: str = ""


class ResourceFilter(Filter):
    """Which objects are meant. `expression` is of retrain.dev/v1.

    `prefix` of the name; `labels` are asked of the server, `fields` (gjson path and regular expression) are looked at
    here. `created_by`: only objects that were created by then. `after_start`: not those that were there at the very
    first start.
    """

    prefix: str = ""
    labels: tuple[Selector, ...] = ()
    fields_: tuple[Selector, ...] = Field(default=(), alias="fields")
    created_by: str | None = None
    after_start: bool = False


class Resource(Shape):
    """Objects of one kind, in one namespace or (left out) in all. `kubeconfig` and `limits` are of retrain.dev/v1.

    `event_types`: ADD, UPDATE, DELETE. `kubeconfig`: a secret that holds one; else the platform's own is used.
    """

    namespace: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    event_types: tuple[str, ...] = ()
    filter: ResourceFilter | None = None
    kubeconfig: KeySelector | None = None
    metadata: dict[str, str] = {}
    limits: Limits | None = None


def check(path: Path, spec: Resource, ours: bool) -> Iterator[Problem]:
    """What is wrong with one resource source."""
    for name, value in (("version", spec.version), ("resource", spec.resource)):
        if not value:
            yield Problem(path, "missing-field", f"{name} is missing, such as version: v1, resource: configmaps")
    if not spec.event_types and not ours:
        yield Problem(path, "missing-field", f"eventTypes is missing; it is a list of {', '.join(TYPES)}")
    for index, word in enumerate(spec.event_types):
        if word not in TYPES:
            yield Problem((*path, "eventTypes", index), "wrong-value", f"{word!r} is none of {', '.join(TYPES)}")
    yield from only_ours(path, spec, ("kubeconfig",), ours=ours)
    yield from check_secret((*path, "kubeconfig"), spec.kubeconfig)
    if spec.filter is not None:
        yield from _check_filter((*path, "filter"), spec.filter)


def _check_filter(path: Path, filter: ResourceFilter) -> Iterator[Problem]:
    for name, selectors, known in (("labels", filter.labels, LABELS), ("fields", filter.fields_, FIELDS)):
        for index, one in enumerate(selectors):
            at = (*path, name, index)
            if not one.key:
                yield Problem(at, "missing-field", "key is missing")
            if one.operation and one.operation not in known:
                message = f"operation {one.operation!r} is none of {', '.join(known)}"
                yield Problem((*at, "operation"), "wrong-value", message)
    for index, one in enumerate(filter.fields_):
        yield from check_regexp((*path, "fields", index, "value"), one.value)
        try:
            compile_path(one.key)
        except ConfigError as error:
            yield Problem((*path, "fields", index, "key"), "wrong-value", str(error))
    if filter.created_by is not None:
        try:
            parse_time(filter.created_by)
        except ValueError:
            message = f"createdBy {filter.created_by!r} is no time such as 2026-11-20T12:00:00Z"
            yield Problem((*path, "createdBy"), "wrong-value", message)


def label_selector(labels: tuple[Selector, ...]) -> str:
    """The conditions as the API server takes them."""
    return ",".join(_requirement(one) for one in labels)


def _requirement(one: Selector) -> str:
    match one.operation or "==":
        case "exists":
            return one.key
        case "!":
            return f"!{one.key}"
        case "in" | "notin" as operation:
            return f"{one.key} {operation} ({one.value})"
        case "gt":
            return f"{one.key}>{one.value}"
        case "lt":
            return f"{one.key}<{one.value}"
        case "!=":
            return f"{one.key}!={one.value}"
        case _:
            return f"{one.key}={one.value}"


class Meant:
    """Which objects are meant, as far as the server does not choose them.

    `ours`: a field that is a number or true or false is compared as it is written; in Argo Events it is empty text.
    """

    def __init__(self, filter: ResourceFilter | None, *, ours: bool) -> None:
        filter = filter or ResourceFilter()
        self._prefix = filter.prefix
        self._until: datetime | None = parse_time(filter.created_by) if filter.created_by else None
        self._fields = [_field(one, ours=ours) for one in filter.fields_]

    def metadata(self, metadata: Mapping[str, Any]) -> bool:
        """Whether an object with this metadata may be meant."""
        if not str(metadata.get("name", "")).startswith(self._prefix):
            return False
        return self._until is None or parse_time(str(metadata["creationTimestamp"])) <= self._until

    def fields(self, body: Mapping[str, Any]) -> bool:
        """Whether its fields are as they are to be."""
        if not self._fields:
            return True
        text = orjson.dumps(body).decode()
        return all(holds(text) for holds in self._fields)


def _field(one: Selector, *, ours: bool) -> Callable[[str], bool]:
    path, pattern, wanted = compile_path(one.key), re2.compile(one.value), one.operation != "!="

    def holds(document: str) -> bool:
        found = path.get(document)
        if found is None:
            return False
        text = found.text() if ours or found.kind == "string" else ""
        return (pattern.search(text) is not None) == wanted

    return holds
