"""The project's documents as objects that steps find, with the values that the environment puts over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipelines.agents.objects import Body, Values


def given_objects(documents: Iterable[Body], references: Mapping[tuple[str, str], Values]) -> Iterator[Body]:
    """The documents; ConfigMaps and Secrets among them hold what `references` says, and those that only `references`
    knows are there too."""
    told = set[tuple[str, str]]()
    for document in documents:
        key = (str(document.get("kind")), str((document.get("metadata") or {}).get("name")))
        told.add(key)
        yield _holding(document, references[key]) if key in references else document
    for kind, name in references:
        if (kind, name) not in told:
            yield _holding({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}, references[kind, name])


def _holding(document: Body, values: Values) -> Body:
    match document.get("kind"):
        case "ConfigMap":
            return {**document, "data": dict(values)}
        case "Secret":
            bare: dict[str, Any] = {key: value for key, value in document.items() if key != "data"}
            return {**bare, "stringData": dict(values)}
        case _:
            return document
