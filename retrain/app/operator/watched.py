"""Which kinds are watched on a cluster, and how one object of them is named. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrain.kube import path_of
from retrain.roles import DEFAULT

Object = Mapping[str, Any]
"""An object as the API server gives it."""

ARGO = "argoproj.io"
OURS = "retrain.dev"


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind that is watched. `told`: its objects get a status. `needed`: without it nothing can be said to run;
    what is not needed is passed over where the cluster does not have it, or it may not be read."""

    group: str
    version: str
    kind: str
    plural: str
    told: bool = True
    needed: bool = True
    namespaced: bool = True

    @property
    def resource(self) -> str:
        """As kubectl has it: `sensors.argoproj.io`."""
        return f"{self.plural}.{self.group}"

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Where its objects are; without `namespace` those of all namespaces."""
        within = namespace if self.namespaced else ""
        return path_of(self.group, self.version, self.plural, within, name, subresource)


WATCHED = (
    Watched(ARGO, "v1alpha1", "EventBus", "eventbus"),
    Watched(ARGO, "v1alpha1", "EventSource", "eventsources"),
    Watched(ARGO, "v1alpha1", "Sensor", "sensors"),
    Watched(OURS, "v1", "EventSource", "eventsources"),
    Watched(OURS, "v1", "Sensor", "sensors"),
    Watched(OURS, "v1", "Promotion", "promotions"),
)
TEMPLATES = (
    Watched(ARGO, "v1alpha1", "WorkflowTemplate", "workflowtemplates", told=False, needed=False),
    Watched(
        ARGO, "v1alpha1", "ClusterWorkflowTemplate", "clusterworkflowtemplates", False, needed=False, namespaced=False
    ),
)
"""What sensors' workflows may refer to. With all namespaces they are not read: the local engine knows one of a name."""

BY_KIND = {(one.api_version, one.kind): one for one in (*WATCHED, *TEMPLATES)}


def watched_of(all_namespaces: bool) -> tuple[Watched, ...]:
    """The kinds that are watched."""
    return WATCHED if all_namespaces else (*WATCHED, *TEMPLATES)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One object among all. `resource` as kubectl has it: `sensors.argoproj.io`."""

    resource: str
    namespace: str
    name: str

    @classmethod
    def of(cls, found: Object) -> Key:
        """The key of an object of a kind that is watched."""
        metadata = found["metadata"]
        watched = BY_KIND[found["apiVersion"], found["kind"]]
        within = str(metadata.get("namespace") or DEFAULT) if watched.namespaced else ""
        return cls(watched.resource, within, str(metadata["name"]))

    def __str__(self) -> str:
        """As findings name it, in the place of a file: `team-a/sensors.argoproj.io/pairs`."""
        return "/".join(one for one in (self.namespace, self.resource, self.name) if one)
