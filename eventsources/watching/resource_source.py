"""The resource source, running: objects are listed once, and watched from there on.

The store remembers the version that was watched up to, and of every object who it is and in which version. After a gap
the watch goes on from that version. Where the server has forgotten it, all is listed and compared: what is new, has
changed or is gone is told then, too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
from anyio.abc import TaskStatus

from eventsources.port import SourceContext, SourceState
from eventsources.trying import keep_trying
from eventsources.watching.resource import ADD, DELETE, TYPES, UPDATE, Meant, Resource, label_selector
from retrain.events import Event, JsonValue, parse_time
from retrain.kube import Cluster, Expired, cluster, path_of
from retrain.log import get_logger
from retrain.manifests.argo import Shape

log = get_logger()

PAGE = 1000
VERSION = "/version"
"""Kept among the objects; no object's name begins with a slash."""
CACHE = 64 * 1024 * 1024
"""Bytes of objects that are held, to tell what they were before they changed."""
NOISE = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(slots=True)
class Change:
    """What a batch leads to: events, and what is to be remembered when they are safe."""

    events: list[Event] = field(default_factory=list[Event])
    kept: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    gone: list[str] = field(default_factory=list[str])


class Before:
    """The newest state of objects, the oldest dropped where they are too many."""

    def __init__(self) -> None:
        self._objects: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def swap(self, name: str, now: Mapping[str, Any] | None) -> JsonValue:
        """What the object was; `now` is what it is (None: gone)."""
        old = self._objects.pop(name, b"")
        self._bytes -= len(old)
        if now is not None:
            self._objects[name] = orjson.dumps(now)
            self._bytes += len(self._objects[name])
        while self._bytes > CACHE:
            self._bytes -= len(self._objects.popitem(last=False)[1])
        return orjson.loads(old) if old else None


