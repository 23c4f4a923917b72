"""One source that is called, and what came through it, without a network: its application is asked directly."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import orjson

from eventsources import KINDS, EventSourceDocument
from eventsources.http.door import WebhookApp
from eventsources.http.ports import Port
from eventsources.port import SourceContext
from eventsources.status import Status
from retrain.clock import FakeClock
from retrain.errors import NotFound
from retrain.events import Event

OURS, ARGO = "retrain.dev/v1", "argoproj.io/v1alpha1"
JSON = {"content-type": "application/json"}


class OnePort:
    """Ports, of which there is one."""

    def __init__(self, app: WebhookApp) -> None:
        self.port = Port(app)

    @asynccontextmanager
    async def open(self, number: int | None, identity: Any = None) -> AsyncGenerator[Port]:
        yield self.port


@dataclass
class Secrets:
    values: dict[str, str] = field(default_factory=dict)

    def secret(self, name: str, key: str) -> str:
        try:
            return self.values[key]
        except KeyError:
            raise NotFound(f"no secret {name!r} has a key {key!r}") from None

    config = secret


class Intake:
    """One entry of an EventSource `es`, named `thing`, of one kind; use it as `async with`."""

    def __init__(self, kind: str, version: str = OURS, secrets: dict[str, str] | None = None, **spec: Any) -> None:
        document = EventSourceDocument.model_validate(
            {"apiVersion": version, "kind": "EventSource", "metadata": {"name": "es"}, "spec": {kind: {"thing": spec}}}
        )
        self.spec = document.spec.entries(kind)["thing"]
        self.events: list[Event] = []
        self.error: Exception | None = None
        self.app = WebhookApp()
        self.clock = FakeClock()
        self.secrets = Secrets(secrets or {})
        self.status = Status(kind, "es/thing", self.clock)
        self.context = SourceContext(
            source="es",
            name="thing",
            type=kind,
            ours=version == OURS,
            alone=True,
            emit=self.emit,
            deliver=self._never,
            bury=self._never,
            known=self._never,
            checkpoints=None,  # type: ignore[arg-type]
            secrets=self.secrets,
            clock=self.clock,
            status=self.status,
            ports=OnePort(self.app),  # type: ignore[arg-type]
            project=Path(),
            metadata=getattr(self.spec, "metadata", {}),
        )
        self.source = KINDS[kind]("thing", self.spec, self.context)

    async def _never(self, *_: Any) -> Any:
        raise AssertionError("a door has no use for this")

    async def emit(self, event: Event) -> None:
        if self.error is not None:
            raise self.error
        self.events.append(event)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Intake]:
        async with anyio.create_task_group() as tasks:
            await tasks.start(lambda *, task_status: self.source.run(task_status=task_status))
            yield self
            tasks.cancel_scope.cancel()

    async def ask(
        self,
        body: bytes | Sequence[bytes] = b"{}",
        headers: dict[str, str] | Sequence[tuple[str, str]] = JSON,
        *,
        path: str = "/in",
        method: str = "POST",
        query: bytes = b"",
        gone: bool = False,
    ) -> tuple[int, bytes, dict[str, str]]:
        """One request; a list is a body in parts. Status 0: there was no answer."""
        parts = [body] if isinstance(body, bytes) else list(body)
        messages = [
            {"type": "http.request", "body": part, "more_body": gone or index < len(parts) - 1}
            for index, part in enumerate(parts)
        ]
        self.read = 0

        async def receive() -> dict[str, Any]:
            self.read += 1
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        given = headers.items() if isinstance(headers, dict) else headers
        raw = [(name.lower().encode(), value.encode()) for name, value in given]
        scope = {"type": "http", "path": path, "method": method, "headers": raw, "query_string": query}
        await self.app(scope, receive, send)
        if not sent:
            return 0, b"", {}
        answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], sent[1]["body"], answered

    async def post(self, body: Any, headers: dict[str, str] | None = None) -> int:
        """Post JSON; the status."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return (await self.ask(raw, {**JSON, **(headers or {})}))[0]


@asynccontextmanager
async def opened(kind: str, version: str = OURS, secrets: dict[str, str] | None = None, **spec: Any) -> Any:
    """A source that listens at /in."""
    if "webhook" not in KINDS[kind].Spec.model_fields:  # type: ignore[attr-defined]
        spec = {"endpoint": "/in", **spec}
    else:
        spec = {"webhook": {"endpoint": "/in"}, **spec}
    async with Intake(kind, version, secrets, **spec).open() as intake:
        yield intake
