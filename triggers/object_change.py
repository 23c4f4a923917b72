"""What an update or a patch of a Workflow object changes, as far as a run can still be changed. Pure.

A run is shown as the object that Kubernetes would have, the change is made to that, and the difference is what is
asked of the run: its labels, and whether it is suspended or stopped. Any other difference is refused by name.

Source: RFC 7386 (merge patch), RFC 6902 (JSON patch).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from pipelines.host.control import COMPLETED_LABEL, OURS, PHASE_LABEL, Verb, labels_of
from retrain.errors import ConfigError, Permanent
from retrain.events import JsonValue
from retrain.expressions import compile_dest, compile_path, set_value
from retrain.store.runs import RunRow

Object = dict[str, Any]

_SHUTDOWN: dict[str, Verb] = {"Stop": "stop", "Terminate": "terminate"}
_MAX_OPERATIONS = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """What to do to a run: ask it for these, and give it these labels (None: those it has)."""

    verbs: tuple[Verb, ...] = ()
    labels: Mapping[str, str] | None = None


def shown(run: RunRow) -> Object:
    """A run as the object that a patch is made to."""
    written: Mapping[str, Any] = run.manifest.get("metadata") or {}
    metadata: Object = {"name": run.name, "namespace": run.namespace, "labels": labels_of(run)}
    if written.get("annotations"):
        metadata["annotations"] = dict(written["annotations"])
    spec: Object = copy.deepcopy(dict(run.manifest.get("spec") or {}))
    if run.control == "suspend":
        spec["suspend"] = True
    shutdown = next((word for word, verb in _SHUTDOWN.items() if verb == run.control), None)
    if shutdown is not None:
        spec["shutdown"] = shutdown
    version = run.manifest.get("apiVersion") or "argoproj.io/v1alpha1"
    return {"apiVersion": version, "kind": "Workflow", "metadata": metadata, "spec": spec}


def difference(run: RunRow, wanted: Mapping[str, JsonValue]) -> Change:
    """What to do to a run so that it is as `wanted`.

    Raises:
        Permanent: something else than labels, spec.suspend or spec.shutdown would change; it is named.
    """
    now = shown(run)
    paths = {path for path in _differing(now, wanted, "") if not path.startswith("status")}
    labels = {path for path in paths if path == "metadata.labels" or path.startswith("metadata.labels.")}
    other = sorted(paths - labels - {"spec.suspend", "spec.shutdown"})
    if other:
        raise Permanent(
            f"k8s: {other[0]} of a Workflow that is there cannot be changed here; what can are metadata.labels, "
            "spec.suspend and spec.shutdown"
        )
    spec: Mapping[str, Any] = wanted.get("spec") or {}
    verbs: list[Verb] = [*_shutdown(spec.get("shutdown"), "spec.shutdown" in paths)]
    if "spec.suspend" in paths:
        verbs.append("suspend" if spec.get("suspend") is True else "resume")
    return Change(tuple(verbs), _labels(wanted) if labels else None)


def _shutdown(word: JsonValue, differs: bool) -> tuple[Verb, ...]:
    if not differs:
        return ()
    if word not in _SHUTDOWN:
        raise Permanent(f"k8s: spec.shutdown is {' or '.join(_SHUTDOWN)}, and is not taken back; not {word!r}")
    return (_SHUTDOWN[str(word)],)


def _labels(wanted: Mapping[str, JsonValue]) -> dict[str, str]:
    labels: Any = (wanted.get("metadata") or {}).get("labels") or {}
    if not isinstance(labels, Mapping) or not all(isinstance(one, str) for one in cast("Any", labels).values()):
        raise Permanent("k8s: metadata.labels must be texts by name")
    engine = {PHASE_LABEL, COMPLETED_LABEL}
    return {name: str(value) for name, value in cast("Mapping[str, Any]", labels).items() if name not in engine}


def check_labels(run: RunRow, labels: Mapping[str, str]) -> None:
    """Refuse to change the platform's own labels: by them a run is found.

    Raises:
        Permanent: with the name of the label.
    """
    for name in sorted(set(run.labels) | set(labels)):
        if name.startswith(OURS) and run.labels.get(name) != labels.get(name):
            raise Permanent(f"k8s: label {name} is the platform's; it cannot be changed")


def _differing(one: JsonValue, other: JsonValue, path: str) -> list[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        before, after = cast("Mapping[str, Any]", one), cast("Mapping[str, Any]", other)
        found: list[str] = []
        for name in {**before, **after}:
            where = f"{path}.{name}" if path else str(name)
            found += _differing(before.get(name), after.get(name), where)
        return found
    return [] if one == other else [path]


# ---- the ways to change an object ----


def overlaid(old: JsonValue, new: JsonValue) -> JsonValue:
    """`update`: what the new object says goes over the old one, field by field; lists as a whole."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    before, after = cast("Mapping[str, Any]", old), cast("Mapping[str, Any]", new)
    return {**before, **{name: overlaid(before.get(name), value) for name, value in after.items()}}


