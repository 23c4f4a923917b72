"""Objects of a Kubernetes cluster, of whatever kind its discovery knows, for the `k8s` trigger.

What the API server refuses is told as `retrain.kube` tells it apart; where something can be done about it, the message
says what.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import anyio

from pipelines.kubernetes.creating import AT_ONCE, OpenCluster
from pipelines.kubernetes.patching import merge_patch
from retrain.errors import ConfigError, NotFound, Refused, Transient
from retrain.kube import (
    AlreadyExists,
    Cluster,
    Conflict,
    Denied,
    KindMissing,
    NamespaceMissing,
    Patch,
    Resource,
)
from triggers.object_change import adjusted
from triggers.object_request import APPLY, JSON, MERGE, STRATEGIC

FIRING = "retrain.dev/firing"
CHANGED = "retrain.dev/changed-by"
"""The annotation of an object that names the firing of the last change that must not be made twice."""
HOW: Mapping[str, Patch] = {MERGE: "merge", JSON: "json", STRATEGIC: "strategic", APPLY: "apply"}
OURS = ("retrain.dev/", "app.kubernetes.io/managed-by")
TRIES = 3
"""Of a change that is made of what was read: how often it is read again when somebody was faster."""

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an object is."""

    server: Cluster
    resource: Resource
    namespace: str
    name: str

    @property
    def all(self) -> str:
        return self.resource.at(self.namespace)

    @property
    def one(self) -> str:
        return self.resource.at(self.namespace, self.name)

    def fitted(self, body: Mapping[str, Any]) -> Object:
        """The object as this place takes it: one without namespaces says none."""
        metadata = {key: value for key, value in body["metadata"].items() if key != "namespace"}
        return {**body, "metadata": {**metadata, **({"namespace": self.namespace} if self.resource.namespaced else {})}}

    @property
    def words(self) -> str:
        """What people call it."""
        where = f"{self.namespace}/" if self.resource.namespaced else ""
        return f"{self.resource.kind} {where}{self.name}"