class ResourceSource:
    """One entry of `spec.resource`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Resource)
        self._spec = spec
        self._context = context
        self._wanted = frozenset(spec.event_types or TYPES)
        self._meant = Meant(spec.filter, ours=context.ours)
        self._tell_first = not (spec.filter is not None and spec.filter.after_start)
        selector = label_selector(spec.filter.labels) if spec.filter is not None else ""
        self._query = {"labelSelector": selector} if selector else {}
        self._path = path_of(spec.group, spec.version, spec.resource, spec.namespace)
        self._scope = sha256(f"{self._path}?{selector}".encode()).hexdigest()[:16]
        self._before = Before()

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._follow)

    async def _follow(self) -> None:
        async with cluster(self._context.read(self._spec.kubeconfig)) as server:
            while True:
                kept = await self._context.checkpoints.get(self._scope, [VERSION])
                try:
                    version = kept.get(VERSION)
                    if not (isinstance(version, str) and version):
                        version = await self._list(server, first=VERSION not in kept)
                    await self._watch(server, version)
                except Expired:
                    log.info("resource.expired", source=self._context.status.name)
                    await self._context.checkpoints.save(self._scope, {VERSION: ""})

    # --- looking -----------------------------------------------------------------------------------------------------

    async def _list(self, server: Cluster, *, first: bool) -> str:
        """Compare all that is there with what is known, then all that is known with what is there."""
        names: set[str] = set()
        version = ""
        async with aclosing(server.pages(self._path, self._query)) as pages:
            async for objects, version in pages:  # noqa: B007 - that of the last page counts
                found = {_name(one): one for one in objects}
                names |= found.keys()
                known = await self._context.checkpoints.get(self._scope, found)
                change = Change()
                for name, body in found.items():
                    self._compare(change, name, known.get(name), body, silent=first and not self._tell_first)
                await self._settle(change)
        after = ""
        while known := await self._context.checkpoints.after(self._scope, after, PAGE):
            after = max(known)
            change = Change()
            for name in known.keys() - names - {VERSION}:
                self._lose(change, name, known[name], None)
            await self._settle(change)
        await self._context.checkpoints.save(self._scope, {VERSION: version})
        return version

    async def _watch(self, server: Cluster, version: str) -> None:
        """Follow what changes until the server ends the watch."""
        async with aclosing(server.watch(self._path, self._query, version)) as batches:
            async for batch in batches:
                if batch:
                    await self._settle(await self._changes(batch))
                self._context.status.listening()

    async def _changes(self, batch: list[dict[str, Any]]) -> Change:
        known = await self._context.checkpoints.get(self._scope, {_name(one["object"]) for one in batch})
        change = Change()
        for one in batch:
            body: dict[str, Any] = one["object"]
            name = _name(body)
            if one["type"] in ("ADDED", "MODIFIED"):
                self._compare(change, name, known.get(name), body)
                known[name] = change.kept.get(name)
            elif one["type"] == "DELETED":
                self._lose(change, name, known.get(name), body)
                known[name] = change.kept.get(name)
            change.kept[VERSION] = str(body["metadata"]["resourceVersion"])
        return change

    async def _settle(self, change: Change) -> None:
        await self._context.deliver(change.events)
        if change.gone:
            await self._context.checkpoints.forget(self._scope, change.gone)
        if change.kept:
            await self._context.checkpoints.save(self._scope, change.kept)

    # --- comparing ---------------------------------------------------------------------------------------------------

    def _compare(
        self, change: Change, name: str, known: JsonValue, body: dict[str, Any], *, silent: bool = False
    ) -> None:
        """An object that is there. `known` is what is remembered of it."""
        metadata: dict[str, Any] = body["metadata"]
        before: Mapping[str, Any] = known if isinstance(known, dict) else {}
        turns = int(before.get("turns", 0))
        if before.get("uid") not in (None, metadata["uid"]):  # another one has its name
            self._lose(change, name, known, None)
            before, turns = {}, 0
        if before.get("version") == metadata["resourceVersion"]:
            return
        was = self._before.swap(name, body)
        type = UPDATE if "version" in before else ADD
        meant = self._meant.metadata(metadata) and self._meant.fields(body)
        if meant and not silent and type in self._wanted:
            thing = f"UPDATE/{metadata['uid']}/{metadata['resourceVersion']}"
            if type == ADD:
                thing = f"ADD/{metadata['uid']}/{turns}"
            change.events.append(self._event(thing, type, body, was if type == UPDATE else None))
        change.kept[name] = {
            "uid": metadata["uid"],
            "version": metadata["resourceVersion"],
            "turns": turns,
            "meant": meant,
            "shown": _shown(body),
        }
        change.gone = [one for one in change.gone if one != name]

    def _lose(self, change: Change, name: str, known: JsonValue, body: dict[str, Any] | None) -> None:
        """An object that is gone, or has not the labels any more. `body`: its last state, None where nobody saw it."""
        before: Mapping[str, Any] = known if isinstance(known, dict) else {}
        self._before.swap(name, None)
        if "version" not in before:
            return
        turns = int(before["turns"])
        metadata: dict[str, Any] = (body or before["shown"])["metadata"]
        meant = self._meant.metadata(metadata) and (self._meant.fields(body) if body else bool(before["meant"]))
        if meant and DELETE in self._wanted:
            last = body or before["shown"]
            change.events.append(self._event(f"DELETE/{before['uid']}/{turns}", DELETE, last, None))
        change.kept.pop(name, None)
        if self._query and body is not None and "deletionTimestamp" not in metadata:
            # It may be there and have other labels: when they come back, that is another turn.
            change.kept[name] = {"uid": before["uid"], "turns": turns + 1}
        else:
            change.gone.append(name)

    # --- telling -----------------------------------------------------------------------------------------------------

    def _event(self, thing: str, type: str, body: dict[str, Any], was: JsonValue) -> Event:
        spec = self._spec
        data: dict[str, JsonValue] = {
            "type": type,
            "body": body,
            "oldBody": was,
            "group": spec.group,
            "version": spec.version,
            "resource": spec.resource,
        }
        return self._context.event(thing, data, time=_time(type, body["metadata"]))


def _name(body: Mapping[str, Any]) -> str:
    metadata = body["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}".lstrip("/")


def _shown(body: Mapping[str, Any]) -> JsonValue:
    """What is kept of an object, to be told when it is gone and nobody saw it go: no more than its metadata."""
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    if NOISE in (annotations := metadata.get("annotations") or {}):
        metadata["annotations"] = {name: value for name, value in annotations.items() if name != NOISE}
    return {"apiVersion": body.get("apiVersion"), "kind": body.get("kind"), "metadata": metadata}


def _time(type: str, metadata: Mapping[str, Any]) -> datetime | None:
    """When it happened, as far as the object tells; None: now."""
    created = metadata.get("creationTimestamp")
    match type:
        case "ADD":
            found = created
        case "DELETE":
            found = metadata.get("deletionTimestamp")
        case _:
            times = [one.get("time") for one in metadata.get("managedFields") or () if one.get("operation") == "Update"]
            found = max([str(one) for one in (created, *times) if one], default=None)
    return parse_time(str(found)) if found else None
