"""How Argo names nodes, their ids and their pods, and how Go would print a value.

Names are the identity of a node: everything that looks a node up, looks up `node_id(run, name)`.

Source: `NodeID()` in workflow_types.go, workflow/util/pod_name.go, `generateNodeName` in the controller's operator.go.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, cast

from retrain.errors import ConfigError

MAX_POD_NAME = 253
_AWKWARD = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
"""What Go writes in another way than Python."""
_encode = json.JSONEncoder(ensure_ascii=False).encode
_TAIL = re.compile(r"(?:\([^()]*\)|\[[^\[\]]*\])+\Z")


def fnv32a(text: str) -> int:
    """FNV-1a, 32 bits, of the UTF-8 bytes."""
    value = 0x811C9DC5
    for byte in text.encode(errors="replace"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def node_id(workflow: str, node: str) -> str:
    """The root node's id is the workflow's name; others' is that and a hash of the full node name."""
    return workflow if node == workflow else f"{workflow}-{fnv32a(node)}"


def pod_name(workflow: str, node: str, template: str) -> str:
    if node == workflow or not template:
        return node_id(workflow, node)
    tail = f"-{fnv32a(node)}"
    return f"{workflow}-{template}"[: MAX_POD_NAME - len(tail)] + tail


def member_name(name: str, index: int, item: Any) -> str:
    """`train(0:lr:0.1,seed:1)`: the name of one member of a fan-out. No parentheses but the outer ones."""
    return f"{name}({index}:{item_label(item)})".replace("\n", " ")


def item_label(item: Any) -> str:
    if isinstance(item, dict):
        label = ",".join(sorted(f"{key}:{go_text(value)}" for key, value in cast("dict[str, Any]", item).items()))
    elif isinstance(item, list):
        label = "[" + " ".join(go_text(value) for value in cast("list[Any]", item)) + "]"
    else:
        label = go_text(item)
    return label.replace("(", "").replace(")", "")


def member_index(name: str) -> int:
    """2 for `x(2:c)`; 0 where there is none."""
    found = re.search(r"\((\d+):[^()]*\)\Z", name, re.S)
    return int(found[1]) if found else 0


def task_name(node: str) -> str:
    """The step or task that a node is of: `wf[0].fan(0:a)(1)` is of `fan`."""
    return _TAIL.sub("", node).rpartition(".")[2]


class Written(float):
    """A number of a JSON text that a step gave, which stays as it was written there (`1.0`, `1e5`)."""

    text: str

    def __new__(cls, text: str) -> Written:
        number = super().__new__(cls, text)
        number.text = text
        return number


def go_text(value: Any) -> str:
    """A YAML value as the text that Argo reads in it: `1` and `true` as written, structures as compact JSON."""
    if isinstance(value, str):
        return value
    return go_number(value) if isinstance(value, float) else go_json(value)


def go_number(value: float) -> str:
    """1.0 is `1`, 1e-5 is `0.00001`: YAML becomes JSON on its way into Go, and Go's JSON writes floats so."""
    if isinstance(value, Written):
        return value.text
    if not math.isfinite(value):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    if float(value).is_integer() and abs(value) < 1e21:
        return str(int(value))
    return _go().json_float(value)


def go_json(value: Any, *, sort: bool = False) -> str:
    """Compact JSON as Go's encoder writes it: `<`, `>` and `&` escaped, whole floats without a point.

    Raises:
        ConfigError: it is nested deeper than any honest value.
    """
    pieces: list[str] = []
    try:
        _write(value, sort, pieces.append)
    except RecursionError:
        raise ConfigError("a value is nested too deep") from None
    return "".join(pieces)


def _go() -> ModuleType:
    from retrain.expressions.expr import text  # rarely needed, and with it a whole language is loaded

    return text


def _quoted(text: str) -> str:
    quoted = _encode(text)
    return quoted if _AWKWARD.search(quoted) is None else _go().json_text(text)


def _write(value: Any, sort: bool, put: Callable[[str], None]) -> None:
    if isinstance(value, str):
        put(_quoted(value))
    elif value is None or isinstance(value, bool):
        put("null" if value is None else "true" if value else "false")
    elif isinstance(value, int):
        put(str(value))
    elif isinstance(value, float):
        put(go_number(value))
    elif isinstance(value, Mapping):
        _write_map(cast("Mapping[Any, Any]", value), sort, put)
    elif isinstance(value, list | tuple):
        put("[")
        for at, inner in enumerate(cast("Sequence[Any]", value)):
            if at:
                put(",")
            _write(inner, sort, put)
        put("]")
    else:
        put(_go().json_text(str(value)))  # a date that YAML read: Kubernetes has it as a text


def _write_map(value: Mapping[Any, Any], sort: bool, put: Callable[[str], None]) -> None:
    put("{")
    items = [(str(key), inner) for key, inner in value.items()]
    for at, (key, inner) in enumerate(sorted(items, key=_by_key) if sort else items):
        put(("," if at else "") + _quoted(key) + ":")
        _write(inner, sort, put)
    put("}")


def _by_key(item: tuple[str, Any]) -> str:
    return item[0]
