"""What every kind of source is, and what the host hands to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import anyio
from anyio.abc import TaskStatus

from eventsources.http.ports import Ports
from retrain.clock import Clock
from retrain.events import Event, EventKey, JsonValue

Phase = Literal["starting", "listening", "waiting", "stopped"]


@dataclass(frozen=True, slots=True)
class SourceState:
    """How a source is doing. `name` is `EventSource/event`.

    `since`: when it came into `state`. `waiting_for`: what it lacks, in words and without secrets. `note`: what an
    operator should know although it listens. `received` counts events that are safe, `errors` failures, both since the
    process started; `last_event` is when the newest was received.
    """

    kind: str
    name: str
    state: Phase
    since: datetime
    waiting_for: str | None = None
    note: str | None = None
    last_event: datetime | None = None
    received: int = 0
    errors: int = 0


class Status:
    """Where a source writes how it is doing. `settled` is set once it listens, or waits for something."""

    def __init__(self, kind: str, name: str, clock: Clock) -> None:
        self.kind = kind
        self.name = name
        self.settled = anyio.Event()
        self._clock = clock
        self._phase: Phase = "starting"
        self._since = clock.now()
        self._waiting_for: str | None = None
        self._note: str | None = None
        self._last_event: datetime | None = None
        self._received = 0
        self._errors = 0

    def listening(self, note: str | None = None) -> None:
        """It receives now."""
        self._become("listening", None, note)

    def waiting(self, reason: str) -> None:
        """It cannot receive now, because of `reason`, and tries again."""
        self._become("waiting", reason, None)

    def stopped(self) -> None:
        """It was told to end."""
        self._become("stopped", None, None)

    def received(self, now: datetime, count: int = 1) -> None:
        """So many events more are safe on the bus."""
        self._received += count
        self._last_event = now

    def failed(self) -> None:
        """Something went wrong once more."""
        self._errors += 1

    def state(self) -> SourceState:
        """What to show."""
        return SourceState(
            self.kind,
            self.name,
            self._phase,
            self._since,
            self._waiting_for,
            self._note,
            self._last_event,
            self._received,
            self._errors,
        )

    def _become(self, phase: Phase, reason: str | None, note: str | None) -> None:
        if phase != self._phase:
            self._phase, self._since = phase, self._clock.now()
        self._waiting_for, self._note = reason, note
        if phase != "starting":
            self.settled.set()


class Source(Protocol):
    """One entry of an EventSource, running."""

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Receive until cancelled; calls `task_status.started()` when it receives or has said what it waits for.

        What is lacking outside (a server, a directory, a secret) is waited for, with `status.waiting`. An error that
        comes out is one that the kind did not expect: the host logs it and starts the source again, later and later.
        """
        ...

    def state(self) -> SourceState:
        """How it is doing."""
        ...


class Secrets(Protocol):
    """Where secrets come from, looked up when they are needed and never written down."""

    def secret(self, name: str, key: str) -> str:
        """The value of `key` in the secret `name`.

        Raises:
            RetrainError: there is none.
        """
        ...


class Checkpoints(Protocol):
    """What one source keeps over restarts: JSON values by name. One `scope` of names is one thing's memory."""

    async def get(self, scope: str, names: Collection[str]) -> dict[str, JsonValue]: ...
    async def after(self, scope: str, name: str, limit: int) -> dict[str, JsonValue]: ...
    async def save(self, scope: str, values: Mapping[str, JsonValue]) -> None: ...
    async def forget(self, scope: str, names: Collection[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source may use.

    `source` is the EventSource's name; `ours` whether it is retrain.dev/v1; `alone` whether it has this entry only.
    `emit` returns when the bus has the event; it raises BusError (again later) or Permanent (never).
    `deliver` is for sources that fetch: it returns when all events are safe, waits for the bus as long as that takes,
    and moves what the bus can never take to the dead letters.
    `known` tells which events the platform has read from the bus before.
    """

    source: str
    ours: bool
    alone: bool
    emit: Callable[[Event], Awaitable[None]]
    deliver: Callable[[Sequence[Event]], Awaitable[None]]
    known: Callable[[Collection[EventKey]], Awaitable[set[str]]]
    checkpoints: Checkpoints
    secrets: Secrets
    clock: Clock
    status: Status
    ports: Ports
    project: Path


Kind = Callable[[str, Any, SourceContext], Source]
"""How a source is built: event name, what the user wrote for it, context. Builds only; `run` opens things.

A plugin's kind may have `Spec`, a pydantic model of what the user writes for one event, and gets an instance of it;
without one it gets the JSON object as it is.
"""
