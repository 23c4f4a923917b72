"""What `apply`, `replace` and `patch` make of an object: pure functions over JSON.

Strategic merge patches are JSON merge patches here: of the kinds that are held locally none has a list that the API
would merge item by item, but for `ownerReferences` and `finalizers`, which replace each other.

Source: RFC 7386 (merge patch), RFC 6902 (JSON patch), `kubectl apply`'s three-way merge.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, cast

from retrain.errors import ConfigError

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MAX_DEPTH = 100


def merged(target: Any, patch: Any, depth: int = 0) -> Any:
    """RFC 7386: maps are merged, null removes, everything else replaces.

    Raises:
        ConfigError: the patch is nested too deep, or has directives of a strategic merge.
    """
    if depth > MAX_DEPTH:
        raise ConfigError("the patch is nested too deep")
    if not isinstance(patch, Mapping):
        return patch
    changes = cast("Mapping[str, Any]", patch)
    out: dict[str, Any] = dict(cast("Mapping[str, Any]", target)) if isinstance(target, Mapping) else {}
    for key, value in changes.items():
        if key in {"$patch", "$retainKeys"} or key.startswith(("$setElementOrder/", "$deleteFromPrimitiveList/")):
            raise ConfigError(f"patch: the directive {key} is not done locally; write the fields as they shall be")
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), value, depth + 1)
    return out


def applied(live: Mapping[str, Any] | None, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """`kubectl apply`: what the manifest says is so; what only the last one said is gone; the rest stays."""
    said = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    noted = merged(manifest, {"metadata": {"annotations": {LAST_APPLIED: said}}})
    if live is None:
        return noted
    annotations: Mapping[str, Any] = (live.get("metadata") or {}).get("annotations") or {}
    try:
        before = json.loads(annotations.get(LAST_APPLIED) or "{}")
    except ValueError:
        before = {}
    return merged(_without(live, before, manifest), noted)


def _without(live: Any, before: Any, now: Any) -> Any:
    """`live` without the keys that `before` has and `now` has not."""
    if not (isinstance(live, Mapping) and isinstance(before, Mapping)):
        return live
    old, new = cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", now) if isinstance(now, Mapping) else {}
    out: dict[str, Any] = {}
    for key, value in cast("Mapping[str, Any]", live).items():
        if key in old and key not in new:
            continue
        out[key] = _without(value, old.get(key), new.get(key))
    return out


def patched(target: Mapping[str, Any], operations: Any) -> dict[str, Any]:
    """RFC 6902.

    Raises:
        ConfigError: it is no list of operations, one cannot be done, or a `test` fails.
    """
    if not isinstance(operations, Sequence) or isinstance(operations, str):
        raise ConfigError("a json patch is a list of operations: [{op, path, value}]")
    document: Any = deepcopy(dict(target))
    for number, operation in enumerate(cast("Sequence[Any]", operations)):
        if not isinstance(operation, Mapping):
            raise ConfigError(f"json patch: operation {number} is no map")
        document = _operate(document, cast("Mapping[str, Any]", operation), number)
    if not isinstance(document, dict):
        raise ConfigError("json patch: nothing of the object is left")
    return cast("dict[str, Any]", document)


def _operate(document: Any, operation: Mapping[str, Any], number: int) -> Any:
    op, path = str(operation.get("op")), _pointer(operation.get("path"), number)
    match op:
        case "add" | "replace" | "test" if "value" not in operation:
            raise ConfigError(f"json patch: operation {number} ({op}) has no value")
        case "add":
            return _add(document, path, deepcopy(operation["value"]), number)
        case "replace":
            return _add(_remove(document, path, number), path, deepcopy(operation["value"]), number)
        case "remove":
            return _remove(document, path, number)
        case "move":
            source = _pointer(operation.get("from"), number)
            value = _get(document, source, number)
            return _add(_remove(document, source, number), path, value, number)
        case "copy":
            return _add(
                document, path, deepcopy(_get(document, _pointer(operation.get("from"), number), number)), number
            )
        case "test":
            if _get(document, path, number) != operation["value"]:
                raise ConfigError(f"json patch: the test of {operation['path']} failed")
            return document
        case _:
            raise ConfigError(
                f"json patch: operation {number}: {op!r} is none of add, remove, replace, move, copy, test"
            )


def _pointer(text: Any, number: int) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise ConfigError(f"json patch: operation {number} has no path such as /data/key")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _get(document: Any, path: Sequence[str], number: int) -> Any:
    for key in path:
        try:
            document = document[_index(key)] if isinstance(document, list) else document[key]
        except (KeyError, IndexError, TypeError):
            raise ConfigError(f"json patch: operation {number}: there is nothing at /{'/'.join(path)}") from None
    return document


def _index(key: str) -> int:
    if not key.isdecimal() or len(key) > 9:
        raise IndexError(key)
    return int(key)


def _add(document: Any, path: Sequence[str], value: Any, number: int) -> Any:
    if not path:
        return value
    parent, key = _get(document, path[:-1], number), path[-1]
    if isinstance(parent, list):
        items = cast("list[Any]", parent)
        at = len(items) if key == "-" else int(key) if key.isdecimal() and len(key) < 10 else -1
        if not 0 <= at <= len(items):
            raise ConfigError(f"json patch: operation {number}: {key} is no place in that list")
        items.insert(at, value)
    elif isinstance(parent, dict):
        cast("dict[str, Any]", parent)[key] = value
    else:
        raise ConfigError(f"json patch: operation {number}: /{'/'.join(path[:-1])} is neither map nor list")
    return document


def _remove(document: Any, path: Sequence[str], number: int) -> Any:
    if not path:
        return None
    _get(document, path, number)
    parent, key = _get(document, path[:-1], number), path[-1]
    del parent[int(key) if isinstance(parent, list) else key]
    return document
