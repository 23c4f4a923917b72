"""How Argo names nodes, their ids and their pods, and how Go would print a value.

Names are the identity of a node: everything that looks a node up, looks up `node_id(run, name)`.

Source: `NodeID()` in workflow_types.go, workflow/util/pod_name.go, `generateNodeName` in the controller's operator.go.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_POD_NAME = 253
_TAIL = re.compile(r"(?:\([^()]*\)|\[[^\[\]]*\])+\Z")


def fnv32a(text: str) -> int:
    """FNV-1a, 32 bits, of the UTF-8 bytes."""
    value = 0x811C9DC5
    for byte in text.encode():
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
        label = ",".join(sorted(f"{key}:{go_text(value)}" for key, value in item.items()))
    elif isinstance(item, list):
        label = "[" + " ".join(go_text(value) for value in item) + "]"
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


def go_text(value: Any) -> str:
    """A YAML value as the text that Argo reads in it: `1` and `true` as written, structures as compact JSON."""
    if isinstance(value, str):
        return value
    return go_number(value) if isinstance(value, float) else go_json(value)


def go_number(value: float) -> str:
    """1.0 is `1`: YAML becomes JSON on its way into Go, and Go's JSON writes whole floats without a point."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)


def go_json(value: Any, *, sort: bool = False) -> str:
    """Compact JSON as Go's encoder writes it: `<`, `>` and `&` escaped, whole floats without a point."""
    text = json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False, sort_keys=sort)
    for char in "<>&\u2028\u2029":  # these can only stand inside strings
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    return value
