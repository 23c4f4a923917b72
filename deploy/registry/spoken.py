"""What an MLflow server's answers say, as far as it is asked here. Pure.

Source: https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from retrain.errors import Permanent
from retrain.events import JsonValue

EVALUATED = frozenset({"eval", "evaluation", "test", "testing", "validation", "holdout"})
"""Contexts of a run's data set that mean: this is what the metrics were measured on."""
CONTEXT = "mlflow.data.context"


@dataclass(frozen=True, slots=True)
class Version:
    """A model version. `source`: where it was registered from, such as `models:/m-...`; `uri`: where its files lie."""

    model: str
    version: str
    source: str
    run_id: str
    status: str
    aliases: frozenset[str]
    tags: Mapping[str, str]
    uri: str = ""

    @property
    def logged_model(self) -> str | None:
        """The id of the logged model that it is, as MLflow 3 registers them."""
        scheme, _, name = self.source.partition(":/")
        return name if scheme == "models" and name.startswith("m-") and "/" not in name else None


@dataclass(frozen=True, slots=True)
class Run:
    """The run that made it. `dataset`: `name@digest` of what it was evaluated on, None where that is not one."""

    run_id: str = ""
    artifacts: str = ""
    metrics: Mapping[str, JsonValue] = field(default_factory=dict)
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    dataset: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder. `path`: as the listing has it."""

    path: str
    folder: bool


def version_of(body: JsonValue) -> Version:
    """A version, from `{"model_version": {...}}`.

    Raises:
        Permanent: it is no answer of MLflow's.
    """
    one = _object(_object(body, "the answer").get("model_version"), "model_version")
    aliases = one.get("aliases")
    return Version(
        model=_text(one, "name"),
        version=str(one.get("version") or ""),
        source=str(one.get("source") or ""),
        run_id=str(one.get("run_id") or ""),
        status=str(one.get("status") or "READY"),
        aliases=frozenset(map(str, cast("list[Any]", aliases))) if isinstance(aliases, list) else frozenset(),
        tags=_pairs(one.get("tags")),
    )


def run_of(body: JsonValue) -> Run:
    """A run, from `{"run": {...}}`.

    Raises:
        Permanent: it is no answer of MLflow's.
    """
    one = _object(_object(body, "the answer").get("run"), "run")
    info, data = _object(one.get("info"), "run.info"), _maybe(one.get("data"))
    return Run(
        run_id=_text(info, "run_id"),
        artifacts=str(info.get("artifact_uri") or ""),
        metrics=metrics_of(data),
        parameters={**_pairs(data.get("params"))},
        dataset=_dataset(_maybe(one.get("inputs"))),
    )


def metrics_of(data: Mapping[str, Any]) -> dict[str, JsonValue]:
    """The metrics of a run or of a logged model: the newest value of each."""
    return {str(one["key"]): one.get("value") for one in _objects(data.get("metrics")) if "key" in one}


def listing_of(body: JsonValue) -> list[Entry]:
    """What a folder of artifacts holds.

    Raises:
        Permanent: a path leads out of it.
    """
    found: list[Entry] = []
    for one in _objects(_maybe(body).get("files")):
        path = str(one.get("path") or "")
        if not path or path.startswith("/") or "\\" in path or any(part in {"", ".", ".."} for part in path.split("/")):
            raise Permanent(f"MLflow lists a file {path[:200]!r}, which is no path in a model")
        found.append(Entry(path, bool(one.get("is_dir"))))
    return found


def _dataset(inputs: Mapping[str, Any]) -> str | None:
    """The one data set that the run was evaluated on. Two are none: nobody could say whose figures these are."""
    found = [
        _maybe(one.get("dataset"))
        for one in _objects(inputs.get("dataset_inputs"))
        if _pairs(one.get("tags")).get(CONTEXT, "").lower() in EVALUATED
    ]
    names = {f"{one.get('name') or ''}@{one.get('digest') or ''}" for one in found if one.get("digest")}
    return names.pop()[:500] if len(names) == 1 else None


def _pairs(value: Any) -> dict[str, str]:
    return {str(one["key"]): str(one.get("value") or "") for one in _objects(value) if "key" in one}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    given = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("Mapping[str, Any]", one) for one in given if isinstance(one, Mapping)]


def _maybe(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Permanent(f"MLflow's answer lacks {what}; is registry.mlflow.url the server's address?")
    return cast("Mapping[str, Any]", value)


def _text(one: Mapping[str, Any], name: str) -> str:
    value = one.get(name)
    if not isinstance(value, str) or not value:
        raise Permanent(f"MLflow's answer lacks {name!r}; is registry.mlflow.url the server's address?")
    return value
