"""One step or task with `withItems`, `withParam` or `withSequence` made many.

Source: `expandStep`, `processItem`, `expandSequence` of Argo's controller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from pipelines.core.aggregate import ExpandError, aggregated_results, aggregated_values, loads, not_json
from pipelines.core.conditions import NoCondition, evaluate
from pipelines.core.naming import go_json, go_text, member_name
from pipelines.core.substitute import Text, prepared, render, revived, rule
from pipelines.core.variables import Known, Layered, Lookup, Variables, variables_of

__all__ = ["MAX_ITEMS", "ExpandError", "aggregated_results", "aggregated_values", "expand", "is_loop", "is_off",
           "item_scope", "sequence"]  # fmt: skip

MAX_ITEMS = 100_000
"""Members of one loop. Each is a node that is kept and shown."""
_VERB = re.compile(r"%%|%([-+ 0#]*)(\d*)([dxXob])")
_LOOPS = ("withItems", "withParam", "withSequence")


def is_loop(step: Mapping[str, Any]) -> bool:
    """An empty `withItems` is none, as upstream; an empty list that `withParam` gives is."""
    return bool(step.get("withItems")) or any(step.get(key) is not None for key in ("withParam", "withSequence"))


def is_off(step: Mapping[str, Any]) -> bool:
    """`when` is false already: nothing else of the step needs to make sense. A condition over `{{item}}` is not off."""
    try:
        return not evaluate(revived(step.get("when") or ""))
    except NoCondition:
        return False


def expand(step: Mapping[str, Any], lookup: Variables | Lookup) -> list[dict[str, Any]]:
    """The steps that a step stands for, named `name(0:item)`; the step itself if it is no loop.

    `lookup` knows the variables besides `{{item}}`. Every tag must be known, unless the step is off.

    Raises:
        ExpandError: the list is none, or too long.
        Unresolved: a member names what is not there.
    """
    bare = {key: value for key, value in step.items() if key not in _LOOPS}
    if not is_loop(step):
        return [{**bare, "when": revived(bare["when"])}] if "when" in bare else [bare]
    off = is_off(step)
    items = _items(step, off)
    if len(items) > MAX_ITEMS:
        raise ExpandError(f"{_loop(step)} has {len(items)} items, the limit is {MAX_ITEMS}")
    return _members(bare, items, variables_of(lookup), off)


def _loop(step: Mapping[str, Any]) -> str:
    return next(key for key in _LOOPS if step.get(key) is not None)


def _members(bare: dict[str, Any], items: Sequence[Any], lookup: Variables, off: bool) -> list[dict[str, Any]]:
    """The step is taken apart once, however many members there are."""
    hooks = {key: bare[key] for key in ("hooks", "onExit") if key in bare}
    body = prepared({key: value for key, value in bare.items() if key not in hooks and key != "name"})
    later = prepared(hooks)
    name = str(bare["name"])
    members: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        scope = Known(item_scope(item))
        filled = body.filled(_filler(Layered(scope, lookup, seed=f"{name}({index})"), all_strict=not off, off=off))
        own = later.filled(_filler(scope))
        if "when" in filled:
            filled["when"] = revived(filled["when"])
        members.append({**filled, **own, "name": member_name(name, index, item)})
    return members


def _filler(scope: Variables, *, all_strict: bool = False, off: bool = False) -> Callable[[Text], str]:
    how = rule(scope, all_strict=all_strict, absent_may_stay=off)
    return lambda text: render(text, how)


def item_scope(item: Any) -> dict[str, str]:
    """What `{{item}}` and `{{item.key}}` are."""
    if not isinstance(item, dict):
        return {"item": go_text(item)}
    keys = cast("dict[str, Any]", item)
    whole = go_json(dict(sorted(keys.items())))
    return {"item": whole} | {f"item.{key}": go_text(value) for key, value in keys.items()}


def _items(step: Mapping[str, Any], off: bool) -> Sequence[Any]:
    if step.get("withItems"):
        return [_sorted(item) for item in step["withItems"]]
    if step.get("withParam") is not None:
        return _json_list(revived(str(step["withParam"])), off)
    try:
        return sequence(step["withSequence"])
    except ExpandError:
        if off:
            return []
        raise


def _sorted(item: Any) -> Any:
    """Keys in order at every level, as YAML has them once Go has made JSON of it."""
    if isinstance(item, dict):
        return {key: _sorted(value) for key, value in sorted(cast("dict[str, Any]", item).items())}
    return [_sorted(value) for value in cast("list[Any]", item)] if isinstance(item, list) else item


def _json_list(text: str, off: bool) -> list[Any]:
    why = "it is no list"
    try:
        found: Any = loads(text)
    except ValueError:
        found, why = False, not_json(text)
    if found is None or (off and not isinstance(found, list)):
        return []
    if not isinstance(found, list):
        raise ExpandError(f"withParam value could not be parsed as a JSON list: {text.strip()[:1000]}: {why}")
    return cast("list[Any]", found)


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
