"""What a pydantic model allows at a path: which fields stand there, and where else a name would be right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, RootModel

from retrain.manifests.document import Path

Model = type[BaseModel]


def fields_of(model: Model) -> dict[str, Any]:
    """The names a user writes, with their annotations."""
    return {
        info.validation_alias if isinstance(info.validation_alias, str) else info.alias or name: info.annotation
        for name, info in model.model_fields.items()
    }


def models_at(root: Model, path: Path) -> list[Model]:
    """The models that a value at `path` may be read as; none where the path leaves the models."""
    return [a for a in annotations_at(root, path) if isinstance(a, type) and issubclass(a, BaseModel)]


def annotations_at(root: Model, path: Path) -> list[Any]:
    """The types, without unions and optionals, that a value at `path` may have."""
    current: list[Any] = [root]
    for step in path:
        current = [alternative for a in current for inner in _step(a, step) for alternative in alternatives(inner)]
    return current


def alternatives(annotation: Any) -> Iterator[Any]:
    """The members of a union, without None; the annotation itself if it is none."""
    origin = get_origin(annotation)
    if hasattr(annotation, "__value__"):  # a `type` alias
        yield from alternatives(annotation.__value__)
    elif isinstance(annotation, type) and issubclass(annotation, RootModel):
        yield from alternatives(annotation.model_fields["root"].annotation)
    elif origin is Annotated:
        yield from alternatives(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from alternatives(member)
    elif annotation is not NoneType:
        yield annotation


def nested(model: Model, depth: int) -> Iterator[tuple[tuple[str, ...], Model]]:
    """The models below a model with the field names that lead there, nearest first. Lists and maps are not entered."""
    level: list[tuple[tuple[str, ...], Model]] = [((), model)]
    for _ in range(depth):
        level = [
            ((*path, name), inner)
            for path, outer in level
            for name, annotation in fields_of(outer).items()
            for inner in alternatives(annotation)
            if isinstance(inner, type) and issubclass(inner, BaseModel)
        ]
        yield from level


def names_of(models: Iterable[Model]) -> list[str]:
    """The field names of several models, each once, in order."""
    return list(dict.fromkeys(name for model in models for name in fields_of(model)))


def _step(annotation: Any, step: str | int) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = fields_of(annotation)
        return [fields[step]] if isinstance(step, str) and step in fields else []
    arguments = get_args(annotation)
    if not arguments:
        return []
    if isinstance(step, int):
        return [argument for argument in arguments if argument is not ...][:1]
    return list(arguments[-1:]) if len(arguments) == 2 else []
