"""How much of the machine a pod asks for. Pure.

Amounts are in Kubernetes' units: cores, bytes, pieces. A container asks for its requests, and for its limits where it
has no request; a pod for what its containers ask for together, or for the largest of its init containers if that is
more.

Source: https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.core.resources import quantity
from pipelines.local.shapes import Container, init_containers, main_containers, sidecars
from retrain.errors import ConfigError

STEPS = "steps"
"""The resource that every pod takes one of: its place among those that run at once."""
_NOT_SCHEDULED = frozenset({"ephemeral-storage", "storage"})
_PLAIN = frozenset({"cpu", "memory"})

Amounts = Mapping[str, float]


def is_device(resource: str) -> bool:
    """Whether a resource comes in whole pieces that only a declaration gives, such as `nvidia.com/gpu`."""
    return resource not in _PLAIN and resource != STEPS


def container_demand(container: Container) -> dict[str, float]:
    """What one container asks for; none of it is zero.

    Raises:
        ConfigError: a quantity is none, or a part of a device is asked for.
    """
    asked: Mapping[str, Any] = container.get("resources") or {}
    found: dict[str, float] = {}
    for name, text in {**(asked.get("limits") or {}), **(asked.get("requests") or {})}.items():
        amount = quantity(text)
        if amount is None or amount < 0:
            raise ConfigError(f"resources: {name}: {text!r} is no quantity, such as 2, 500m or 4Gi")
        if is_device(name) and name not in _NOT_SCHEDULED and not name.startswith("hugepages-") and amount % 1:
            raise ConfigError(f"resources: {name}: {text!r} must be a whole number")
        if amount and name not in _NOT_SCHEDULED:
            found[str(name)] = amount
    return found


def pod_demand(template: Mapping[str, Any]) -> dict[str, float]:
    """What a pod asks for, without its place among the steps.

    Raises:
        ConfigError: as `container_demand`.
    """
    total = _sum(container_demand(one) for one in (*main_containers(template), *sidecars(template)))
    for one in init_containers(template):
        for name, amount in container_demand(one).items():
            total[name] = max(total.get(name, 0.0), amount)
    return total


def _sum(all_amounts: Iterable[Amounts]) -> dict[str, float]:
    total: dict[str, float] = {}
    for amounts in all_amounts:
        for name, amount in amounts.items():
            total[name] = total.get(name, 0.0) + amount
    return total
