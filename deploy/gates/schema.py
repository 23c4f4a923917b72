"""Whether the candidate takes and gives what the live model does: their signatures, as MLflow writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson

from deploy.gates.baseline import OnNoChampion, none_live
from deploy.gates.evidence import Evidence
from deploy.gates.verdict import GateSpec, Verdict, say
from retrain.events import JsonValue

WIDER = {("integer", "long"), ("integer", "double"), ("float", "double"), ("integer", "float")}
"""(narrow, wide): who takes the wide type takes the narrow one, too."""


class Spec(GateSpec):
    """`backward`: who calls the live model can call the candidate, and read what it gives. `exact`: the same columns.

    Signatures are MLflow's JSON: `evaluation.signature` of the candidate, that of the live model from its record.
    """

    kind: Literal["schema"]
    compatibility: Literal["backward", "exact"] = "backward"
    onNoChampion: OnNoChampion = "fail"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type in one word (`tensor(float64)[-1, 28]` for tensors), and whether it must be given."""

    type: str
    required: bool = True


Side = dict[str, Column]


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """Fail with every column that differs in a way that breaks callers; error if a signature cannot be had or read."""
    if evidence.champion_unknown:
        return say(spec, "error", evidence.champion_unknown)
    mine = evidence.candidate.signature
    if mine is None:
        return say(spec, "fail", "the candidate has no signature (evaluation.signature)")
    if evidence.champion is None:
        return none_live(spec, spec.onNoChampion)
    theirs = _live(evidence)
    if theirs is None:
        why = f"no signature of {evidence.champion.digest} is known; pass evaluation.champion.signature"
        return say(spec, "error", why, champion=evidence.champion.digest)
    try:
        new, old = read(mine), read(theirs)
    except ValueError as error:
        return say(spec, "error", f"a signature cannot be read: {error}")
    breaks = _exact(new, old) if spec.compatibility == "exact" else _backward(new, old)
    figures: dict[str, JsonValue] = {"breaks": list[JsonValue](breaks), "champion": evidence.champion.digest}
    if breaks:
        more = f" (and {len(breaks) - 5} more)" if len(breaks) > 5 else ""
        return say(spec, "fail", "; ".join(breaks[:5]) + more, **figures)
    return say(spec, "pass", f"the signature is {spec.compatibility} compatible with the live model's", **figures)


def _live(evidence: Evidence) -> JsonValue:
    """From this run, if it scored the live model; else from the record."""
    live, rescored = evidence.champion, evidence.rescored
    assert live is not None
    if rescored is not None and rescored.digest == live.digest and rescored.signature is not None:
        return rescored.signature
    return live.signature


def read(signature: JsonValue) -> tuple[Side, Side]:
    """The columns of inputs and of outputs.

    Raises:
        ValueError: it is no signature.
    """
    if not isinstance(signature, Mapping):
        raise ValueError("it is no object with inputs and outputs")  # noqa: TRY004
    return _side(signature.get("inputs"), "inputs"), _side(signature.get("outputs"), "outputs")


def _side(given: JsonValue, name: str) -> Side:
    if isinstance(given, str):  # MLflow writes JSON in JSON
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"{name} is no JSON: {error}") from None
    if given is None:
        return {}
    if not isinstance(given, list) or any(not isinstance(one, Mapping) for one in given):
        raise ValueError(f"{name} is no list of columns")
    columns = cast("list[Mapping[str, Any]]", given)
    named = {str(one.get("name", place)): _column(one, f"{name}[{place}]") for place, one in enumerate(columns)}
    if len(named) != len(columns):
        raise ValueError(f"{name} has two columns of one name")
    return named


def _column(one: Mapping[str, Any], where: str) -> Column:
    kind = one.get("type")
    if not isinstance(kind, str):
        raise ValueError(f"{where} has no type")  # noqa: TRY004
    required = one.get("required", not one.get("optional", False))
    if kind == "tensor":
        spec: Any = one.get("tensor-spec")
        if not isinstance(spec, Mapping):
            raise ValueError(f"{where} is a tensor without tensor-spec")
        return Column(f"tensor({spec.get('dtype')}){spec.get('shape')}", bool(required))
    # Arrays, objects and maps are compared as a whole.
    inner = {key: one[key] for key in ("items", "properties", "values") if key in one}
    return Column(kind + (orjson.dumps(inner, option=orjson.OPT_SORT_KEYS).decode() if inner else ""), bool(required))


def _backward(new: tuple[Side, Side], old: tuple[Side, Side]) -> list[str]:
    breaks: list[str] = []
    for name, column in new[0].items():
        before = old[0].get(name)
        if before is None and column.required:
            breaks.append(f"input {name!r} is new and required")
        elif before is not None and not _fits(before.type, column.type):
            breaks.append(f"input {name!r} was {before.type}, now {column.type}")
        elif before is not None and column.required and not before.required:
            breaks.append(f"input {name!r} was optional, now required")
    for name, before in old[1].items():
        column = new[1].get(name)
        if column is None:
            breaks.append(f"output {name!r} is gone")
        elif not _fits(column.type, before.type):
            breaks.append(f"output {name!r} was {before.type}, now {column.type}")
    return breaks


def _fits(narrow: str, wide: str) -> bool:
    return narrow == wide or (narrow, wide) in WIDER


def _exact(new: tuple[Side, Side], old: tuple[Side, Side]) -> list[str]:
    breaks: list[str] = []
    for word, here, there in (("input", new[0], old[0]), ("output", new[1], old[1])):
        for name in sorted({*here, *there}):
            if name not in here:
                breaks.append(f"{word} {name!r} is gone")
            elif name not in there:
                breaks.append(f"{word} {name!r} is new")
            elif here[name] != there[name]:
                breaks.append(f"{word} {name!r} was {_said(there[name])}, now {_said(here[name])}")
    return breaks


def _said(column: Column) -> str:
    return column.type if column.required else f"{column.type} (optional)"