def merged(old: JsonValue, patch: JsonValue) -> JsonValue:
    """A merge patch: as `overlaid`, and a null takes the field away."""
    if not isinstance(patch, Mapping):
        return patch
    result: Object = dict(cast("Mapping[str, Any]", old)) if isinstance(old, Mapping) else {}
    for name, value in cast("Mapping[str, Any]", patch).items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def adjusted(live: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> Object:
    """An object as it is, with values put into it: `[{"dest", "value", "operation"}]`.

    `append` and `prepend` put the text behind or before what is there.

    Raises:
        Permanent: a value does not fit where it should go.
    """
    document: Any = live
    for step in steps:
        dest, value = str(step.get("dest")), step.get("value")
        try:
            if step.get("operation") in {"append", "prepend"}:
                found = compile_path(dest).get(orjson.dumps(document).decode())
                old = "" if found is None else found.text()
                value = f"{old}{value}" if step.get("operation") == "append" else f"{value}{old}"
            document = set_value(document, compile_dest(dest), value)
        except ConfigError as error:
            raise Permanent(f"k8s: the value for {dest!r} does not fit into the object: {error}") from error
    return cast("Object", document)


def patched(old: Object, operations: JsonValue) -> Object:
    """A JSON patch: `[{"op", "path", "value"}]`, one after the other; all of them or none.

    Raises:
        Permanent: one cannot be read or done; it is named by its place.
    """
    if not isinstance(operations, Sequence) or isinstance(operations, str):
        raise Permanent("k8s: a JSON patch stands under `patch` in the object, as a list of operations")
    steps = cast("Sequence[Any]", operations)
    if len(steps) > _MAX_OPERATIONS:
        raise Permanent(f"k8s: a JSON patch has at most {_MAX_OPERATIONS} operations")
    document: Object = {"": copy.deepcopy(old)}
    for place, step in enumerate(steps):
        try:
            _apply(document, step)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise Permanent(f"k8s: operation {place} of the JSON patch cannot be done: {reason}") from error
    return document[""]


def _apply(document: Object, step: Mapping[str, Any]) -> None:
    path = _pointer(str(step["path"]))
    match step["op"]:
        case "add":
            _put(document, path, copy.deepcopy(step["value"]), insert=True)
        case "replace":
            _find(document, path)
            _put(document, path, copy.deepcopy(step["value"]), insert=False)
        case "remove":
            _take(document, path)
        case "test":
            if _find(document, path) != step["value"]:
                raise ValueError(f"the test of {step['path']} failed")
        case "move":
            _put(document, path, _take(document, _pointer(str(step["from"]))), insert=True)
        case "copy":
            _put(document, path, copy.deepcopy(_find(document, _pointer(str(step["from"])))), insert=True)
        case other:
            raise ValueError(f"there is no operation {other!r}")


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(f"the path {text!r} does not begin with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")]


def _find(document: Any, path: Sequence[str]) -> Any:
    for part in path:
        document = document[_index(document, part)] if isinstance(document, list) else document[part]
    return document


def _index(items: Any, part: str) -> int:
    if not part.isdecimal() or int(part) >= len(items):
        raise IndexError(f"no item {part!r}")
    return int(part)


def _put(document: Any, path: Sequence[str], value: Any, *, insert: bool) -> None:
    holder, last = _find(document, path[:-1]), path[-1]
    if isinstance(holder, list):
        items = cast("list[Any]", holder)
        if insert:
            items.insert(len(items) if last == "-" or last == str(len(items)) else _index(items, last), value)
        else:
            items[_index(items, last)] = value
    else:
        holder[last] = value


def _take(document: Any, path: Sequence[str]) -> Any:
    holder, last = _find(document, path[:-1]), path[-1]
    return holder.pop(_index(holder, last)) if isinstance(holder, list) else holder.pop(last)
