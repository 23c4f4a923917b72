"""Runs that `resource` templates start, on the store: each is a run like any other, worked on by whoever takes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any

import anyio
from sqlalchemy import Connection

from pipelines.agents.port import PARENT_NODE, Owner
from pipelines.host import control
from pipelines.host.parents import parent_of, stop_owned
from pipelines.host.queue import RunRequest, submit
from pipelines.host.showing import workflow_object
from pipelines.host.verbs import verbs_of
from retrain.clock import Clock
from retrain.errors import ConfigError, NotFound, Refused
from retrain.store import Store, runs
from retrain.store.runs import RunRow

LOOK_S = 0.5
"""Seconds after which a run that is to end is looked at again: another process may work on it."""


MAX_DEPTH = 16
"""How deep runs that make runs may be: a workflow that makes itself must come to an end."""


class StoreChildRuns:
    """`ChildRuns` on the store."""

    def __init__(
        self, store: Store, clock: Clock, forget: Callable[[RunRow], Awaitable[bool]], max_depth: int = MAX_DEPTH
    ) -> None:
        """`forget` deletes a run that is over, with its files."""
        self._max_depth = max_depth
        self._store = store
        self._clock = clock
        self._forget = forget
        self._changes: dict[str, anyio.Event] = {}

    def changed(self, name: str) -> None:
        """Something of this run is saved."""
        if event := self._changes.pop(name, None):
            event.set()

    async def submit(self, manifest: Mapping[str, Any], name: str, owner: Owner) -> None:
        run_id = "r-" + sha256(f"{owner.run_id}/{owner.node_id}/{name}".encode()).hexdigest()[:20]
        metadata: dict[str, Any] = {**(manifest.get("metadata") or {}), "name": name}
        body = {**manifest, "metadata": metadata}

        def work(connection: Connection) -> None:
            there = runs.named(connection, name)
            if there is not None:
                if _maker(there.manifest) != owner.node_id or there.parent != parent_of(owner.run_id):
                    raise Refused(f"there is a Workflow {name!r} already, and {owner.name} has not made it")
                return
            parent = runs.get(connection, owner.run_id)
            depth = parent.depth + 1 if parent is not None else 1
            if depth > self._max_depth:
                raise ConfigError(f"runs that make runs are {self._max_depth} deep at most; {name!r} would be deeper")
            labels: Mapping[str, str] = metadata.get("labels") or {}
            request = RunRequest(run_id, None, body, labels, depth, parent=parent_of(owner.run_id))
            submit(connection, request, self._clock)

        await self._store.write(work)
        self._store.signals.notify("runs")

    async def get(self, name: str) -> Mapping[str, Any] | None:
        row = await self._store.read(lambda c: runs.named(c, name))
        return None if row is None else workflow_object(row)

    async def wait_change(self, name: str, at_most_s: float) -> None:
        event = self._changes.setdefault(name, anyio.Event())
        with anyio.move_on_after(at_most_s):
            await event.wait()

    async def change(self, name: str, spec: Mapping[str, Any]) -> None:
        verbs = verbs_of(spec)

        def work(connection: Connection) -> None:
            row = runs.named(connection, name)
            if row is None:
                raise NotFound(f"there is no Workflow {name!r}")
            for verb in verbs:
                control.ask(connection, row, verb)

        await self._store.write(work)
        self._store.signals.notify("runs")

    async def delete(self, name: str) -> bool:
        row = await self._store.read(lambda c: runs.named(c, name))
        if row is None:
            return False
        while row is not None and row.phase in runs.OPEN:
            run_id = row.id
            await self._store.write(lambda c, run_id=run_id: runs.ask(c, run_id, "terminate"))
            self._store.signals.notify("runs")
            await self.wait_change(name, LOOK_S)
            row = await self._store.read(lambda c, run_id=run_id: runs.get(c, run_id))
        if row is not None:
            await self._forget(row)
        return True

    async def stop_owned(self, run_id: str) -> None:
        await self._store.write(lambda c: stop_owned(c, run_id))
        self._store.signals.notify("runs")


def _maker(manifest: Mapping[str, Any]) -> str:
    """The node that made a run."""
    return str(((manifest.get("metadata") or {}).get("annotations") or {}).get(PARENT_NODE, ""))
