"""The outputs of a loop's members as one: JSON lists, ordered by the index of the item.

Only members that Succeeded count; hooks and attempts are not members.

Source: `processAggregateNodeOutputs` of Argo's controller. Artifacts are ours: see `artifacts.gathered`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, cast

from pipelines.core.artifacts import gathered
from pipelines.core.naming import Written, go_json, member_index
from pipelines.core.nodes import Artifact, Node, Outputs, Phase
from retrain.errors import ConfigError

MAX_NESTING = 100


class ExpandError(ConfigError):
    """The list to expand over is none."""


class AggregateError(ExpandError):
    """What a loop's member printed is no JSON, and somebody reads the list of all."""


def loads(text: str) -> Any:
    """JSON that a step printed: it may be anything. Numbers with a point or an exponent stay as they are written.

    Raises:
        ValueError: it is no JSON, or nested deeper than any honest value.
    """
    try:
        found = json.loads(text, parse_float=Written, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None
    level: list[Any] = [found]
    for _ in range(MAX_NESTING):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return found
    raise ValueError("nested too deep")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()


def not_json(text: str) -> str:
    """Go's words, for they are what people search for."""
    text = text.strip()
    return f"invalid character '{text[0]}' looking for beginning of value" if text else "unexpected end of JSON input"


def counted(members: Sequence[Node]) -> list[tuple[int, Node]]:
    """(index of the item, member) of those that count, in order."""
    found = [
        (member_index(node.name), node)
        for node in members
        if node.phase is Phase.Succeeded and not node.hooked and not node.retried
    ]
    return sorted(found, key=lambda one: one[0])


def aggregated_results(outputs: Sequence[Outputs]) -> str:
    """The results of a loop's Succeeded members, each read as JSON, as one JSON list.

    Raises:
        AggregateError: one is no JSON.
    """
    found: list[Any] = []
    for output in outputs:
        if output.result is None:
            continue
        try:
            found.append(loads(output.result))
        except ValueError:
            raise AggregateError(not_json(output.result)) from None
    return go_json(found)


def aggregated_parameters(outputs: Sequence[Outputs]) -> str:
    """`[{"p": "v"}, ...]`: one map for each member that has parameters."""
    given = [{k: v for k, v in output.parameters.items() if v is not None} for output in outputs if output.parameters]
    return go_json(given, sort=True)


def aggregated_values(values: Sequence[str]) -> str:
    """One output parameter of all members: a list of texts, or of what they hold if each holds a JSON map or list."""
    inner: list[Any] = []
    for value in values:
        try:
            found: Any = json.loads(value, parse_constant=_no_constant) if value.lstrip()[:1] in ("{", "[") else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict | list):
            return go_json(list(values))
        inner.append(found)
    try:
        return go_json(inner, sort=True)
    except ConfigError:
        return go_json(list(values))  # nested too deep to be written again


def aggregated_artifact(name: str, members: Sequence[Node]) -> Artifact | None:
    """One output artifact of all members that gave it; None if none did."""
    parts = [(index, one) for index, node in counted(members) for one in node.outputs.artifacts if one["name"] == name]
    return gathered(name, parts) if parts else None
