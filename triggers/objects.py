"""The `k8s` trigger: create, update, patch or delete an object.

Workflows of the local engine are runs in the store, so exactly once. Any other object, and a Workflow for Argo's
controller, is on a cluster: the firing's id makes its name, so that a repetition is known as one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection

from retrain.errors import Permanent
from retrain.events import JsonValue
from triggers.argo_workflow import record_run
from triggers.cluster_objects import ClusterObjects
from triggers.cluster_workflows import engine_wanted, make
from triggers.local_objects import LocalObjects
from triggers.object_policy import read_policy
from triggers.object_request import read_request
from triggers.port import CREATED, Firing, Later, StoreTrigger, Tools
from triggers.workflow_request import Submission, finished


class KubernetesTrigger:
    """Objects, wherever they are."""

    topic = "runs"

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._local = LocalObjects(tools)
        self._cluster = None if tools.objects is None else ClusterObjects(tools.objects, tools)

    def asks(self, firing: Firing) -> bool:
        """Whether it is about an object of a cluster."""
        if self._cluster is None or CREATED in firing.action:
            return False
        return not _is_workflow(firing.action) or self._tools.engine == "argo" or _has_annotations(firing.action)

    async def prepare(self, firing: Firing) -> Firing:
        """The firing with its object on the cluster; as it is where the local engine has it.

        Raises:
            Permanent, Refused, ConfigError, NotFound: it cannot be.
            Transient: the cluster takes nothing now.
        """
        if self._cluster is None or (_is_workflow(firing.action) and self._is_local(firing)):
            return firing
        if _is_created_workflow(firing):
            read_policy(firing.action.get("policy"))
            return await make(_submission(firing), firing, self._tools)
        return await self._cluster.prepare(firing)

    def record(self, connection: Connection, firing: Firing, now: datetime) -> JsonValue | Later:
        """Write down what was done, or do it: what the local engine has is in the store.

        Raises:
            Permanent: what is asked for cannot be; the message says what.
        """
        if self._cluster is None or (_is_workflow(firing.action) and self._is_local(firing)):
            return self._local.record(connection, firing, now)
        if _is_created_workflow(firing):
            return record_run(connection, _submission(firing), firing, self._tools, now)
        return self._cluster.record(connection, firing, now)

    def _is_local(self, firing: Firing) -> bool:
        resource = cast("Mapping[str, Any]", firing.action.get("resource"))
        return engine_wanted(resource, self._tools) == "local"


def _is_workflow(action: Mapping[str, JsonValue]) -> bool:
    resource: Any = action.get("resource")
    if not isinstance(resource, Mapping):
        return True  # whoever takes Workflows says what is wrong
    version = str(resource.get("apiVersion") or "argoproj.io/v1alpha1")
    return resource.get("kind") in {None, "Workflow"} and version.startswith("argoproj.io/")


def _has_annotations(action: Mapping[str, JsonValue]) -> bool:
    metadata: Any = cast("Mapping[str, Any]", action.get("resource") or {}).get("metadata")
    return isinstance(metadata, Mapping) and bool(metadata.get("annotations"))


def _is_created_workflow(firing: Firing) -> bool:
    return _is_workflow(firing.action) and (firing.action.get("operation") or "create") == "create"


def _submission(firing: Firing) -> Submission:
    request = read_request(firing)
    if not request.name and not request.body["metadata"].get("generateName"):
        raise Permanent("k8s: the object has neither metadata.name nor metadata.generateName")
    return finished(request.body, firing)


@asynccontextmanager
async def open_k8s(tools: Tools) -> AsyncGenerator[StoreTrigger]:
    """Nothing to hold: the store is the way, and the platform has the cluster."""
    yield KubernetesTrigger(tools)
