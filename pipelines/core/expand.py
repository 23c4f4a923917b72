"""One step or task with `withItems`, `withParam` or `withSequence` made many; and many outputs made one list.

Source: `expandStep`, `processItem`, `expandSequence`, `processAggregateNodeOutputs` of Argo's controller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.core.naming import go_json, go_text, member_name
from pipelines.core.nodes import Outputs
from pipelines.core.substitute import Found, Lookup, replace
from retrain.errors import ConfigError
from retrain.expressions.govaluate import ExpressionError, evaluate

LOOPS = ("withItems", "withParam", "withSequence")
MAX_ITEMS = 100_000
MAX_NESTING = 100
_VERB = re.compile(r"%%|%([-+ 0#]*)(\d*)([dxXob])")


class ExpandError(ConfigError):
    """The list to expand over is none."""


def _loads(text: str) -> Any:
    """JSON that a step printed: it may be anything.

    Raises:
        ValueError: it is no JSON, or nested deeper than any honest value.
    """
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    level: list[Any] = [found]
    for _ in range(MAX_NESTING):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return found
    raise ValueError("nested too deep")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def is_loop(step: Mapping[str, Any]) -> bool:
    return any(step.get(key) is not None for key in LOOPS)


def is_off(step: Mapping[str, Any]) -> bool:
    """`when` is false already: nothing else of the step needs to make sense. A condition over `{{item}}` is not off."""
    try:
        return not evaluate(step.get("when") or "")
    except ExpressionError:
        return False


def expand(step: Mapping[str, Any], lookup: Lookup) -> list[dict[str, Any]]:
    """The steps that a step stands for, named `name(0:item)`; the step itself if it is no loop.

    `lookup` knows the variables besides `{{item}}`. Every tag must be known, unless the step is off.

    Raises:
        ExpandError: the list is none.
        Unresolved: a member names what is not there.
    """
    if not is_loop(step):
        return [dict(step)]
    bare = {key: value for key, value in step.items() if key not in LOOPS}
    off = is_off(step)
    return [_member(bare, index, item, lookup, off) for index, item in enumerate(_items(step, off))]


def _member(step: dict[str, Any], index: int, item: Any, lookup: Lookup, off: bool) -> dict[str, Any]:
    scope = item_scope(item)

    def known(tag: str) -> Found:
        return scope[tag] if tag in scope else lookup(tag)

    hooks = {key: step[key] for key in ("hooks", "onExit") if key in step}
    filled = replace({k: v for k, v in step.items() if k not in hooks}, known, all_strict=not off)
    hooks = replace(hooks, scope.get)
    return {**filled, **hooks, "name": member_name(step["name"], index, item)}


def item_scope(item: Any) -> dict[str, str]:
    """What `{{item}}` and `{{item.key}}` are."""
    if isinstance(item, dict):
        return {"item": go_json(item, sort=True)} | {f"item.{key}": go_text(value) for key, value in item.items()}
    return {"item": go_text(item)}


def _items(step: Mapping[str, Any], off: bool) -> Sequence[Any]:
    if step.get("withItems") is not None:
        return step["withItems"]
    if step.get("withSequence") is not None:
        return sequence(step["withSequence"])
    return _json_list(str(step["withParam"]), off)


def _json_list(text: str, off: bool) -> list[Any]:
    why = "it is no list"
    try:
        found: Any = _loads(text)
    except ValueError:
        found, why = False, _not_json(text)
    if found is None or (off and not isinstance(found, list)):
        return []
    if not isinstance(found, list):
        raise ExpandError(f"withParam value could not be parsed as a JSON list: {text.strip()}: {why}")
    if len(found) > MAX_ITEMS:
        raise ExpandError(f"withParam has {len(found)} items, the limit is {MAX_ITEMS}")
    return found


def sequence(spec: Mapping[str, Any]) -> list[str]:
    """`{start: 1, count: 3, format: "%03d"}` is 001, 002, 003; it counts down where `end` is below `start`."""
    start, last = _whole(spec.get("start", "0")), 0
    if spec.get("end") is not None:
        last = _whole(spec["end"])
    elif spec.get("count") is not None:
        count = _whole(spec["count"])
        if count == 0:
            return []
        last = start + count - 1
    else:
        raise ExpandError("neither end nor count was specified in withSequence")
    if abs(last - start) >= MAX_ITEMS:
        raise ExpandError(f"withSequence has {abs(last - start) + 1} items, the limit is {MAX_ITEMS}")
    numbers = range(start, last + 1) if start <= last else range(start, last - 1, -1)
    return [_printf(spec.get("format") or "%d", number) for number in numbers]


def _whole(text: Any) -> int:
    try:
        return int(str(text))
    except ValueError:
        raise ExpandError(f'withSequence: "{text}" is no whole number') from None


def _printf(form: str, number: int) -> str:
    """Go's Sprintf of one integer; Python's `%` means the same for these verbs, but has no `%b`."""

    def one(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        flags, width, verb = match[1], match[2][:3], match[3]
        if verb == "b":
            sign = "0" if "0" in flags else ("<" if "-" in flags else "")
            return format(number, f"{sign}{width}b")
        return f"%{flags}{width}{verb}" % number

    return _VERB.sub(one, form)


def aggregated_results(outputs: Sequence[Outputs]) -> str:
    """The results of a fan-out's Succeeded members, each read as JSON, as one JSON list.

    Raises:
        ExpandError: one is no JSON.
    """
    found: list[Any] = []
    for output in outputs:
        if output.result is None:
            continue
        try:
            found.append(_loads(output.result))
        except ValueError:
            raise ExpandError(_not_json(output.result)) from None
    return go_json(found)


def _not_json(text: str) -> str:
    """Go's words, for they are what people search for."""
    text = text.strip()
    return f"invalid character '{text[0]}' looking for beginning of value" if text else "unexpected end of JSON input"


def aggregated_parameters(outputs: Sequence[Outputs]) -> str:
    """`[{"p": "v"}, ...]`: one map for each member that has parameters."""
    return go_json([dict(sorted(output.parameters.items())) for output in outputs if output.parameters])


def aggregated_values(values: Sequence[str]) -> str:
    """One output parameter of all members: a list of texts, or of what they hold if each holds a JSON map or list."""
    try:
        inner = [_loads(value) for value in values]
    except ValueError:
        return go_json(list(values))
    if all(isinstance(value, dict | list) for value in inner):
        return go_json(inner, sort=True)
    return go_json(list(values))
