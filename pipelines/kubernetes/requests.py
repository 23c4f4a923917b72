"""What is asked of runs on a cluster, done to their objects: each change is made of the object as it is, and made again
where somebody else was quicker.

The row follows by the watch, as with everything that happens there; only where whoever asked would be surprised by what
they see next it is written at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
from sqlalchemy import Connection

from pipelines.host import control
from pipelines.host.control import ResubmitOptions, RetryOptions, resubmission, with_known_parameters
from pipelines.host.queue import submit
from pipelines.host.requests import verb_of
from pipelines.kubernetes import control_changes, kinds
from pipelines.kubernetes.control_changes import Request
from pipelines.kubernetes.creating import OpenCluster
from pipelines.kubernetes.kinds import Merge, Order, Remove
from pipelines.kubernetes.kinds.workflow import read
from pipelines.kubernetes.mirroring import Mirror
from pipelines.kubernetes.patching import Object, is_packed, patch_to, whole
from pipelines.kubernetes.resubmitting import memoized_status
from pipelines.kubernetes.retrying import Retried, retried
from pipelines.kubernetes.sightings import RUN, Sighting, kept
from pipelines.kubernetes.submission import to_object
from retrain.clock import Clock
from retrain.errors import NotFound, Refused, RetrainError, Transient
from retrain.kube import Cluster, Conflict, path_of
from retrain.store import Store, elsewhere, runs
from retrain.store.runs import RunRow

TRIES = 8
"""How often a change is made anew because the object was changed meanwhile: a busy run is, every second or so."""
PAUSE_S = 0.1
PODS_AT_ONCE = 16
PODS_GONE_S = 30.0
"""Seconds in which the pods of failed steps have to be gone: a step that runs again has a pod of the same name."""
LOOK_S = 0.2

CONTROL: Mapping[str, str | None] = {"stop": "stop", "terminate": "terminate", "suspend": "suspend", "resume": None}
"""What was asked of a whole run -> what its row says of it."""


class ClusterRequests:
    """Does to objects what people and triggers ask of their runs."""

    def __init__(self, store: Store, clock: Clock, cluster: OpenCluster) -> None:
        self._store, self._clock, self._open = store, clock, cluster

    async def ask(self, row: RunRow, request: Request) -> None:
        """Stop, terminate, suspend or resume a run, or end or set suspended nodes of it. Asking twice is asking once.

        Raises:
            Refused: it is over, is to end already, its kind cannot do that, or its nodes are not to be had.
            ConfigError: a selector or a value does not fit, or the API server does not allow it.
            NotFound: its object is gone.
            Transient: the API server is away.
        """
        verb = verb_of(request)
        if verb is not None and row.object is None:
            # Whoever is to put it there hears of it, and may leave it.
            await self._store.write(lambda c: control.ask(c, row, request))
            self._store.signals.notify("runs")
            return
        cluster = await self._open()
        path = await path_to_run(cluster, row)
        if row.engine == "object":
            await self._ask_object(cluster, path, row, request)
        else:
            change = partial(control_changes.asked, request=request, now=self._clock.now())
            await changed(cluster, path, row, change, nodes=control_changes.needs_nodes(request))
        if verb is not None:
            await self._store.write(lambda c: elsewhere.reflect(c, row.id, {"control": CONTROL[verb]}))
            self._store.signals.notify("runs")

    async def retry(self, row: RunRow, options: RetryOptions) -> None:
        """Open a run that is over again: what succeeded stays, what failed and what came after it runs again.

        Raises:
            Refused: it is open; or it succeeded, and nothing says which of its steps are to run again.
            ConfigError: a selector or parameter does not fit, or the API server does not allow it.
            NotFound: its object is gone.
            Transient: the API server is away, or old pods do not end.
        """
        _check_workflow(row, "retried")
        cluster = await self._open()
        found = await _reopened(cluster, row, options, self._clock)
        await self._store.write(lambda c: self._note_retry(c, row, options, found))
        self._store.signals.notify("runs")

    async def resubmit(self, row: RunRow, options: ResubmitOptions) -> RunRow:
        """Run its workflow once more under a new name, without the steps that had succeeded.

        Raises:
            Refused: it is not over, or its nodes are not to be had.
            ConfigError: the API server does not take the new one.
            NotFound: its object is gone.
            Transient: the API server is away. Nothing was made, or it is found by its label.
        """
        _check_workflow(row, "resubmitted")
        cluster = await self._open()
        found = whole(await _found(cluster, await path_to_run(cluster, row), row))
        request = resubmission(row, options)
        name = str(request.manifest["metadata"]["name"])
        status = memoized_status(found, name, self._clock.now(), reexpand=bool(options.parameters))
        body = to_object(request.manifest, name, row.namespace, {**request.labels, RUN: request.run_id})
        made = await cluster.create(_workflows(row.namespace), {**body, "status": status})

        def work(connection: Connection) -> RunRow | None:
            there = kept(made, request.manifest.get("spec"))
            submit(connection, replace(request, object=there), self._clock)
            return runs.get(connection, request.run_id)

        new = await self._store.write(work)
        assert new is not None
        self._store.signals.notify("runs")
        return new

    async def delete(self, row: RunRow) -> None:
        """Delete its object, and with it what that owns; one that is gone already is no error.

        Raises:
            ConfigError: the API server does not allow it.
            Transient: the API server is away.
        """
        cluster = await self._open()
        with suppress(NotFound):
            path = await path_to_run(cluster, row)
            found = await _found(cluster, path, row)
            await cluster.delete(path, uid=found["metadata"]["uid"])

    def _note_retry(self, connection: Connection, row: RunRow, options: RetryOptions, found: Object) -> None:
        # The watch may have been quicker; then this says nothing new, and the retry is counted once.
        Mirror().keep(connection, [Sighting(found, read(found))], self._clock.now())
        values: dict[str, Any] = {"expires": None, "depth": max(row.depth, options.depth)}
        if options.parameters:
            values["manifest"] = with_known_parameters(row.manifest, options.parameters)
        elsewhere.reflect(connection, row.id, values)

    async def _ask_object(self, cluster: Cluster, path: str, row: RunRow, request: Request) -> None:
        if (verb := verb_of(request)) is None:
            raise Refused(f"{row.name} is no Workflow: none of its nodes waits for anybody")
        if row.phase not in runs.OPEN:
            raise Refused(f"{row.name} is over ({row.phase}); there is nothing to {verb}")
        found = await _found(cluster, path, row)
        match kinds.change(found, verb):
            case Merge(body):
                await cluster.patch(path, kinds.noting(verb, body))
            case Remove():
                await cluster.patch(path, kinds.noting(verb))
                await cluster.delete(path, uid=found["metadata"]["uid"])
            case Order(body):
                await cluster.patch(path, kinds.noting(verb))
                resource = await cluster.resource(body["apiVersion"], body["kind"])
                await cluster.create(resource.at(row.namespace), body)


async def changed(
    cluster: Cluster, path: str, row: RunRow, change: Callable[[Object], Object], *, nodes: bool
) -> Object:
    """The object after a change, which is derived again from what is there where somebody else was quicker.

    `nodes`: the change is one of nodes, which may be packed.

    Raises:
        Transient: it is changed all the time.
    """
    for attempt in range(TRIES):
        found = await _found(cluster, path, row)
        before = whole(found) if nodes else found
        patch = patch_to(before, change(before), pack=is_packed(found))
        if patch is None:
            return found
        with suppress(Conflict):
            return await cluster.patch(path, patch)
        await anyio.sleep(PAUSE_S * (attempt + 1))
    raise _restless(row)


async def _reopened(cluster: Cluster, row: RunRow, options: RetryOptions, clock: Clock) -> Object:
    path = await path_to_run(cluster, row)
    for attempt in range(TRIES):
        found = await _found(cluster, path, row)
        before = whole(found)
        again: Retried = retried(before, options, clock.now())
        patch = patch_to(before, again.workflow, pack=is_packed(found))
        with suppress(Conflict):
            # Tried first, so that no pod is deleted for a change that is refused.
            await cluster.patch(path, patch, dry_run=True)
            await _delete_pods(cluster, row.namespace, again.pods)
            return await cluster.patch(path, patch)
        await anyio.sleep(PAUSE_S * (attempt + 1))
    raise _restless(row)


async def _delete_pods(cluster: Cluster, namespace: str, names: Sequence[str]) -> None:
    """
    Raises:
        Transient: one of them does not end, or the API server is away.
        ConfigError: it does not allow it.
    """
    room = anyio.CapacityLimiter(PODS_AT_ONCE)
    refused: list[RetrainError] = []

    async def delete(name: str) -> None:
        try:
            async with room:
                await _delete_pod(cluster, path_of("", "v1", "pods", namespace, name))
        except RetrainError as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(delete, name)
    if refused:
        raise refused[0]


async def _delete_pod(cluster: Cluster, path: str) -> None:
    """Delete a pod and wait until it is gone; one that is gone already is no error."""
    with suppress(NotFound), anyio.move_on_after(PODS_GONE_S):
        await cluster.delete(path)
        while True:
            await cluster.get(path)
            await anyio.sleep(LOOK_S)
    if name := await _still_there(cluster, path):
        raise Transient(f"pod {name}, which is to run again, does not end; try again in a moment")


async def _still_there(cluster: Cluster, path: str) -> str:
    try:
        return str((await cluster.get(path))["metadata"]["name"])
    except NotFound:
        return ""


async def path_to_run(cluster: Cluster, row: RunRow) -> str:
    """Where a run's object is."""
    if row.engine != "object":
        return _workflows(row.namespace, row.name)
    manifest: Mapping[str, Any] = row.manifest
    resource = await cluster.resource(str(manifest["apiVersion"]), str(manifest["kind"]))
    return resource.at(row.namespace, row.name)


