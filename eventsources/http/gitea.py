"""The gitea source (retrain.dev/v1): deliveries of a Gitea's or Forgejo's webhooks, registered by its API.

Source: https://docs.gitea.com/usage/webhooks
"""

from __future__ import annotations

from collections.abc import Iterator

from anyio.abc import TaskStatus
from pydantic import Field

from eventsources.fields import TLS, Filter, Limits, Path, WebhookContext, check_secret, check_tls
from eventsources.http.answers import Refusal
from eventsources.http.doorway import Doorway, check_guarded, check_hook, route_of
from eventsources.http.forge import ForgeSource, Registration
from eventsources.http.github import Repositories
from eventsources.http.hooks import Forge
from eventsources.http.request import Request
from eventsources.http.signatures import check_hex
from eventsources.port import SourceContext, SourceState
from retrain.events import JsonValue
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape


class Gitea(Shape):
    """Webhooks of repositories or organizations, as github has them. `tls` is for the API.

    With `gitea_base_url`, `api_token` and a `url` in `webhook` the hooks are registered. `branch_filter`: a glob of the
    branches whose pushes are told.
    """

    webhook: WebhookContext | None = None
    repositories: tuple[Repositories, ...] = ()
    organizations: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    branch_filter: str = ""
    gitea_base_url: str = Field(default="", alias="giteaBaseURL")
    api_token: KeySelector | None = None
    webhook_secret: KeySelector | None = None
    delete_hook_on_finish: bool = False
    tls: TLS | None = None
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None

    def routes(self) -> list[tuple[str, str, str]]:
        """The requests that it wants."""
        return [route_of(self.webhook)] if self.webhook is not None else []

    def targets(self) -> list[str]:
        """What has hooks: `orgs/NAME`, `repos/OWNER/NAME`."""
        owned = [f"repos/{one.owner}/{name}" for one in self.repositories for name in one.names]
        return [*(f"orgs/{name}" for name in self.organizations), *owned]

    @property
    def registers(self) -> bool:
        """Whether hooks are registered."""
        return bool(self.webhook and self.webhook.url and self.api_token and self.gitea_base_url)


def check(path: Path, spec: Gitea, ours: bool) -> Iterator[Problem]:
    """What is wrong with one gitea source."""
    yield from check_hook((*path, "webhook"), spec.webhook, ours, ("POST",))
    yield from check_guarded(path, spec.webhook, ours, spec.webhook_secret)
    yield from check_secret((*path, "apiToken"), spec.api_token)
    yield from check_secret((*path, "webhookSecret"), spec.webhook_secret)
    yield from check_tls((*path, "tls"), spec.tls, ours=ours)
    if spec.api_token is not None and not spec.gitea_base_url:
        yield Problem(path, "missing-field", "giteaBaseURL is missing, such as https://gitea.example.org")
    if spec.registers and not spec.targets():
        yield Problem(path, "missing-field", "give repositories or organizations, whose hooks are to be registered")
    if spec.registers and not spec.events:
        yield Problem(path, "missing-field", "events is missing: what to be told of, such as push")


class GiteaRules:
    """How Gitea's deliveries are read: HMAC-SHA256 of the body, `X-Gitea-Delivery`."""

    def __init__(self, spec: Gitea, doorway: Doorway) -> None:
        self._secret = spec.webhook_secret
        self._doorway = doorway

    def prove(self, request: Request) -> bool:
        if self._secret is None:
            return False
        check_hex(_either(request, "signature"), self._doorway.secret(self._secret), request.body)
        return True

    def delivery(self, request: Request) -> str:
        return _either(request, "delivery")

    def body(self, request: Request, body: JsonValue) -> JsonValue:
        if not _either(request, "event"):
            raise Refusal(400, "the header X-Gitea-Event is missing: this is no delivery of Gitea")
        return body


def _either(request: Request, name: str) -> str:
    return request.one(f"x-gitea-{name}") or request.one(f"x-forgejo-{name}")


class GiteaSource:
    """One entry of `spec.gitea`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Gitea)
        assert spec.webhook is not None

        async def connect(url: str) -> Forge:
            from eventsources.http.gitea_api import GiteaApi

            return GiteaApi.connect(spec, context, url)

        self._source = ForgeSource(
            context,
            spec.webhook,
            lambda doorway: GiteaRules(spec, doorway),
            secret=spec.webhook_secret,
            hooks=Registration(spec.targets(), connect, spec.delete_hook_on_finish) if spec.registers else None,
        )

    def state(self) -> SourceState:
        return self._source.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        await self._source.run(task_status=task_status)
