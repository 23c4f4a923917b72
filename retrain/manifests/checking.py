"""A document against a pydantic model: the model, or findings that say what is wrong and what would be right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from retrain.events import JsonValue
from retrain.manifests.advice import Advice, advise
from retrain.manifests.document import Document, Finding, Path, Problem, Severity
from retrain.manifests.plugged import Kinds

M = TypeVar("M", bound=BaseModel)

_ROUNDS = 5
"""A dropped field may bring another branch of a union to the front, with its own unknown fields."""


@dataclass(frozen=True, slots=True)
class _Wrong:
    """One of pydantic's complaints at a path of the document. `branches` are the unions on the way: depth, member."""

    path: tuple[str | int, ...]
    branches: tuple[tuple[int, str], ...]
    error: Any
    on_key: bool

    @property
    def kind(self) -> str:
        return self.error["type"]


def validate(
    document: Document, model: type[M], *, unknown: Severity = "error", kinds: Kinds | None = None
) -> tuple[M | None, list[Finding]]:
    """Read a document as a model. `kinds` are those of plugins, which it may name where the model is `Pluggable`.

    With `unknown="warning"` fields that the model does not have are dropped with a warning, as Kubernetes drops them in
    silence. A null is the same as leaving the field out, where the model does not ask for null. None instead of the
    model when a finding is an error.
    """
    body = document.body
    findings: list[Finding] = []
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(body, context=kinds), findings
        except ValidationError as error:
            wrong = _read(body, error)
        drop = [w for w in wrong if _is_null_field(w) or (unknown == "warning" and w.kind == "extra_forbidden")]
        if not drop:
            return None, _sorted(findings + _findings(document, _advice(model, wrong, kinds), unknown))
        dropped = _advice(model, [w for w in drop if w.kind == "extra_forbidden"], kinds)
        findings += _findings(document, dropped, unknown)
        body = _without(body, [w.path for w in drop])
    return None, findings


def problems(model: type[BaseModel], body: JsonValue, at: Path = ()) -> Iterator[Problem]:
    """What is wrong with a part of a document, read as a model. `at` is the part's place in the document."""
    try:
        model.model_validate(body)
    except ValidationError as error:
        for advice, _ in _advice(model, _read(body, error)):
            yield Problem((*at, *advice.path), advice.code, advice.message)


def _read(body: JsonValue, error: ValidationError) -> list[_Wrong]:
    return _choose([_locate(body, one) for one in error.errors(include_url=False)])


def _is_null_field(wrong: _Wrong) -> bool:
    is_field = bool(wrong.path) and isinstance(wrong.path[-1], str)
    return is_field and wrong.error["input"] is None and wrong.kind not in {"missing", "extra_forbidden"}


def _locate(body: JsonValue, error: Any) -> _Wrong:
    """Pydantic's `loc` names the members of unions beside the steps of the path: tell them apart by the body."""
    path: list[str | int] = []
    branches: list[tuple[int, str]] = []
    loc: Sequence[str | int] = error["loc"]
    on_key = False
    value: Any = body
    for index, step in enumerate(loc):
        last = index == len(loc) - 1
        if _has(value, step):
            value = value[step]
            path.append(step)
        elif last and error["type"] == "missing":
            path.append(step)
        elif step == "[key]":
            on_key = True
        else:
            branches.append((len(path), str(step)))
    return _Wrong(tuple(path), tuple(branches), error, on_key or error["type"] == "extra_forbidden")


def _has(value: Any, step: str | int) -> bool:
    return step in value if isinstance(value, dict) else isinstance(value, list) and step in range(len(value))


def _choose(wrong: list[_Wrong]) -> list[_Wrong]:
    """Of a union's members keep the one that fits best; several only where each wants another type."""
    unions = {(w.path[:depth], depth) for w in wrong for depth, _ in w.branches}
    for prefix, depth in sorted(unions, key=lambda union: -union[1]):
        members: dict[str, list[_Wrong]] = {}
        for one in wrong:
            name = next((name for at, name in one.branches if at == depth), None)
            if name is not None and one.path[:depth] == prefix:
                members.setdefault(name, []).append(one)
        deeper = {name: found for name, found in members.items() if any(len(w.path) > depth for w in found)}
        if len(members) < 2 or not deeper:
            continue
        best = min(deeper, key=lambda name: len(deeper[name]))
        dropped = [w for name, found in members.items() if name != best for w in found]
        wrong = [w for w in wrong if w not in dropped]
    return wrong


def _advice(model: type[BaseModel], wrong: list[_Wrong], kinds: Kinds | None = None) -> Iterator[tuple[Advice, bool]]:
    """What to say, and whether it is about the key rather than the value."""
    grouped: dict[tuple[Path, bool], list[_Wrong]] = {}
    for one in wrong:
        grouped.setdefault((one.path, one.on_key), []).append(one)
    for (path, on_key), group in grouped.items():
        yield from ((advice, on_key) for advice in advise(model, path, [w.error for w in group], kinds))


def _findings(document: Document, advice: Iterator[tuple[Advice, bool]], unknown: Severity) -> list[Finding]:
    findings: list[Finding] = []
    for one, on_key in advice:
        severity: Severity = unknown if one.code == "unknown-field" else "error"
        findings.append(document.finding(Problem(one.path, one.code, one.message, severity), on_key=on_key))
    return _sorted(findings)


def _sorted(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: (finding.line, finding.column))


def _without(body: JsonValue, paths: Sequence[Path]) -> JsonValue:
    """A copy without the members at `paths`; what is not on the way to them is shared with the original."""
    first = {path[0] for path in paths if len(path) == 1}
    deeper: dict[str | int, list[Path]] = {}
    for path in paths:
        if len(path) > 1 and path[0] not in first:
            deeper.setdefault(path[0], []).append(path[1:])
    if isinstance(body, dict):
        return {k: _without(v, deeper[k]) if k in deeper else v for k, v in body.items() if k not in first}
    return [_without(v, deeper[i]) if i in deeper else v for i, v in enumerate(body)]
