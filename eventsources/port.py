"""What every kind of source is, and what the host hands to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from anyio.abc import TaskStatus

from eventsources.http.ports import Ports
from eventsources.status import Phase, SourceState, Status
from retrain.clock import Clock
from retrain.errors import NotFound
from retrain.events import Event, EventKey, JsonValue
from retrain.manifests.argo import KeySelector

__all__ = [
    "Checkpoints",
    "Kind",
    "Phase",
    "Secrets",
    "Source",
    "SourceContext",
    "SourceState",
    "Status",
]

MAX_ID = 1024
"""Characters of an event's id; what is longer is shortened to a digest."""


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

    def config(self, name: str, key: str) -> str:
        """The value of `key` in the config map `name`.

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

    `source` is the EventSource's name, `name` the event's; `ours` whether it is retrain.dev/v1; `alone` whether the
    EventSource has this entry only; `type` what the events' type says; `metadata` what the user wants in every event.

    All three ways out apply `filter.expression` and `limits` of the entry.
    `emit` is for doors: it returns when the bus has the event; it raises BusError (again later), or Permanent (never).
    `deliver` is for sources that fetch: it returns when all events are safe, waits for the bus as long as that takes,
    and moves what the bus can never take to the dead letters.
    `bury` is for what cannot be read: (what it is, its raw bytes, the reason) is in the dead letters when it returns.
    Only then a source acknowledges to the outside: commits an offset, deletes a message.
    `known` tells which events the platform has read from the bus before.
    """

    source: str
    name: str
    type: str
    ours: bool
    alone: bool
    emit: Callable[[Event], Awaitable[None]]
    deliver: Callable[[Sequence[Event]], Awaitable[None]]
    bury: Callable[[str, bytes, str], Awaitable[None]]
    known: Callable[[Collection[EventKey]], Awaitable[set[str]]]
    checkpoints: Checkpoints
    secrets: Secrets
    clock: Clock
    status: Status
    ports: Ports
    project: Path
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    def event(
        self,
        thing: str,
        data: JsonValue,
        *,
        time: datetime | None = None,
        extensions: Mapping[str, str | int | bool] | None = None,
    ) -> Event:
        """The event of one thing. `thing` is derived from the thing itself, so that the same thing is the same event.

        The entry's name stands before it where the EventSource has several, since their things may be named alike.
        `data` gets the entry's metadata, if it is an object. `time`: when the thing happened; None: now.
        """
        if self.metadata and isinstance(data, dict):
            data = {**data, "metadata": dict(self.metadata)}
        return Event(
            id=self.id_of(thing),
            source=self.source,
            type=self.type,
            subject=self.name,
            time=time or self.clock.now(),
            data=data,
            datacontenttype="application/json",
            extensions=extensions or {},
        )

    def id_of(self, thing: str) -> str:
        """The id of one thing's event: printable, and of MAX_ID characters at most."""
        text = thing if self.alone else f"{self.name}/{thing}"
        if not text.isprintable():
            digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
            text = "".join(one if one.isprintable() else f"%{ord(one):02X}" for one in text) + f":{digest}"
        return text if len(text) <= MAX_ID else f"{text[:64]}:{sha256(text.encode()).hexdigest()}"

    def read(self, selector: KeySelector | None) -> str:
        """A secret's value without one trailing newline; empty where none is named. It is never shown from now on.

        Raises:
            NotFound: it is not there yet, which is to be waited for. An `optional` one is empty then.
        """
        return self._read(selector, self.secrets.secret)

    def read_config(self, selector: KeySelector | None) -> str:
        """A config map's value, in the same way; it is no secret."""
        return self._read(selector, self.secrets.config, concealed=False)

    def _read(self, selector: KeySelector | None, look: Callable[[str, str], str], *, concealed: bool = True) -> str:
        if selector is None or not selector.name:
            return ""
        try:
            value = look(selector.name, selector.key).removesuffix("\n")
        except NotFound:
            if selector.optional:
                return ""
            raise
        if concealed:
            self.status.conceal(value)
        return value


Kind = Callable[[str, Any, SourceContext], Source]
"""How a source is built: event name, what the user wrote for it, context. Builds only; `run` opens things.

A plugin's kind may have `Spec`, a pydantic model of what the user writes for one event, and gets an instance of it;
without one it gets the JSON object as it is. It may have `type`, what its events' type says (else the kind's name), and
`shared = True` if all replicas may run it at the same time (else one does).
"""
