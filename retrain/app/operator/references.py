"""Which Secrets and ConfigMaps a document names, found by its model: only those are ever read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import BaseModel

from retrain.manifests.shape import Model, alternatives, fields_of

CONFIG = frozenset({"configmap", "configMapKeyRef"})
"""Fields that name a key of a ConfigMap. Every other selector names one of a Secret."""
SELECTOR = frozenset({"name", "key"})

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A Secret or ConfigMap that a document names, and where."""

    kind: Literal["Secret", "ConfigMap"]
    name: str
    path: Path


def references(body: Mapping[str, Any], model: Model) -> tuple[Reference, ...]:
    """All that a document names. An object that a trigger creates is not looked into: what it names is the cluster's
    to read."""
    return tuple(_in(body, (model,), ()))


def _in(value: Any, types: tuple[Any, ...], path: Path) -> Iterator[Reference]:
    if isinstance(value, list):
        inner = tuple(argument for one in types for argument in _arguments(one)[:1])
        for index, member in enumerate(cast("list[Any]", value)):
            yield from _in(member, _alternatives(inner), (*path, index))
        return
    if not isinstance(value, dict) or not types:
        return
    body = cast("dict[str, Any]", value)
    if (found := _selected(body, types, path)) is not None:
        yield found
        return
    for name, member in body.items():
        yield from _in(member, _alternatives(tuple(_fields(types, name))), (*path, name))


def _selected(body: dict[str, Any], types: tuple[Any, ...], path: Path) -> Reference | None:
    """The selector that a mapping is, if its model is one: a name, a key, and perhaps whether it is optional."""
    for model in types:
        if isinstance(model, type) and issubclass(model, BaseModel):
            names = set(fields_of(model))
            if names >= SELECTOR and names <= SELECTOR | {"optional"}:
                name = body.get("name")
                kind = "ConfigMap" if path and path[-1] in CONFIG else "Secret"
                return Reference(kind, name, path) if isinstance(name, str) and name else None
    return None


def _fields(types: tuple[Any, ...], name: str) -> Iterator[Any]:
    for one in types:
        if isinstance(one, type) and issubclass(one, BaseModel):
            fields = fields_of(one)
            if name in fields:
                yield fields[name]
        elif len(arguments := _arguments(one)) == 2:
            yield arguments[1]


def _alternatives(annotations: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(inner for one in annotations for inner in alternatives(one))


def _arguments(annotation: Any) -> tuple[Any, ...]:
    from typing import get_args

    return tuple(one for one in get_args(annotation) if one is not ...)
