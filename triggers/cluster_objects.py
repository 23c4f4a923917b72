"""The `k8s` trigger on a cluster: what is done to an object there, and the run that comes of it.

The cluster is asked before the firing's transaction, which then writes down what it answered. Whatever comes in between
it is asked again, and the object's name and labels say that it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection

from pipelines.kubernetes.kinds import kind_of
from pipelines.kubernetes.policy import check
from pipelines.kubernetes.sightings import RUN
from retrain.errors import Permanent
from retrain.events import JsonValue, parse_time
from retrain.store import runs
from retrain.store.runs import RunRow
from triggers.object_policy import Seen, judge, read_policy
from triggers.object_request import JSON, MERGE, Request, made_of, read_request
from triggers.port import CREATED, Firing, Later, Objects, Tools
from triggers.workflow_request import labels_from, run_id_of

SINCE = "since"
"""In a result: from when on the waits of the policy count."""


class ClusterObjects:
    """Objects of a cluster."""

    def __init__(self, objects: Objects, tools: Tools) -> None:
        self._objects = objects
        self._tools = tools

    async def prepare(self, firing: Firing) -> Firing:
        """Do it; the firing with the object as it is then, for `record`. One that has acted only looks.

        Raises:
            Transient: the cluster takes nothing now.
            Permanent, Refused, ConfigError, NotFound: it does not do this.
        """
        request = read_request(firing)
        read_policy(firing.action.get("policy"))
        namespace = request.namespace or self._tools.space_of(firing.sensor) or await self._objects.namespace()
        check(firing.chosen, self._tools.allow, namespace)
        request.body["metadata"]["namespace"] = namespace
        found = await (self._look(request, firing) if _has_acted(firing) else self._act(request, firing))
        return replace(firing, action={**firing.action, CREATED: _slim(found)})

    def record(self, connection: Connection, firing: Firing, now: datetime) -> JsonValue | Later:
        """Write down the run that it has become, if it has, and see what the firing's policy says.

        The result: `{"object", "uid"}`, and `{"run", "name"}` where the object is followed to its end.

        Raises:
            Permanent: the object has not become what the policy wants.
        """
        found: dict[str, Any] | None = firing.action[CREATED]
        if found is None:
            return {"object": read_request(firing).name}
        metadata: Mapping[str, Any] = found["metadata"]
        result: dict[str, JsonValue] = {"object": metadata["name"], "uid": metadata.get("uid")}
        if (run := run_made(found, firing, now)) is not None:
            runs.submit(connection, [run])
            result |= {"run": run.id, "name": run.name}
        since = _since(firing) or now
        verdict = judge(read_policy(firing.action.get("policy")), _seen(found, since), result, now)
        if isinstance(verdict, Later):
            return replace(verdict, result={**result, SINCE: since.isoformat()})
        return verdict

    async def _act(self, request: Request, firing: Firing) -> dict[str, Any] | None:
        objects, body = self._objects, request.body
        if request.operation == "delete":
            return await objects.delete(body)
        if request.operation == "create":
            return await objects.create(made_of(request, firing))
        if request.live is not None:
            return await objects.adjust(body, request.live, firing.id)
        if request.operation == "update":
            return await objects.change(cast("dict[str, Any]", _said(body)), MERGE, made_of(request, firing), firing.id)
        new = None if request.strategy == JSON else made_of(request, firing)
        return await objects.change(body, request.strategy, new, firing.id)

    async def _look(self, request: Request, firing: Firing) -> dict[str, Any]:
        made = made_of(request, firing) if request.operation == "create" else request.body
        if (found := await self._objects.get(made)) is None:
            raise Permanent(f"{made['kind']} {made['metadata']['name']} is not there any more: somebody has deleted it")
        return found


def run_made(found: Mapping[str, Any], firing: Firing, now: datetime) -> RunRow | None:
    """The run that an object is; None where this firing has not made it, or its end is not known."""
    metadata: Mapping[str, Any] = found["metadata"]
    run_id = run_id_of(firing.id)
    if (metadata.get("labels") or {}).get(RUN) != run_id or kind_of(found) is None:
        return None
    written = _metadata(cast("Mapping[str, Any]", firing.action.get("resource") or {}))
    generated = str(written.get("generateName") or "").rstrip("-")
    return RunRow(
        id=run_id,
        firing_id=firing.id,
        name=str(metadata["name"]),
        namespace=str(metadata.get("namespace") or ""),
        workflow=generated or str(metadata["name"]),
        manifest={key: value for key, value in found.items() if key != "status"},
        labels={**{key: str(value) for key, value in metadata["labels"].items()}, **labels_from(firing)},
        depth=firing.depth,
        created=now,
        priority=firing.priority or 0,
        engine="object",
        object={"metadata": dict(metadata), "status": found.get("status") or {}},
    )


def _seen(found: Mapping[str, Any], since: datetime) -> Seen:
    metadata: Mapping[str, Any] = found["metadata"]
    kind = kind_of(found)
    over = kind is not None and kind.read(found).over
    return Seen(str(metadata["name"]), metadata.get("labels") or {}, since, over, found)


def _has_acted(firing: Firing) -> bool:
    return isinstance(firing.result, Mapping) and SINCE in firing.result


def _since(firing: Firing) -> datetime | None:
    return parse_time(str(firing.result[SINCE])) if _has_acted(firing) else None


def _said(value: Any) -> Any:
    """What an object says: its fields but those that are null, which an update leaves as they are."""
    if not isinstance(value, Mapping):
        return value
    return {key: _said(one) for key, one in cast("Mapping[str, Any]", value).items() if one is not None}


def _slim(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {**found, "metadata": {key: one for key, one in _metadata(found).items() if key != "managedFields"}}


def _metadata(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return found.get("metadata") or {}
