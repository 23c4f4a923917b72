"""The parts of a platform as one: started downstream first, stopped upstream first, each with a bound.

A part is anything with a name, a `run` that never returns by itself and a `state` for `/readyz`. Intake stops before
what it feeds, so that work in hand runs dry instead of piling up.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import anyio
import structlog
from anyio.abc import TaskGroup, TaskStatus

log = structlog.get_logger()

Run = Callable[..., Any]
"""`async def run(*, task_status)`: says `started()` when the part can take work, then works until it is cancelled."""


@dataclass(frozen=True, slots=True)
class PartState:
    """What `/readyz` says of a part. `vital`: nothing can be taken in while it waits. `since`: when it became as it
    is; None: nobody has kept an eye on it."""

    name: str
    ready: bool
    waiting_for: str | None = None
    vital: bool = False
    since: datetime | None = None


@dataclass(slots=True)
class _Running:
    name: str
    intake: bool
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    done: anyio.Event = field(default_factory=anyio.Event)


class Parts:
    """The running parts. Leave the block, and they stop in the opposite order."""

    def __init__(self, group: TaskGroup, bound_s: float) -> None:
        self._group = group
        self._bound_s = bound_s
        self._running: list[_Running] = []

    async def start(self, name: str, run: Run, *, intake: bool = False) -> None:
        """Start a part and wait until it can take work. Parts that are `intake` are the first to stop."""
        part = _Running(name, intake)
        self._running.append(part)
        await self._group.start(self._run, part, run)

    async def _run(self, part: _Running, run: Run, *, task_status: TaskStatus[None]) -> None:
        try:
            with part.scope:
                await run(task_status=task_status)
        finally:
            part.done.set()

    async def stop(self) -> None:
        """Stop intake, then the rest, last started first, each within the bound; one that takes longer is said."""
        latest = self._running[::-1]
        for part in [*(p for p in latest if p.intake), *(p for p in latest if not p.intake)]:
            part.scope.cancel()
            with anyio.move_on_after(self._bound_s):
                await part.done.wait()
            if part.done.is_set():
                log.debug("part.stopped", part=part.name)
            else:
                log.warning("part.slow_to_stop", part=part.name, waited_s=self._bound_s)
        self._running.clear()


@asynccontextmanager
async def running(bound_s: float) -> AsyncGenerator[Parts]:
    """A place to start parts in. If one fails, all stop and the block gets its error."""
    async with anyio.create_task_group() as group:
        parts = Parts(group, bound_s)
        try:
            yield parts
        finally:
            with anyio.CancelScope(shield=True):
                await parts.stop()
            group.cancel_scope.cancel()


def ready(states: Sequence[PartState]) -> bool:
    """Whether the platform can take events: everything vital is there."""
    return all(state.ready for state in states if state.vital)
