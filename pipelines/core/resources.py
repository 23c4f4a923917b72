"""What a run has used: how long its steps held what they asked for, by the name of the resource. Pure.

The numbers are those of Argo's `resourcesDuration`: seconds, times the amount over a base amount (one CPU, 100 MiB of
memory, 10 GiB of storage, one of everything else). So `{"nvidia.com/gpu": 3600}` is one GPU for one hour, or two for
half an hour. Unlike there, a step that asks for nothing has used nothing: a local process has no default request.

Source: https://argo-workflows.readthedocs.io/en/latest/resource-duration/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from pipelines.core.nodes import Node

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([eE][+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i)?)")
_FACTORS = {
    "": 1.0,
    **{sign: 1000.0**power for power, sign in enumerate("kMGTPE", 1)},
    **{f"{sign}i": 1024.0**power for power, sign in enumerate("KMGTPE", 1)},
    "m": 1e-3,
    "u": 1e-6,
    "n": 1e-9,
}
_BASES = {"memory": 100 * 1024.0**2, "storage": 10 * 1024.0**3, "ephemeral-storage": 10 * 1024.0**3}


def quantity(text: object) -> float | None:
    """A Kubernetes quantity such as `500m`, `2Gi` or `1`; None where it is none."""
    found = _QUANTITY.fullmatch(str(text).strip())
    if found is None:
        return None
    return float(found[1] + (found[2] or "")) * _FACTORS[found[3] or ""]


def amounts(template: Mapping[str, Any]) -> dict[str, float]:
    """What a pod asks for, in base amounts: the requests of its containers, and limits where there is no request.

    Init containers run before the others and are not added to them.
    """
    return asked_by(_containers(template))


def asked_by(containers: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """What these containers of a pod ask for together, in base amounts."""
    found: dict[str, float] = {}
    for body in containers:
        asked: Mapping[str, Any] = body.get("resources") or {}
        for name, text in {**(asked.get("limits") or {}), **(asked.get("requests") or {})}.items():
            amount = quantity(text)
            if amount:
                found[str(name)] = found.get(str(name), 0.0) + amount / _BASES.get(str(name), 1.0)
    return found


def _containers(template: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for kind in ("container", "script"):
        if template.get(kind):
            yield template[kind]
    yield from (template.get("containerSet") or {}).get("containers") or ()
    yield from template.get("sidecars") or ()


def held(template: Mapping[str, Any], began: datetime | None, ended: datetime | None) -> dict[str, float]:
    """Resource -> seconds, of one process that ran from `began` to `ended`."""
    if began is None or ended is None:
        return {}
    seconds = max(0.0, (ended - began).total_seconds())
    return {name: round(amount * seconds, 3) for name, amount in amounts(template).items()}


def used(nodes: Iterable[Node], since: datetime | None) -> dict[str, float]:
    """The sum over the steps that ended from `since` on: what an earlier life of a retried run used is not in it."""
    total: dict[str, float] = {}
    for node in nodes:
        if node.resources and (since is None or node.finished_at is None or node.finished_at >= since):
            for name, seconds in node.resources.items():
                total[name] = round(total.get(name, 0.0) + seconds, 3)
    return total
