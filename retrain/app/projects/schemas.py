"""JSON schemas of all kinds of document, made from the models that read them.

`python -m retrain.app.projects.schemas DIR` writes one file for each kind, for editors: the yaml-language-server takes
the one that a file's first line names. A test holds the files in docs/schemas to the models.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from deploy.record import SCHEMA, Record
from retrain.app.projects.catalog import KINDS

_SAME = {"oneOf": "anyOf"}
"""A gate of ours fits the shape that a plugin's may have, too: that more than one fits is no mistake."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """(file name, schema) of each kind that we read."""
    for (version, kind), reader in KINDS.items():
        if reader.module is None:
            continue
        model = cast("type[BaseModel]", getattr(import_module(reader.module), reader.model))
        schema = model.model_json_schema(by_alias=True)
        schema["properties"]["apiVersion"] = {"const": version}
        schema["properties"]["kind"] = {"const": kind}
        schema["required"] = sorted({*schema.get("required", ()), "apiVersion", "kind"})
        body = {"$schema": DIALECT, "title": f"{kind} of {version}", **_plain(schema)}
        yield f"{kind.lower()}.{version.replace('/', '.')}.json", body
    yield "promotion-record.v1.json", {"$schema": DIALECT, "title": SCHEMA, **_plain(_record())}


def _record() -> dict[str, Any]:
    """Of the record file that promotions leave in deployment repositories. Its version is the end of its `schema`."""
    schema = Record.model_json_schema(by_alias=True)
    schema["properties"]["schema"] = {"const": SCHEMA}
    return schema


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Without the titles that pydantic makes of field names: they say nothing that the names do not say."""
    drop = {"title", "default"} if "type" in schema or "anyOf" in schema or "$ref" in schema else {"title"}
    return {
        _SAME.get(name, name): _named(value) if name in {"properties", "$defs"} else _inner(value)
        for name, value in schema.items()
        if name not in drop or isinstance(value, dict)
    }


def _named(members: dict[str, Any]) -> dict[str, Any]:
    return {name: _inner(one) for name, one in members.items()}


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return _plain(cast("dict[str, Any]", value))
    return [_inner(one) for one in cast("list[Any]", value)] if isinstance(value, list) else value


def write(folder: Path) -> list[Path]:
    """Write them all; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for name, schema in schemas():
        files.append(folder / name)
        files[-1].write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n")
    return files


if __name__ == "__main__":
    for file in write(Path(sys.argv[1])):
        print(file)  # noqa: T201 - what a command says
