"""How much an object has used: what its pods ask for, for as long as it ran. Pure.

No controller of a training tells what its pods used; what was asked for and could be used by nobody else is what a
budget of GPU hours counts. Pods that waited, or were gone before the end, make it too high; waiting in a queue before
the start is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.core.resources import asked_by
from pipelines.kubernetes.kinds.port import NOTHING, Reading
from pipelines.kubernetes.kinds.status import items, mapping

Amounts = Mapping[str, float]


def of_pods(template: Any, pods: int) -> Amounts:
    """What so many pods of a template ask for together: resource -> base amounts."""
    return many(asked_by(_sound(items(mapping(mapping(template).get("spec")).get("containers")))), pods)


def of_container(resources: Any, pods: int) -> Amounts:
    """What so many pods with one container ask for, by its `resources`."""
    return many(asked_by(_sound([{"resources": resources}])), pods)


def many(amounts: Amounts, times: int) -> Amounts:
    return {name: amount * times for name, amount in amounts.items()}


def together(parts: Iterable[Amounts]) -> Amounts:
    """The sum."""
    total: dict[str, float] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = round(total.get(name, 0.0) + amount, 3)
    return total


def used(amounts: Amounts, reading: Reading) -> Amounts:
    """Resource -> seconds, of something that ran as long as the whole; nothing before that has ended."""
    if reading.started is None or reading.finished is None:
        return NOTHING
    seconds = max(0.0, (reading.finished - reading.started).total_seconds())
    return {name: round(amount * seconds, 3) for name, amount in amounts.items()}


def _sound(containers: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """Only what has the shape of resources: who wrote it may have made a mistake, which is the API server's to tell."""
    for one in containers:
        resources = mapping(one.get("resources"))
        yield {"resources": {key: mapping(resources.get(key)) for key in ("limits", "requests")}}
