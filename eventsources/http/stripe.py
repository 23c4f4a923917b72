"""The stripe source: events of Stripe's webhooks.

Sources: https://docs.stripe.com/webhooks#verify-manually and pkg/eventsources/sources/stripe of Argo Events.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from anyio.abc import TaskStatus
from pydantic import Field

from eventsources.fields import Filter, Limits, Path, WebhookContext, check_secret, not_built, only_ours
from eventsources.http.answers import Reply, unauthorized
from eventsources.http.doorway import Doorway, Taken, check_guarded, check_hook, route_of
from eventsources.http.forge import object_of
from eventsources.http.request import Request, is_id, json_of
from eventsources.http.signatures import check_fresh, same, signed
from eventsources.port import SourceContext, SourceState
from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape


class Stripe(Shape):
    """`event_filter`: the types of events that count. `signing_secret`, `filter` and `limits` are of retrain.dev/v1."""

    webhook: WebhookContext | None = None
    create_webhook: bool = False
    api_key: KeySelector | None = Field(default=None, alias="apiKey")
    event_filter: tuple[str, ...] = ()
    metadata: dict[str, str] = {}
    signing_secret: KeySelector | None = None
    filter: Filter | None = None
    limits: Limits | None = None

    def routes(self) -> list[tuple[str, str, str]]:
        """The requests that it wants."""
        return [route_of(self.webhook)] if self.webhook is not None else []


def check(path: Path, spec: Stripe, ours: bool) -> Iterator[Problem]:
    """What is wrong with one stripe source."""
    yield from check_hook((*path, "webhook"), spec.webhook, ours, ("POST",))
    yield from check_guarded(path, spec.webhook, ours, spec.signing_secret)
    instead = "make the endpoint in Stripe's dashboard, and give its secret as signingSecret"
    yield from not_built(path, spec, (("createWebhook", instead),))
    yield from only_ours(path, spec, ("signingSecret",), ours=ours)
    yield from check_secret((*path, "signingSecret"), spec.signing_secret)
    yield from check_secret((*path, "apiKey"), spec.api_key)


class StripeSource:
    """One entry of `spec.stripe`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Stripe)
        assert spec.webhook is not None
        self._context = context
        self._spec = spec
        self._doorway = Doorway(
            spec.webhook,
            context,
            self._take,
            answer=Reply(200) if context.ours else None,
            needs=(spec.signing_secret,),
        )

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        await self._doorway.run(task_status=task_status)

    async def _take(self, request: Request) -> Taken:
        if self._spec.signing_secret is not None:
            self._prove(request, self._doorway.secret(self._spec.signing_secret))
        event = object_of(json_of(request.body))
        event_id, event_type = event.get("id"), event.get("type")
        if not (isinstance(event_id, str) and is_id(event_id) and isinstance(event_type, str)):
            raise ConfigError("the body is no event of Stripe: it has no id or no type")
        if self._spec.event_filter and event_type not in self._spec.event_filter:
            return []  # said to be taken: Stripe would send it again for days
        return [self._context.event(event_id, {"event": event}, time=_time(event.get("created")))]

    def _prove(self, request: Request, secret: str) -> None:
        """`Stripe-Signature: t=TIME,v1=HEX[,v1=HEX]`: the HMAC of `TIME.BODY`; several while a secret is changed."""
        parts = [one.partition("=") for one in request.one("stripe-signature").split(",")[:20]]
        timestamp = next((value for name, _, value in parts if name.strip() == "t"), "")
        wanted = signed(secret, timestamp.encode(), b".", request.body).hex()
        if not any(same(value, wanted) for name, _, value in parts if name.strip() == "v1"):
            raise unauthorized("the signature is missing, or not that of this body")
        check_fresh(timestamp, self._context.clock.now())


def _time(created: JsonValue) -> datetime | None:
    return datetime.fromtimestamp(created, UTC) if isinstance(created, int) and 0 < created < 1 << 33 else None
