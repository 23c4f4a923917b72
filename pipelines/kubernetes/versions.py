"""Which Argo Workflows a cluster has: read off its controller's image, or off what its definitions know. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

_TAG = re.compile(r":v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+._].*)?$")
CONTROLLER = "workflow-controller"
EXECUTOR = "--executor-image"


class Version(NamedTuple):
    """A version of Argo Workflows."""

    major: int
    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def of_image(image: str) -> Version | None:
    """The version in an image's tag; None where it has none that says it (`latest`, a digest)."""
    found = _TAG.search(image.partition("@")[0])
    return Version(int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def of_deployments(deployments: list[Mapping[str, Any]]) -> Version | None:
    """That of the controller among Deployments: of its own image, else of the executor that it names."""
    for container in _controllers(deployments):
        words = [str(one) for one in (*(container.get("command") or ()), *(container.get("args") or ()))]
        executors = [after for word, after in pairwise(words) if word == EXECUTOR]
        executors += [word.partition("=")[2] for word in words if word.startswith(f"{EXECUTOR}=")]
        for image in (str(container.get("image") or ""), *executors):
            if version := of_image(image):
                return version
    return None


def _controllers(deployments: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for one in deployments:
        pod: Mapping[str, Any] = ((one.get("spec") or {}).get("template") or {}).get("spec") or {}
        for container in pod.get("containers") or ():
            command = [str(word) for word in (container.get("command") or ())]
            if CONTROLLER in str(container.get("image") or "") or CONTROLLER in command[:1]:
                yield container


def of_pods(pods: list[Mapping[str, Any]]) -> Version | None:
    """That of the executor in the pods of a workflow, which is the controller's."""
    for pod in pods:
        spec: Mapping[str, Any] = pod.get("spec") or {}
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
            image = str(container.get("image") or "")
            if "argoexec" in image and (version := of_image(image)):
                return version
    return None


def of_definition(definition: Mapping[str, Any]) -> Version | None:
    """The oldest version whose Workflows have the fields of a CustomResourceDefinition; None where it lists none, as
    the minimal one does that Argo installs by default."""
    spec: Any = _properties(definition, "spec")
    synchronization = ((spec or {}).get("synchronization") or {}).get("properties") or {}
    if not synchronization:
        return None
    if "mutex" not in synchronization:
        return Version(4, 0)
    return Version(3, 6) if "mutexes" in synchronization else Version(3, 5)


def _properties(definition: Mapping[str, Any], name: str) -> Any:
    for version in (definition.get("spec") or {}).get("versions") or ():
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        return ((schema.get("properties") or {}).get(name) or {}).get("properties")
    return None
