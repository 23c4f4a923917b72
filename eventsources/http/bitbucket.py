"""The bitbucket source: deliveries of Bitbucket Cloud's webhooks, registered by its API where credentials are given.

Sources: https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/ and pkg/eventsources/sources/bitbucket of
Argo Events.
"""

from __future__ import annotations

from collections.abc import Iterator

from anyio.abc import TaskStatus
from pydantic import Field

from eventsources.fields import BasicAuth, Filter, Limits, Path, WebhookContext, check_basic, check_secret, only_ours
from eventsources.http.doorway import Doorway, check_guarded, check_hook, route_of
from eventsources.http.forge import ForgeSource, Registration
from eventsources.http.hooks import Forge
from eventsources.http.request import Request
from eventsources.http.signatures import check_hex
from eventsources.port import SourceContext, SourceState
from retrain.events import JsonValue
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

BASE = "https://api.bitbucket.org/2.0"


class Auth(Shape):
    """Credentials of the API: a user with an app password, or an access token."""

    basic: BasicAuth | None = None
    oauth_token: KeySelector | None = None


class Repository(Shape):
    """One repository: its workspace and its slug."""

    owner: str = ""
    repository_slug: str = ""


class Bitbucket(Shape):
    """Webhooks of repositories. `webhookSecret`, `bitbucketBaseURL` and `limits` are of retrain.dev/v1.

    With a `url` in `webhook`, and `auth`, the hooks are registered.
    """

    webhook: WebhookContext | None = None
    auth: Auth | None = None
    repositories: tuple[Repository, ...] = ()
    owner: str = ""
    project_key: str = ""
    repository_slug: str = ""
    events: tuple[str, ...] = ()
    delete_hook_on_finish: bool = False
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None
    webhook_secret: KeySelector | None = None
    bitbucket_base_url: str = Field(default="", alias="bitbucketBaseURL")

    def routes(self) -> list[tuple[str, str, str]]:
        """The requests that it wants."""
        return [route_of(self.webhook)] if self.webhook is not None else []

    def targets(self) -> list[str]:
        """What has hooks: `OWNER/SLUG`."""
        named = [(one.owner, one.repository_slug) for one in self.repositories]
        if self.owner and self.repository_slug and not named:
            named.append((self.owner, self.repository_slug))
        return [f"{owner}/{slug}" for owner, slug in named]

    @property
    def registers(self) -> bool:
        """Whether hooks are registered."""
        return bool(self.webhook and self.webhook.url and self.auth and (self.auth.basic or self.auth.oauth_token))


def check(path: Path, spec: Bitbucket, ours: bool) -> Iterator[Problem]:
    """What is wrong with one bitbucket source."""
    yield from check_hook((*path, "webhook"), spec.webhook, ours, ("POST",))
    yield from check_guarded(path, spec.webhook, ours, spec.webhook_secret)
    yield from only_ours(path, spec, ("webhookSecret", "bitbucketBaseURL"), ours=ours)
    yield from check_secret((*path, "webhookSecret"), spec.webhook_secret)
    if not spec.targets() and (spec.registers or not ours):
        yield Problem(path, "missing-field", "repositories is missing: [{owner: WORKSPACE, repositorySlug: NAME}]")
    if spec.registers and not spec.events:
        yield Problem(path, "missing-field", "events is missing: what to be told of, such as repo:push")
    if spec.auth is not None:
        yield from check_basic((*path, "auth", "basic"), spec.auth.basic)
        yield from check_secret((*path, "auth", "oauthToken"), spec.auth.oauth_token)
        if (spec.auth.basic is None) == (spec.auth.oauth_token is None):
            yield Problem((*path, "auth"), "wrong-value", "auth is one of basic and oauthToken")


class BitbucketRules:
    """How Bitbucket's deliveries are read: HMAC-SHA256 of the body where there is a secret, `X-Request-UUID`."""

    def __init__(self, spec: Bitbucket, doorway: Doorway) -> None:
        self._secret = spec.webhook_secret
        self._doorway = doorway

    def prove(self, request: Request) -> bool:
        if self._secret is not None:
            secret = self._doorway.secret(self._secret)
            check_hex(request.one("x-hub-signature"), secret, request.body, "sha256=")
        # A second attempt may have another UUID; its body is the same.
        return True

    def delivery(self, request: Request) -> str:
        return request.one("x-request-uuid")

    def body(self, request: Request, body: JsonValue) -> JsonValue:  # noqa: ARG002 - as all rules are asked
        return body


class BitbucketSource:
    """One entry of `spec.bitbucket`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Bitbucket)
        assert spec.webhook is not None

        async def connect(url: str) -> Forge:
            from eventsources.http.bitbucket_api import BitbucketApi

            return BitbucketApi.connect(spec, context, url)

        self._source = ForgeSource(
            context,
            spec.webhook,
            lambda doorway: BitbucketRules(spec, doorway),
            secret=spec.webhook_secret,
            hooks=Registration(spec.targets(), connect, spec.delete_hook_on_finish) if spec.registers else None,
        )

    def state(self) -> SourceState:
        return self._source.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        await self._source.run(task_status=task_status)
