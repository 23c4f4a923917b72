"""Ports that several EventSources name. Each had a pod of its own in Argo Events; here one process serves all. Pure.

Two may share a port as long as no request means both. Where one would, the younger object's port is served under
another number, and its Service leads there: callers notice nothing. Which number follows from the objects alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, cast

from retrain.app.operator.watched import Object
from retrain.app.projects.catalog import Item, build

FIRST, MANY = 12000, 1000
"""The ports that NetworkPolicies let through (deploy/kubernetes)."""
OF_PODS = frozenset({"template", "service", "replicas", "eventBusName"})

Moves = dict[int, int]
"""Of one EventSource: the port that is written -> the one that is served."""
Which = tuple[str, str]
"""Namespace and name."""


def moved(sources: Sequence[Object]) -> dict[Which, Moves]:
    """The ports that are served under another number. Older objects keep theirs."""
    written = {port for source in sources for port, _, _ in _routes(source)}
    taken: dict[int, dict[str, str]] = {}
    found: dict[Which, Moves] = {}
    for source in sorted(sources, key=_age):
        routes: dict[int, dict[str, str]] = {}
        for port, path, tls in _routes(source):
            routes.setdefault(port, {})[path] = tls
        which = (str(source["metadata"].get("namespace", "")), str(source["metadata"]["name"]))
        for port, paths in routes.items():
            if not _clash(paths, taken.get(port, {})):
                taken.setdefault(port, {}).update(paths)
                continue
            other = _free(f"{which[0]}/{which[1]}:{port}", written | taken.keys())
            taken[other] = dict(paths)
            found.setdefault(which, {})[port] = other
    return found


def served(items: Iterable[Item], moves: Mapping[str, Moves]) -> tuple[Item, ...]:
    """EventSources as they are served. `moves`: by the place of the document."""
    return tuple(_served(item, moves[item.document.file]) if item.document.file in moves else item for item in items)


def _served(item: Item, moves: Moves) -> Item:
    made, _ = build(replace(item.document, body=rewritten(item.document.body, moves)))
    return made or item


def rewritten(body: Mapping[str, Any], moves: Mapping[int, int]) -> dict[str, Any]:
    """An EventSource with its ports under the numbers that are served."""
    spec = {
        kind: entries if kind in OF_PODS else _entries(entries, moves)
        for kind, entries in cast("dict[str, Any]", body["spec"]).items()
    }
    return {**body, "spec": spec}


def _entries(entries: Any, moves: Mapping[int, int]) -> Any:
    if not isinstance(entries, dict):
        return entries
    named = cast("dict[str, Any]", entries)
    return {name: _entry(entry, moves) if isinstance(entry, dict) else entry for name, entry in named.items()}


def _entry(entry: Mapping[str, Any], moves: Mapping[int, int]) -> dict[str, Any]:
    changed = dict(entry)
    if (port := _number(entry.get("port"))) in moves and "endpoint" in entry:
        changed["port"] = str(moves[cast("int", port)])
    if isinstance(entry.get("webhook"), dict):
        changed["webhook"] = _entry(entry["webhook"], moves)
    return changed


def _routes(source: Object) -> Iterator[tuple[int, str, str]]:
    """What an EventSource serves: port, path, and with which certificate."""
    spec: Any = source.get("spec") or {}
    for kind, entries in spec.items():
        if kind in OF_PODS or not isinstance(entries, dict):
            continue
        for entry in cast("dict[str, Any]", entries).values():
            if isinstance(entry, dict):
                yield from _route(cast("dict[str, Any]", entry))


def _route(entry: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    hook: Any = entry.get("webhook") if isinstance(entry.get("webhook"), dict) else entry
    port, path = _number(hook.get("port")), hook.get("endpoint")
    if port is not None and isinstance(path, str):
        yield port, path, str(hook.get("serverCertSecret") or "")


def _clash(paths: Mapping[str, str], taken: Mapping[str, str]) -> bool:
    """A path is taken, or a port would have to show two certificates."""
    same = set(taken.values()) | set(paths.values())
    return bool(taken) and (not paths.keys().isdisjoint(taken) or len(same) > 1)


def _free(seed: str, taken: Iterable[int]) -> int:
    used = frozenset(taken)
    begin = int.from_bytes(sha256(seed.encode()).digest()[:4], "big") % MANY
    numbers = (FIRST + (begin + step) % MANY for step in range(MANY))
    return next((number for number in numbers if number not in used), FIRST + begin)


def _number(port: Any) -> int | None:
    text = str(port) if isinstance(port, str | int) and not isinstance(port, bool) else ""
    return int(text) if text.isdecimal() and 0 < int(text) < 65536 else None


def _age(source: Object) -> tuple[str, str, str]:
    metadata = source["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata.get("namespace", "")), str(metadata["name"])
