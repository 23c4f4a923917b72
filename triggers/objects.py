"""The `k8s` trigger: create, update, patch or delete an object.

Without a cluster the objects are the engine's runs: Workflows, in the store, so exactly once. With one
(`Tools.objects`) they are any objects, and the firing's id makes their names, so that a repetition is known as one.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

import structlog
from sqlalchemy import Connection

from pipelines.host import control
from retrain.clock import Clock
from retrain.errors import Permanent, Refused
from retrain.events import JsonValue, parse_time
from retrain.store import runs
from retrain.store.runs import RunRow
from triggers.argo_workflow import record_run
from triggers.object_change import check_labels, difference, merged, overlaid, patched, shown
from triggers.object_policy import Seen, judge, read_policy
from triggers.port import Firing, Later, Objects, StoreTrigger, Tools, Trigger
from triggers.workflow_request import finished

Operation = Literal["create", "update", "patch", "delete"]
OPERATIONS: tuple[Operation, ...] = ("create", "update", "patch", "delete")
FIELDS = frozenset({"kind", "operation", "patchStrategy", "liveObject", "resource", "retryStrategy", "policy"})
MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIES = (MERGE, JSON, "application/strategic-merge-patch+json", "application/apply-patch+yaml")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Request:
    """What a `k8s` firing asks for: `body` is the object; `strategy` the content type of a patch."""

    operation: Operation
    body: dict[str, Any]
    strategy: str

    @property
    def name(self) -> str:
        return str(self.body["metadata"].get("name") or "")

    @property
    def namespace(self) -> str:
        return str(self.body["metadata"].get("namespace") or "")


def read_request(firing: Firing) -> Request:
    """What a `k8s` firing asks for.

    Raises:
        Permanent: a field is not known, or the object is none.
    """
    action = firing.action
    if unknown := sorted(set(action) - FIELDS):
        raise Permanent(f"k8s.{unknown[0]} is not supported by this trigger; take it out of the sensor")
    operation = action.get("operation") or "create"
    if operation not in OPERATIONS:
        raise Permanent(f"k8s operation {operation!r} is unknown; there are {', '.join(OPERATIONS)}")
    strategy = action.get("patchStrategy") or MERGE
    if strategy not in STRATEGIES:
        raise Permanent(f"k8s patchStrategy {strategy!r} is unknown; there are {', '.join(STRATEGIES)}")
    if action.get("liveObject"):
        log.warning("trigger.live_object_ignored", firing_id=firing.id, sensor=firing.sensor, trigger=firing.trigger)
    request = Request(operation, _object(action.get("resource")), str(strategy))
    if operation != "create" and not request.name:
        raise Permanent(f"k8s {operation} needs the object's metadata.name")
    return request


def _object(resource: JsonValue) -> dict[str, Any]:
    if not isinstance(resource, Mapping):
        raise Permanent("k8s has no resource; write the object under source.resource")
    # The firing's action stays as it was recorded.
    body: dict[str, Any] = copy.deepcopy(dict(cast("Mapping[str, Any]", resource)))
    if not body.get("kind"):
        raise Permanent("k8s: the object has no kind")
    body.setdefault("metadata", {})
    for part in ("metadata", "spec"):
        if body.get(part) is None:
            body.pop(part, None)
        elif not isinstance(body[part], dict):
            raise Permanent(f"k8s: {part} of the object must be an object")
    body.setdefault("metadata", {})
    return body


class LocalObjects:
    """The engine's runs as objects."""

    topic = "runs"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def record(self, connection: Connection, firing: Firing, now: datetime) -> JsonValue | Later:
        """Write down what is asked; once only, whatever happens.

        The result: `{"run", "name"}` of a new run, else `{"object", "changed": [...]}`.

        Raises:
            Permanent: what is asked for cannot be here; the message says what.
        """
        request = read_request(firing)
        _check_kind(request)
        run = runs.named(connection, request.name, request.namespace) if request.operation != "create" else None
        match request.operation:
            case "delete":
                return _delete(connection, request, run)
            case "update" | "patch" if run is not None and run.firing_id != firing.id:
                if read_policy(firing.action.get("policy")) is not None:
                    raise Permanent(f"policy.k8s goes with what makes an object; {request.name} was there")
                return _change(connection, run, _wanted(request, run))
            case _:
                _check_new(request)
                submission = finished(request.body, firing)
                return record_run(connection, submission, firing, self._clock, now)


