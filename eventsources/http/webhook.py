"""The webhook source: an endpoint on the platform's port, or on a port of its own, as long as the source runs."""

from __future__ import annotations

import anyio
from anyio.abc import TaskStatus

from eventsources.checking import MAX_PAYLOAD
from eventsources.http.door import Endpoint
from eventsources.port import SourceContext, SourceState
from eventsources.shapes import Webhook
from retrain.errors import ConfigError, Transient
from retrain.manifests.argo import KeySelector, Shape

RETRY_S = 2.0
"""Seconds until a port or path that somebody else holds is tried again."""


class WebhookSource:
    """One entry of `spec.webhook`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:
        assert isinstance(spec, Webhook)
        self._spec = spec
        self._context = context
        self._status = context.status
        self._endpoint = Endpoint(
            owner=f"{context.source}/{name}",
            source=context.source,
            subject=name,
            method=spec.method.upper() or "POST",
            path=spec.endpoint if spec.endpoint.startswith("/") else f"/{spec.endpoint}",
            limit=spec.max_payload_size or MAX_PAYLOAD,
            emit=context.emit,
            accepted=self._accepted,
            failed=self._status.failed,
            clock=context.clock,
            scope="" if context.alone else f"{name}/",
            token=self._token if spec.auth_secret is not None else None,
            plain=not context.ours,
            metadata=spec.metadata,
        )

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        while True:
            try:
                await self._serve(task_status)
            except (ConfigError, Transient) as error:
                self._status.failed()
                self._status.waiting(str(error))
                await anyio.sleep(RETRY_S)

    async def _serve(self, task_status: TaskStatus[None]) -> None:
        port = int(self._spec.port) if self._spec.port else None
        async with self._context.ports.open(port) as app:
            app.add(self._endpoint)
            try:
                self._status.listening()
                task_status.started()
                await anyio.sleep_forever()
            finally:
                app.remove(self._endpoint)

    def _accepted(self) -> None:
        self._status.received(self._context.clock.now())

    def _token(self) -> str:
        selector = self._spec.auth_secret or KeySelector()
        return self._context.secrets.secret(selector.name, selector.key).removesuffix("\n")
