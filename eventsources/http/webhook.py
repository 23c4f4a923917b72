"""The webhook source: an endpoint that takes any JSON or form, and in retrain.dev/v1 any bytes."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

from anyio.abc import TaskStatus

from eventsources.fields import Filter, Limits, Path, WebhookContext, only_ours
from eventsources.http.doorway import METHODS, Doorway, Taken, check_hook, method_of, route_of
from eventsources.http.request import Request, body_of, body_of_query, canonical, delivery_of, header_of
from eventsources.port import SourceContext, SourceState
from retrain.events import JsonValue
from retrain.manifests import Problem
from retrain.manifests.argo import Shape


class Webhook(WebhookContext):
    """An HTTP endpoint that takes any JSON or form.

    `limits` and `delivery_header` are of retrain.dev/v1. The latter names the header by which the sender says which
    delivery this is; a second one with the same value is the same event.
    """

    filter: Filter | None = None
    limits: Limits | None = None
    delivery_header: str = ""

    def routes(self) -> list[tuple[str, str, str]]:
        """The requests that it wants: port (empty: the platform's), method, path."""
        return [route_of(self)]


def check(path: Path, hook: Webhook, ours: bool) -> Iterator[Problem]:
    """What is wrong with one webhook; that no two want the same requests is checked for all kinds together."""
    yield from check_hook(path, hook, ours, METHODS)
    yield from only_ours(path, hook, ("deliveryHeader",), ours=ours)


class WebhookSource:
    """One entry of `spec.webhook`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Webhook)
        self._context = context
        self._get = method_of(spec) == "GET"
        self._own = canonical(spec.delivery_header.lower().encode()) if spec.delivery_header else ""
        self._doorway = Doorway(spec, context, self._take)

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        await self._doorway.run(task_status=task_status)

    async def _take(self, request: Request) -> Taken:
        header = header_of(request.headers)
        data: dict[str, JsonValue] = {"header": header}
        if self._get:
            data["body"] = body_of_query(request.query)
        else:
            content_type = header.get("Content-Type", ("",))[0]
            data |= body_of(content_type, request.body, ours=self._context.ours)
        delivery = delivery_of(header, request.body, self._own)
        return [self._context.event(delivery or uuid4().hex, data)]
