"""Reading what controllers write into `status`, of whatever shape it is, and the nodes that a run shows of it. Pure.

Nothing here raises: a status is another program's, and what cannot be read counts as not said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from pipelines.core.nodes import to_rfc3339
from pipelines.kubernetes.kinds.port import NOTHING, Object, Phase, Reading
from retrain.events import JsonValue, parse_time

SUSPENDED = "suspended"
LONGEST = 1024
"""Characters of a controller's message that are kept."""


def mapping(value: Any) -> Mapping[str, Any]:
    """The object; an empty one for anything else."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else NOTHING


def items(value: Any) -> Sequence[Mapping[str, Any]]:
    """The objects in a list; none for anything else."""
    found = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("Mapping[str, Any]", one) for one in found if isinstance(one, Mapping)]


def texts(value: Any) -> list[str]:
    """The texts in a list; none for anything else."""
    found = cast("list[Any]", value) if isinstance(value, list) else []
    return [one for one in found if isinstance(one, str)]


def metadata_of(found: Object) -> Mapping[str, Any]:
    return mapping(found.get("metadata"))


def spec_of(found: Object) -> Mapping[str, Any]:
    return mapping(found.get("spec"))


def status_of(found: Object) -> Mapping[str, Any]:
    return mapping(found.get("status"))


def count(value: Any) -> int:
    """A number of things; 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def word(value: Any) -> str:
    """A text; empty for anything else."""
    return value[:LONGEST] if isinstance(value, str) else ""


def time_of(value: Any) -> datetime | None:
    """A time as Kubernetes writes it; None for anything else."""
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that is True. `at`: since when."""

    reason: str = ""
    message: str = ""
    at: datetime | None = None

    @property
    def text(self) -> str:
        """`Reason: message`, or what there is of it."""
        return ": ".join(part for part in (self.reason, self.message) if part)


def holding(found: Object) -> dict[str, Condition]:
    """The conditions of an object that are True, by type; of two of one type the later one."""
    return _conditions(found, "True")


def failing(found: Object) -> dict[str, Condition]:
    """Those that are False."""
    return _conditions(found, "False")


def _conditions(found: Object, status: str) -> dict[str, Condition]:
    return {
        word(one.get("type")): Condition(
            word(one.get("reason")), word(one.get("message")), time_of(one.get("lastTransitionTime"))
        )
        for one in items(status_of(found).get("conditions"))
        if one.get("status") == status
    }


def counted(pending: int, running: int, completed: int) -> str:
    """Pods as runs have them; empty where there are none."""
    return f"{max(0, pending)}/{running}/{completed}" if pending + running + completed > 0 else ""


def parameters(values: Iterable[tuple[str, str]]) -> JsonValue:
    """Outputs as Argo has them; None without any. Of two of one name the first counts."""
    named = {name: value for name, value in reversed(list(values)) if name}
    return (
        {"parameters": [{"name": name, "value": value} for name, value in reversed(named.items())]} if named else None
    )


@dataclass(frozen=True, slots=True)
class Part:
    """Something that an object is made of and that the run's tree shows: the workers of a training, a trial."""

    name: str
    phase: Phase
    message: str = ""
    used: Mapping[str, float] = field(default_factory=lambda: NOTHING)


def phase_of_pods(active: int, succeeded: int, failed: int) -> Phase:
    """The phase of a group of pods."""
    if active:
        return "Running"
    if failed:
        return "Failed"
    return "Succeeded" if succeeded else "Pending"


def with_nodes(found: Object, reading: Reading, parts: Sequence[Part] = ()) -> Reading:
    """The reading with its nodes: the object, and below it its parts. What was used stands with the pods."""
    name = word(metadata_of(found).get("name"))
    times = {"startedAt": to_rfc3339(reading.started), "finishedAt": to_rfc3339(reading.finished)}
    root = _node(name, name, "DAG" if parts else "Pod", reading.phase, reading.message)
    root |= times
    if reading.outputs:
        root["outputs"] = reading.outputs
    if reading.resources and not parts:
        root["resourcesDuration"] = dict(reading.resources)
    nodes = {name: root}
    for part in parts:
        key = f"{name}.{part.name}"
        nodes[key] = {**_node(key, part.name, "Pod", part.phase, part.message), **times, "boundaryID": name}
        nodes[key] |= {"resourcesDuration": dict(part.used)} if part.used else {}
    if parts:
        root["children"] = [key for key in nodes if key != name]
    return replace(reading, nodes=nodes)


def _node(key: str, name: str, kind: str, phase: Phase, message: str) -> dict[str, Any]:
    said = {"message": message} if message else {}
    return {"id": key, "name": key, "displayName": name, "type": kind, "phase": phase, **said}
