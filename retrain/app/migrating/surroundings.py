"""What else of Argo Events is in a cluster, and who calls its pods. Pure: objects in, what they are out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from retrain.events import JsonValue

OWNERS = ("EventSource", "Sensor", "EventBus")
IMAGE = re.compile(r"(^|/)argo-events(-\w+)?([:@]|$)")
SELECTED = ("eventsource-name", "owner-name", "eventsources.argoproj.io/eventsource-name")
"""Labels of a source's pods in the versions of Argo Events."""
CONTROLLER, PODS, SERVERS, SERVICE, OWN_SERVICE, HOOK = (
    "controller",
    "pods",
    "bus",
    "service",
    "own service",
    "admission webhook",
)


@dataclass(frozen=True, slots=True)
class Around:
    """An object beside the manifests. `role`: what it is to them; `of`: the EventSource, Sensor or EventBus; `replicas`
    None where that has no meaning."""

    role: str
    kind: str
    namespace: str
    name: str
    of: str = ""
    replicas: int | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """As scripts read it."""
        return {
            "role": self.role,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "of": self.of,
            "replicas": self.replicas,
        }


def around(found: Iterable[Mapping[str, Any]]) -> list[Around]:
    """What of these objects (Deployments, StatefulSets, Services) belongs to Argo Events, or leads to its pods."""
    return [one for each in found if (one := _around(each)) is not None]


def _around(found: Mapping[str, Any]) -> Around | None:
    owner = _owner(found)
    match str(found.get("kind")):
        case "Service":
            return _service(found, owner)
        case "Deployment" | "StatefulSet" if owner is not None:
            role = SERVERS if owner[0] == "EventBus" else PODS
            return _named(role, found, f"{owner[0]} {owner[1]}", _replicas(found))
        case "Deployment" if any(IMAGE.search(image) for image, _ in _containers(found)):
            hook = any("webhook-service" in words for _, words in _containers(found))
            return _named(HOOK if hook else CONTROLLER, found, "", _replicas(found))
        case _:
            return None


def _service(found: Mapping[str, Any], owner: tuple[str, str] | None) -> Around | None:
    if owner is not None:
        role = SERVERS if owner[0] == "EventBus" else SERVICE
        return _named(role, found, f"{owner[0]} {owner[1]}")
    selector: Mapping[str, Any] = (found.get("spec") or {}).get("selector") or {}
    source = next((str(selector[label]) for label in SELECTED if label in selector), "")
    return _named(OWN_SERVICE, found, f"EventSource {source}") if source else None


def _owner(found: Mapping[str, Any]) -> tuple[str, str] | None:
    for one in (found.get("metadata") or {}).get("ownerReferences") or ():
        if one.get("kind") in OWNERS and str(one.get("apiVersion", "")).startswith("argoproj.io/"):
            return str(one["kind"]), str(one.get("name", ""))
    return None


def _containers(found: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    pod: Any = ((found.get("spec") or {}).get("template") or {}).get("spec") or {}
    for one in pod.get("containers") or ():
        yield str(one.get("image", "")), [*(one.get("command") or ()), *(one.get("args") or ())]


def _replicas(found: Mapping[str, Any]) -> int:
    written = (found.get("spec") or {}).get("replicas")
    return 1 if written is None else int(written)


def _named(role: str, found: Mapping[str, Any], of: str, replicas: int | None = None) -> Around:
    metadata: Any = found.get("metadata") or {}
    return Around(
        role, str(found["kind"]), str(metadata.get("namespace", "")), str(metadata.get("name", "")), of, replicas
    )
