"""The sns source: an endpoint that Amazon SNS posts a topic's messages to, subscribed and confirmed by itself.

Sources: https://docs.aws.amazon.com/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html and pkg/eventsources/
sources/awssns of Argo Events.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import anyio
from anyio.abc import TaskStatus
from pydantic import Field

from eventsources.fields import Filter, Limits, Path, WebhookContext, check_secret
from eventsources.http.answers import Refusal, Reply
from eventsources.http.doorway import Doorway, Taken, check_hook, route_of
from eventsources.http.forge import object_of
from eventsources.http.hooks import hook_url
from eventsources.http.request import Request, digest_of, header_of, is_id, json_of
from eventsources.http.sns_signature import Certificates, check_signature
from eventsources.port import SourceContext, SourceState
from retrain.errors import RetrainError
from retrain.events import JsonValue, parse_time
from retrain.log import get_logger
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

log = get_logger()

RETRY_S, RETRY_MAX_S = 2.0, 60.0


class Sns(Shape):
    """A topic, and the endpoint that it is told at. `limits` is of retrain.dev/v1.

    With a `url` in `webhook` the topic is subscribed at the start. `validate_signature` left out is true in
    retrain.dev/v1, and false in Argo Events.
    """

    webhook: WebhookContext | None = None
    topic_arn: str = ""
    region: str = ""
    access_key: KeySelector | None = None
    secret_key: KeySelector | None = None
    role_arn: str = Field(default="", alias="roleARN")
    validate_signature: bool | None = None
    endpoint: str = ""
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None

    def routes(self) -> list[tuple[str, str, str]]:
        """The requests that it wants."""
        return [route_of(self.webhook)] if self.webhook is not None else []


def check(path: Path, spec: Sns, ours: bool) -> Iterator[Problem]:
    """What is wrong with one sns source."""
    yield from check_hook((*path, "webhook"), spec.webhook, ours, ("POST",))
    for name, value in (("topicArn", spec.topic_arn), ("region", spec.region)):
        if not value:
            yield Problem(path, "missing-field", f"{name} is missing")
    if (spec.access_key is None) != (spec.secret_key is None):
        yield Problem(path, "missing-field", "accessKey and secretKey go together")
    yield from check_secret((*path, "accessKey"), spec.access_key)
    yield from check_secret((*path, "secretKey"), spec.secret_key)
    if ours and spec.validate_signature is False:
        message = "without signatures anybody who reaches this endpoint can send messages of this topic"
        yield Problem((*path, "validateSignature"), "open-endpoint", message, "warning")


class SnsSource:
    """One entry of `spec.sns`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Sns)
        assert spec.webhook is not None
        self._spec = spec
        self._context = context
        self._validates = context.ours if spec.validate_signature is None else spec.validate_signature
        self._certificates = Certificates(spec.endpoint)
        self._url = hook_url(spec.webhook.url, spec.webhook.endpoint) if spec.webhook.url else ""
        self._doorway = Doorway(spec.webhook, context, self._take, answer=Reply(200))

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        await self._doorway.run(task_status=task_status, beside=self._subscribe if self._url else None)

    async def _take(self, request: Request) -> Taken:
        if request.one("x-amz-sns-rawdelivery") == "true":
            raise Refusal(400, "raw message delivery is not signed; turn it off for this subscription")
        message = object_of(json_of(request.body))
        if message.get("TopicArn") != self._spec.topic_arn:
            raise Refusal(403, "the message is of another topic than this endpoint's")
        if self._validates:
            certificate = await self._certificates.get(message.get("SigningCertURL"))
            check_signature(message, certificate, self._context.clock.now())
        match message.get("Type"):
            case "Notification":
                identity = message.get("MessageId")
                thing = identity if isinstance(identity, str) and is_id(identity) else digest_of(request.body)
                data: dict[str, JsonValue] = {"header": header_of(request.headers), "body": message}
                return [self._context.event(thing, data, time=_time(message.get("Timestamp")))]
            case "SubscriptionConfirmation":
                return await self._confirm(message)
            case "UnsubscribeConfirmation":
                self._context.status.listening(
                    "the topic's subscription was cancelled; it is made anew at the next start"
                )
                return Reply(200)
            case other:
                raise Refusal(400, f"messages of type {str(other)[:40]!r} are not known")

    async def _confirm(self, message: dict[str, JsonValue]) -> Reply:
        from eventsources.http.sns_client import confirm

        token = message.get("Token")
        if not isinstance(token, str):
            raise Refusal(400, "the confirmation has no token")
        # Confirmed by the API, at an address of ours: where SubscribeURL leads is not followed.
        await confirm(self._spec, token)
        log.info("sns.confirmed", source=self._context.status.name, topic=self._spec.topic_arn)
        self._context.status.listening()
        return Reply(200)

    async def _subscribe(self) -> None:
        """Subscribe, until that has worked. SNS answers by asking for a confirmation at the endpoint."""
        from eventsources.http.sns_client import subscribe

        delay = RETRY_S
        while True:
            try:
                confirmed = await subscribe(self._spec, self._url, self._context)
            except RetrainError as error:
                self._context.status.failed(str(error))
                self._context.status.listening(f"the topic is not subscribed: {error}")
                await anyio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_S)
                continue
            self._context.status.listening(None if confirmed else "the subscription waits for its confirmation")
            return


def _time(text: JsonValue) -> datetime | None:
    try:
        return parse_time(text) if isinstance(text, str) else None
    except ValueError:
        return None
