"""The slack source: what Slack tells an app: events, clicks on what it has posted, and slash commands.

Sources: https://api.slack.com/authentication/verifying-requests-from-slack and pkg/eventsources/sources/slack of Argo
Events, whose payloads these are.
"""

from __future__ import annotations

from collections.abc import Iterator

from anyio.abc import TaskStatus

from eventsources.fields import Filter, Limits, Path, WebhookContext, check_secret
from eventsources.http.answers import TEXT, Refusal, Reply, unauthorized
from eventsources.http.doorway import Doorway, Taken, check_hook, route_of
from eventsources.http.forge import object_of
from eventsources.http.request import FORM, Request, digest_of, fields_of, is_id, json_of
from eventsources.http.signatures import check_fresh, same, signed
from eventsources.port import SourceContext, SourceState
from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

MASKED = "*** Masked Auth Secret ***"


class Slack(Shape):
    """`signing_secret` proves that Slack calls; `token` is its older proof, which retrain.dev/v1 need not name."""

    webhook: WebhookContext | None = None
    signing_secret: KeySelector | None = None
    token: KeySelector | None = None
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None

    def routes(self) -> list[tuple[str, str, str]]:
        """The requests that it wants."""
        return [route_of(self.webhook)] if self.webhook is not None else []


def check(path: Path, spec: Slack, ours: bool) -> Iterator[Problem]:
    """What is wrong with one slack source."""
    yield from check_hook((*path, "webhook"), spec.webhook, ours, ("POST",))
    yield from check_secret((*path, "signingSecret"), spec.signing_secret, required=True)
    yield from check_secret((*path, "token"), spec.token, required=not ours)


class SlackSource:
    """One entry of `spec.slack`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Slack)
        assert spec.webhook is not None
        self._context = context
        self._spec = spec
        # Slack shows the text of an answer to whoever typed a command: an empty one is right.
        self._doorway = Doorway(
            spec.webhook,
            context,
            self._take,
            answer=Reply(200) if context.ours else None,
            needs=(spec.signing_secret, spec.token),
        )

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        await self._doorway.run(task_status=task_status)

    async def _take(self, request: Request) -> Taken:
        self._prove(request)
        if request.content_type == FORM:
            return self._form(request)
        return self._callback(request)

    def _prove(self, request: Request) -> None:
        secret = self._doorway.secret(self._spec.signing_secret)
        timestamp = request.one("x-slack-request-timestamp")
        wanted = signed(secret, b"v0:", timestamp.encode(), b":", request.body).hex()
        if not same(request.one("x-slack-signature"), f"v0={wanted}"):
            raise unauthorized("the signature is missing, or not that of this body")
        check_fresh(timestamp, self._context.clock.now())

    def _callback(self, request: Request) -> Taken:
        """An event, or the question by which Slack finds out whether this is the right endpoint."""
        envelope = object_of(json_of(request.body))
        self._check_token(envelope.get("token"))
        if envelope.get("type") == "url_verification":
            return Reply(200, str(envelope.get("challenge", "")).encode(), TEXT)
        inner = envelope.get("event")
        if envelope.get("type") != "event_callback" or not isinstance(inner, dict):
            raise ConfigError("the body is no event_callback of Slack")
        thing = str(envelope.get("event_id") or digest_of(request.body))
        # Upstream's library keeps the event's type beside the event itself.
        return [self._context.event(thing, {"type": inner.get("type"), "Data": inner})]

    def _form(self, request: Request) -> Taken:
        fields = fields_of(request.body, "form")
        if payload := fields.get("payload"):
            data = object_of(json_of(payload[0].encode()))
            self._check_token(data.get("token"))
        elif fields.get("command"):
            data = {name: values[0] for name, values in fields.items()}
            self._check_token(data.get("token"))
        else:
            raise Refusal(400, "the form is neither a click (payload) nor a slash command (command)")
        if "token" in data:
            data["token"] = MASKED
        trigger = data.get("trigger_id")
        thing = trigger if isinstance(trigger, str) and is_id(trigger) else digest_of(request.body)
        return [self._context.event(thing, data)]

    def _check_token(self, given: JsonValue) -> None:
        if self._spec.token is None:
            return
        if not (isinstance(given, str) and same(given, self._doorway.secret(self._spec.token))):
            raise unauthorized("the verification token is not this app's")
