"""What a run was given and what it measured, by names that people ask for: `param:lr`, `metric:accuracy`, ... Pure.

    param:NAME     an argument of the workflow
    metric:NAME    a number: an output of the run, else one of its evaluation (`evaluation.metrics`, `metrics`)
    output:NAME    an output as it is
    label:NAME     a label

Outputs of runs are text. One that spells a number is a metric by its own name; one that is a JSON object may be the
evaluation, a candidate with one, or metrics (docs/gates.md says the shapes).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import orjson

from pipelines.host.labels import labels_of
from retrain.errors import ConfigError
from retrain.store.runs import RunRow

Json = dict[str, Any]
Kind = Literal["param", "metric", "output", "label"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_COLUMNS = 12
MOST_METRICS = 200
LONGEST = 2 << 20
"""Letters of an output that is read as JSON; no evaluation is longer."""


@dataclass(frozen=True, slots=True)
class Column:
    """What a column of a list of runs shows."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


def parse_columns(text: str | None) -> tuple[Column, ...]:
    """`param:lr,metric:accuracy`, each once, in their order.

    Raises:
        ConfigError: one is none, or there are too many.
    """
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    found = tuple(dict.fromkeys(_column(word) for word in words))
    if len(found) > MOST_COLUMNS:
        raise ConfigError(f"columns: at most {MOST_COLUMNS}, these are {len(found)}")
    return found


def _column(word: str) -> Column:
    kind, colon, name = word.partition(":")
    if not colon or not name.strip() or kind not in KINDS:
        raise ConfigError(f"column {word!r}: say {', '.join(f'{one}:NAME' for one in KINDS)}")
    return Column(kind, name.strip())


# --- what a run says -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """What one run was given and what it gave."""

    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    labels: Mapping[str, str]
    metrics: Mapping[str, float]
    evaluation: Mapping[str, Any]


def said_of(run: RunRow, candidate: Mapping[str, Any] | None = None) -> Said:
    """All of it. `candidate`: what a promotion was proposed with because of it, for what the outputs do not say."""
    outputs = _named(cast("Json | None", run.outputs))
    objects = list(_objects(outputs))
    evaluation = next(_evaluations(objects), None)
    known = candidate or {}
    if evaluation is None:
        evaluation = _as_object(known.get("evaluation")) or {}
    metrics = {name: value for name, text in outputs.items() if (value := number(text)) is not None}
    for some in (evaluation.get("metrics"), *_metrics(objects), known.get("metrics")):
        for name, value in (_as_object(some) or {}).items():
            if (figure := number(value)) is not None and len(metrics) < MOST_METRICS:
                metrics.setdefault(str(name), figure)
    return Said(parameters_of(run), outputs, labels_of(run), metrics, evaluation)


def parameters_of(run: RunRow) -> dict[str, str]:
    """The arguments of a run's workflow, those too that only its template names."""
    found: dict[str, str] = {}
    for document in (*_documents(run), run.manifest):
        arguments = (cast("Json", document.get("spec") or {}).get("arguments")) or {}
        found |= _named(arguments)
    return found


def _documents(run: RunRow) -> Iterator[Json]:
    """The template that the whole run is of, as it was when the run began."""
    reference = cast("Json", run.manifest.get("spec") or {}).get("workflowTemplateRef") or {}
    for one in cast("Sequence[Json]", run.templates or ()):
        if reference.get("name") and (one.get("metadata") or {}).get("name") == reference["name"]:
            yield one


def value_of(said: Said, column: Column) -> str | float | None:
    """What a column shows of a run; None: the run says nothing of it."""
    match column.kind:
        case "param":
            return said.parameters.get(column.name)
        case "metric":
            return said.metrics.get(column.name)
        case "output":
            return said.outputs.get(column.name)
        case "label":
            return said.labels.get(column.name)


def number(value: object) -> float | None:
    """A figure, also one that text spells; nothing for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or (value == "" or len(str(value)) > 40):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and (not isinstance(value, str) or _spells(value)) else None


def _spells(text: str) -> bool:
    """Python reads `1_0` and blanks around as numbers; nobody else does."""
    return text.isascii() and "_" not in text and text == text.strip()


def _named(part: Mapping[str, Any] | None) -> dict[str, str]:
    some: Sequence[Json] = (part or {}).get("parameters") or ()
    return {str(one["name"]): str(one["value"]) for one in some if one.get("name") and one.get("value") is not None}


def _objects(outputs: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    for name, text in outputs.items():
        if (found := _as_object(text)) is not None:
            yield name, found


def _as_object(value: object) -> Json | None:
    if isinstance(value, dict):
        return cast("Json", value)
    if not isinstance(value, str) or len(value) > LONGEST or not value.lstrip().startswith("{"):
        return None
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _evaluations(objects: Sequence[tuple[str, Json]]) -> Iterator[Json]:
    for name, found in objects:
        if name == "evaluation":
            yield found
    for _, found in objects:
        if (inner := _as_object(found.get("evaluation"))) is not None:
            yield inner


def _metrics(objects: Sequence[tuple[str, Json]]) -> Iterator[object]:
    for name, found in objects:
        yield found if name == "metrics" else found.get("metrics")