def _check_kind(request: Request) -> None:
    kind, version = request.body["kind"], str(request.body.get("apiVersion") or "argoproj.io/v1alpha1")
    if kind != "Workflow" or not version.startswith("argoproj.io/"):
        raise Permanent(
            f"k8s: the local engine has Workflows only, and {kind} of {version} needs a Kubernetes cluster; "
            "to run something here, create a Workflow"
        )
    if request.operation == "patch" and request.strategy not in {MERGE, JSON}:
        raise Permanent(
            f"k8s patchStrategy {request.strategy} is not for a Workflow: Kubernetes refuses it for its custom "
            f"resources; use {MERGE}"
        )


def _check_new(request: Request) -> None:
    if request.operation == "patch" and request.strategy == JSON:
        raise Permanent(f"k8s: there is no Workflow {request.name!r} to make a JSON patch to")
    metadata = request.body["metadata"]
    if not metadata.get("name") and not metadata.get("generateName"):
        raise Permanent("k8s: the object has neither metadata.name nor metadata.generateName")


def _wanted(request: Request, run: RunRow) -> dict[str, Any]:
    now = shown(run)
    if request.operation == "update":
        return overlaid(now, request.body)
    if request.strategy == JSON:
        return patched(now, request.body.get("patch"))
    # Where the sensor says nothing of the namespace, the run's own is meant.
    return merged(now, request.body)


def _change(connection: Connection, run: RunRow, wanted: dict[str, Any]) -> JsonValue:
    change = difference(run, wanted)
    for verb in change.verbs:
        try:
            control.ask(connection, run, verb)
        except Refused as error:
            raise Permanent(str(error)) from error
    changed: list[str] = list(change.verbs)
    if change.labels is not None:
        check_labels(run, change.labels)
        runs.relabel(connection, run.id, change.labels)
        changed.append("labels")
    return {"object": run.name, "id": run.id, "changed": changed}


def _delete(connection: Connection, request: Request, run: RunRow | None) -> JsonValue:
    """A run that is open ends at once. What is known of it stays: it is the history of what it led to."""
    if run is None:
        return {"object": request.name, "changed": []}
    ended = runs.ask(connection, run.id, "terminate")
    return {"object": run.name, "id": run.id, "changed": ["terminate"] if ended else []}


class ClusterObjects:
    """Objects of a cluster."""

    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock

    async def fire(self, firing: Firing, attempt: int) -> JsonValue | Later:
        """Act on the cluster. The result: `{"object", "uid"}`.

        Raises:
            Transient: the cluster takes nothing now.
            Permanent: it refuses, or the object has not become what the policy wants.
        """
        del attempt
        request = read_request(firing)
        policy = read_policy(firing.action.get("policy"))
        if request.operation == "delete":
            await self._objects.delete(request.body)
            return {"object": request.name}
        found = await self._act(request, firing)
        metadata: Mapping[str, Any] = found.get("metadata") or {}
        result: dict[str, JsonValue] = {"object": metadata.get("name"), "uid": metadata.get("uid")}
        seen = Seen(str(metadata.get("name")), metadata.get("labels") or {}, self._made(metadata), over=False)
        return judge(policy, seen, result, self._clock.now())

    async def _act(self, request: Request, firing: Firing) -> dict[str, JsonValue]:
        if request.operation == "patch":
            return await self._objects.patch(request.body, request.strategy)
        if request.operation == "update":
            return await self._objects.update(request.body)
        return await self._objects.create(finished(request.body, firing).manifest)

    def _made(self, metadata: Mapping[str, Any]) -> datetime:
        made = metadata.get("creationTimestamp")
        return parse_time(made) if isinstance(made, str) else self._clock.now()


@asynccontextmanager
async def open_k8s(tools: Tools) -> AsyncGenerator[Trigger | StoreTrigger]:
    """The cluster's objects where there is a cluster, else the engine's."""
    yield LocalObjects(tools.clock) if tools.objects is None else ClusterObjects(tools.objects, tools.clock)
