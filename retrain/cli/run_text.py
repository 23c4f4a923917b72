"""A run in words, as `argo get` says it: what it is, how it stands, then its tree in columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipelines.pictures.reading import (
    OVER,
    Node,
    began,
    ended,
    icon_of,
    in_words,
    label_of,
    lasted,
    moment,
    name_of,
    nodes_of,
    parameters_of,
    plain,
    waits_for_people,
)
from pipelines.pictures.tree import Keep, rows
from retrain.cli.run_grid import COLUMNS, Line, Width
from retrain.cli.run_waits import waits_of

COLOURS: Mapping[str, str] = {
    "Pending": "yellow",
    "Running": "cyan",
    "Succeeded": "green",
    "Skipped": "white",
    "Omitted": "white",
    "Failed": "red",
    "Error": "red",
}
TIMED = frozenset({"Pod", "Container", "HTTP", "Suspend"})
"""Types whose time is told: the others take as long as what is in them."""
AMOUNTS = {"cpu": "1 cpu", "memory": "100Mi memory"}
"""What a second of each resource is a second of."""


def status_of(run: Mapping[str, Any]) -> str:
    """The phase of a run, as Argo's list says it: `Running (Suspended)`, `Failed (Terminated)`."""
    status: Mapping[str, Any] = run.get("status") or {}
    spec: Mapping[str, Any] = run.get("spec") or {}
    phase = str(status.get("phase") or "Pending")
    if phase not in OVER:
        waits = spec.get("suspend") or status.get("parked")
        waits = waits or any(waits_for_people(node) for node in nodes_of(run).values())
        return f"{phase} (Suspended)" if waits else phase
    ending = {"Stop": "Stopped", "Terminate": "Terminated"}.get(str(spec.get("shutdown") or ""))
    return f"{phase} ({ending})" if ending and phase != "Succeeded" else phase


def head(run: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """What is said before the tree."""
    status: Mapping[str, Any] = run.get("status") or {}
    metadata: Mapping[str, Any] = run.get("metadata") or {}
    parts: list[tuple[str, Any]] = [
        ("Name", name_of(run)),
        ("Namespace", metadata.get("namespace")),
        ("Status", status_of(run)),
        ("Waits for", waits_of(run)),
        ("Message", status.get("message")),
        ("Created", _when(metadata.get("creationTimestamp"), now)),
        ("Started", _when(status.get("startedAt"), now)),
        ("Finished", _when(status.get("finishedAt"), now)),
        ("Duration", lasted(status, now)),
        ("Progress", status.get("progress")),
        ("ResourcesDuration", resources(status.get("resourcesDuration") or _summed(run))),
    ]
    for title, value in parts:
        if value:
            yield f"{title + ':':<20} {plain(str(value))}"
    yield from _values("Parameters:", parameters_of((run.get("spec") or {}).get("arguments")))
    yield from _values("Output Parameters:", parameters_of(status.get("outputs")))
    yield from _values("Output Artifacts:", _artifacts(status.get("outputs") or {}))


def lines(
    run: Mapping[str, Any], now: datetime, width: Width = "table", *, utf8: bool = True, keep: Keep | None = None
) -> Iterator[Line]:
    """The tree, line by line, without its title."""
    for row in rows(run, utf8=utf8, keep=keep):
        if row.node is None:
            yield Line("", "", "", ("",) * (len(COLUMNS[width]) - 1))
        else:
            name = f"{icon_of(row.node, utf8=utf8)} {label_of(row.node)}"
            colour = COLOURS.get(str(row.node.get("phase")), "")
            yield Line(row.prefix, name, colour, _cells(row.node, now, width))


def resources(amounts: Mapping[str, Any] | None) -> str:
    """Seconds of resources, as Argo says them."""
    return ",".join(f"{value:.0f}s*({AMOUNTS.get(name, f'1 {name}')})" for name, value in (amounts or {}).items())


def _cells(node: Node, now: datetime, width: Width) -> tuple[str, ...]:
    reference: Mapping[str, Any] = node.get("templateRef") or {}
    template = f"{reference.get('name')}/{reference.get('template')}" if reference else node.get("templateName") or ""
    is_pod = node.get("type") == "Pod"
    took = "" if node.get("type") == "Skipped" else lasted(node, now)
    message = plain(str(node.get("message") or ""))
    if not message and node.get("progress") and node.get("phase") == "Running":
        message = plain(str(node["progress"]))
    cells = [plain(str(template)), _pod_name(node) if is_pod else "", took if node.get("type") in TIMED else ""]
    if width != "wide":
        return (*cells, message)
    names = ",".join(name for name, _ in _artifacts(node.get("outputs") or {}))
    return (*cells, names, message, resources(node.get("resourcesDuration")))


def _pod_name(node: Node) -> str:
    """The name of a node's pod. Ids are `<workflow>-<number>`, pods `<workflow>-<template>-<number>`."""
    from pipelines.core.naming import pod_name

    workflow = str(node["id"]).removesuffix(f"-{str(node['id']).rpartition('-')[2]}")
    if node["id"] == node["name"]:
        return plain(str(node["name"]))
    return plain(pod_name(workflow, str(node["name"]), str(node.get("templateName") or "")))


def _values(title: str, values: Iterator[tuple[str, str]]) -> Iterator[str]:
    for index, (name, value) in enumerate(values):
        if not index:
            yield title
        yield f"{f'  {name}:':<20} {plain(value)}"


def _artifacts(outputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    artifacts: Sequence[Mapping[str, Any]] = outputs.get("artifacts") or ()
    for one in artifacts:
        place: Mapping[str, Any] = one.get("s3") or one.get("gcs") or one.get("http") or {}
        yield plain(str(one.get("name"))), str(place.get("key") or place.get("url") or "")


def _when(text: Any, now: datetime) -> str:
    time = moment(text)
    if time is None:
        return ""
    ago = (now - time).total_seconds()
    near = "now" if abs(ago) < 1 else f"{in_words(ago)} ago" if ago > 0 else f"{in_words(-ago)} from now"
    return f"{time.astimezone(UTC).strftime('%a %b %d %H:%M:%S %z')} ({near})"


def _summed(run: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for node in nodes_of(run).values():
        amounts: Mapping[str, float] = (node.get("resourcesDuration") or {}) if node.get("type") == "Pod" else {}
        for name, value in amounts.items():
            found[name] = found.get(name, 0) + value
    return found


def is_over(run: Mapping[str, Any]) -> bool:
    """Whether a run has ended."""
    return str((run.get("status") or {}).get("phase")) in OVER


def took(run: Mapping[str, Any], now: datetime) -> str:
    """How long a run took, or takes so far."""
    status: Mapping[str, Any] = run.get("status") or {}
    return lasted(status, now) if began(status) or ended(status) else ""