class KubeObjects:
    """All objects of a cluster. `namespace`: where those are that do not say."""

    def __init__(self, cluster: OpenCluster, namespace: Callable[[], Awaitable[str]]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._room = anyio.CapacityLimiter(AT_ONCE)

    async def namespace(self) -> str:
        """Where objects are that do not say."""
        return await self._namespace()

    async def create(self, body: Mapping[str, Any]) -> Object:
        """Create it; one that the same firing has made is the one that was wanted."""
        async with self._at(body) as place:
            return await self._create(place, body)

    async def change(self, body: Mapping[str, Any], how: str, new: Mapping[str, Any] | None, mark: str) -> Object:
        """Patch the object of its name; make `new` where there is none."""
        async with self._at(body) as place:
            try:
                if HOW[how] == "apply":
                    return await self._apply(place, body, new)
                if HOW[how] == "json":
                    return await self._patch_once(place, body.get("patch"), mark)
                return await place.server.patch(place.one, place.fitted(body), HOW[how])
            except (KindMissing, NamespaceMissing):
                raise
            except Conflict as error:
                if HOW[how] == "apply":  # a field is another manager's, and stays so
                    raise
                raise Transient(f"{place.words} is changed all the time by somebody else: {error}") from error
            except NotFound:
                if new is None:
                    raise
                return await self._create(place, new)

    async def adjust(self, body: Mapping[str, Any], steps: tuple[Mapping[str, Any], ...], mark: str) -> Object:
        """Put values into the object as it is."""
        async with self._at(body) as place:
            for _ in range(TRIES):
                found = await place.server.get(place.one)
                if _changed_by(found) == mark:
                    return found
                patch = merge_patch(found, _marked(adjusted(found, steps), mark))
                patch["metadata"] = {**patch.get("metadata", {}), "resourceVersion": _version(found)}
                try:
                    return await place.server.patch(place.one, patch)
                except Conflict:
                    continue
            raise Transient(f"{place.words} is changed all the time by somebody else")

    async def delete(self, body: Mapping[str, Any]) -> None:
        """Delete the object of its name, and what it owns with it; nothing happens where there is none."""
        async with self._at(body) as place:
            try:
                await place.server.delete(place.one)
            except KindMissing:
                raise
            except NotFound:
                return

    async def get(self, body: Mapping[str, Any]) -> Object | None:
        """The object of its name as it is now; None where there is none."""
        async with self._at(body) as place:
            try:
                return await place.server.get(place.one)
            except KindMissing:
                raise
            except NotFound:
                return None

    # --- how ---------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _at(self, body: Mapping[str, Any]) -> AsyncGenerator[_Place]:
        """Where the object is. What the server refuses meanwhile is said with what would help."""
        api_version, kind = str(body.get("apiVersion") or ""), str(body.get("kind"))
        metadata: Mapping[str, Any] = body.get("metadata") or {}
        server = await self._connected(f"{kind} of {api_version}")
        try:
            resource = await server.resource(api_version, kind)
        except KindMissing as error:
            hint = "install its CRD (its operator brings it), and redrive this"
            raise KindMissing(f"the cluster knows no {kind} of {api_version}: {hint}") from error
        namespace = str(metadata.get("namespace") or await self._namespace())
        try:
            async with self._room:
                yield _Place(server, resource, namespace, str(metadata.get("name") or ""))
        except Denied as error:
            raise Denied(_with_rule(error, resource, namespace), error.verb, error.resource) from error

    async def _connected(self, what: str) -> Cluster:
        try:
            return await self._cluster()
        except ConfigError as error:
            hint = "set kubernetes.kubeconfig, or let the sensor create a Workflow"
            raise ConfigError(f"a {what} is an object of a cluster, and none is reached: {error}; {hint}") from error

    async def _create(self, place: _Place, body: Mapping[str, Any]) -> Object:
        try:
            return await place.server.create(place.all, place.fitted(body))
        except AlreadyExists:
            found = await place.server.get(place.one)
        if _label(found, FIRING) != _label(body, FIRING):
            raise Refused(
                f"there is a {place.words} already, and this firing has not made it; "
                "give the object metadata.generateName in the place of a name, or use the operation update"
            )
        return found

    async def _apply(self, place: _Place, body: Mapping[str, Any], new: Mapping[str, Any] | None) -> Object:
        """Apply with our labels in it: whoever applies and leaves a field out that it has set takes it away."""
        try:
            found = await place.server.get(place.one)
        except (KindMissing, NamespaceMissing):
            raise
        except NotFound:
            return await place.server.patch(place.one, place.fitted(new if new is not None else body), "apply")
        labels: Mapping[str, Any] = found["metadata"].get("labels") or {}
        ours = {name: value for name, value in labels.items() if name.startswith(OURS)}
        return await place.server.patch(place.one, _labelled(place.fitted(body), ours), "apply")

    async def _patch_once(self, place: _Place, steps: Any, mark: str) -> Object:
        """A JSON patch, which done twice is another: the object is told whose it was last."""
        found = await place.server.get(place.one)
        if _changed_by(found) == mark:
            return found
        annotations: Any = found["metadata"].get("annotations")
        path = f"/metadata/annotations/{CHANGED.replace('/', '~1')}"
        marking = {"op": "add", "path": path, "value": mark}
        if not annotations:
            marking = {"op": "add", "path": "/metadata/annotations", "value": {CHANGED: mark}}
        operations = cast("list[Any]", steps) if isinstance(steps, list) else []
        return await place.server.patch(place.one, [marking, *operations], "json")


def _with_rule(error: Denied, resource: Resource, namespace: str) -> str:
    if not error.verb:
        return f"{error}; the cluster does not know who asks: look at kubernetes.kubeconfig, or the pod's token"
    role = f"a Role in {namespace}" if resource.namespaced else "a ClusterRole"
    rule = f'{{apiGroups: ["{resource.group}"], resources: ["{error.resource}"], verbs: ["{error.verb}"]}}'
    return f"{error}; what is missing is {role} with the rule {rule}, bound to who asks"


def _labelled(body: Mapping[str, Any], labels: Mapping[str, Any]) -> Object:
    metadata = dict(body["metadata"])
    return {**body, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), **labels}}}


def _marked(body: Mapping[str, Any], mark: str) -> Object:
    metadata = dict(body["metadata"])
    return {**body, "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), CHANGED: mark}}}


def _changed_by(found: Mapping[str, Any]) -> str:
    return str((found["metadata"].get("annotations") or {}).get(CHANGED) or "")


def _label(found: Mapping[str, Any], name: str) -> str:
    return str(((found.get("metadata") or {}).get("labels") or {}).get(name) or "")


def _version(found: Mapping[str, Any]) -> str:
    return str(found["metadata"]["resourceVersion"])
