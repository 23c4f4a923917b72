"""What GitHub, GitLab, Bitbucket and Gitea have in common: deliveries that are proven, hooks that are registered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
from anyio.abc import TaskStatus

from eventsources.fields import WebhookContext
from eventsources.http.answers import Refusal, Reply
from eventsources.http.doorway import Doorway, Taken
from eventsources.http.hooks import Forge, Keeper, hook_url
from eventsources.http.request import FORM, Request, digest_of, fields_of, header_of, is_id, json_of, says_json
from eventsources.http.signatures import Replays
from eventsources.port import SourceContext, SourceState
from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.manifests.argo import KeySelector


class Rules(Protocol):
    """How one forge's deliveries are read."""

    def prove(self, request: Request) -> bool:
        """Raises Refusal where the sender cannot be the forge. True if the body is signed."""
        ...

    def delivery(self, request: Request) -> str:
        """What identifies the delivery; empty if the forge does not say."""
        ...

    def body(self, request: Request, body: JsonValue) -> JsonValue:
        """The event's body, made of the request's."""
        ...


@dataclass(frozen=True, slots=True)
class Registration:
    """The hooks of an entry that are registered by the forge's API: on which targets, by which client (for a URL).

    `delete`: they are removed when the source ends.
    """

    targets: Sequence[str]
    connect: Callable[[str], Awaitable[Forge]]
    delete: bool


class ForgeSource:
    """One entry of a forge's kind. `secret`: what deliveries are proven by. No `hooks`: none are registered."""

    def __init__(
        self,
        context: SourceContext,
        hook: WebhookContext,
        make_rules: Callable[[Doorway], Rules],
        *,
        secret: KeySelector | None,
        hooks: Registration | None,
    ) -> None:
        self._context = context
        self._replays = Replays(context.clock.monotonic)
        # Forges switch a hook off whose answers they do not like: all of them like 200.
        answer = Reply(200, b'{"status":"safe"}', b"application/json") if context.ours else None
        self._doorway = Doorway(hook, context, self._take, answer=answer, needs=(secret,))
        self._rules = make_rules(self._doorway)
        self._keeper = None
        if hooks is not None:
            url = hook_url(hook.url, hook.endpoint)
            self._keeper = Keeper(context, url, hooks.targets, lambda: hooks.connect(url), delete=hooks.delete)

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        beside = self._keeper.run if self._keeper is not None else None
        await self._doorway.run(task_status=task_status, beside=beside)

    async def _take(self, request: Request) -> Taken:
        signed = self._rules.prove(request)
        body = self._rules.body(request, _json_body(request))
        delivery = self._rules.delivery(request)
        if not is_id(delivery):
            delivery = digest_of(request.body)
        if signed:
            delivery = self._replays.first(request.body, delivery)
        return [self._context.event(delivery, {"headers": header_of(request.headers), "body": body})]


def _json_body(request: Request) -> JsonValue:
    """The JSON of a delivery: the body, or the field `payload` of a form.

    Raises:
        Refusal: 415: it is neither; ConfigError: what should be JSON is not.
    """
    media = request.content_type
    if media == FORM:
        payload = fields_of(request.body, "form").get("payload", [])
        if len(payload) != 1:
            raise ConfigError("the form has no field `payload`")
        return json_of(payload[0].encode())
    if media and not says_json(media):
        raise Refusal(415, f"content-type {media[:80]!r} is neither JSON nor a form")
    return json_of(request.body)


def object_of(body: JsonValue) -> dict[str, JsonValue]:
    """A delivery's body, which every forge makes a JSON object.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(body, dict):
        raise ConfigError("the body is no JSON object")
    return body


def objects(answer: JsonValue) -> list[dict[str, JsonValue]]:
    """The objects of a list that an API gave.

    Raises:
        ConfigError: it gave something else: not the API of this forge.
    """
    if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
        said = orjson.dumps(answer)[:100].decode(errors="replace")
        raise ConfigError(f"the API answers with something else than a list: {said}; is its base URL right?")
    return answer