def _workflows(namespace: str, name: str = "") -> str:
    return path_of("argoproj.io", "v1alpha1", "workflows", namespace, name)


async def _found(cluster: Cluster, path: str, row: RunRow) -> Object:
    """
    Raises:
        NotFound: it is not there, or another object has its name now.
        Transient: it was not made yet.
    """
    where = f"{row.manifest.get('kind') or 'Workflow'} {row.namespace}/{row.name}"
    try:
        found = await cluster.get(path)
    except NotFound as error:
        if row.object is None and row.phase in runs.OPEN:
            raise Transient(f"{where} is not on the cluster yet; try again in a moment") from error
        raise NotFound(
            f"{where} is not on the cluster any more (deleted by somebody, or by its ttlStrategy)"
        ) from error
    metadata: Mapping[str, Any] = found["metadata"]
    if (metadata.get("labels") or {}).get(RUN) != row.id:
        raise NotFound(f"{where} on the cluster is another one: it has not the label {RUN}={row.id}")
    return found


def _check_workflow(row: RunRow, done: str) -> None:
    if row.engine == "object":
        kind = row.manifest.get("kind") or "object"
        raise Refused(f"{row.name} is a {kind}, which cannot be {done}; fire its trigger again instead")


def _restless(row: RunRow) -> Transient:
    return Transient(f"{row.namespace}/{row.name} is changed by others all the time; try again")
