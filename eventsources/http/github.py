"""The github source: deliveries of GitHub's webhooks, which are registered by its API where it may be used.

Sources: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries and pkg/eventsources/sources/
github of Argo Events.
"""

from __future__ import annotations

from collections.abc import Iterator

from anyio.abc import TaskStatus
from pydantic import Field

from eventsources.fields import Filter, Limits, Path, WebhookContext, check_secret
from eventsources.http.answers import Refusal
from eventsources.http.doorway import Doorway, check_guarded, check_hook, route_of
from eventsources.http.forge import ForgeSource, Registration, object_of
from eventsources.http.hooks import Forge
from eventsources.http.request import Request
from eventsources.http.signatures import check_hex
from eventsources.port import SourceContext, SourceState
from retrain.events import JsonValue
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

BASE = "https://api.github.com"


class Repositories(Shape):
    """Repositories of one owner."""

    owner: str = ""
    names: tuple[str, ...] = ()


class App(Shape):
    """Credentials of a GitHub App."""

    private_key: KeySelector | None = None
    app_id: int = Field(default=0, alias="appID")
    installation_id: int = Field(default=0, alias="installationID")


class Github(Shape):
    """Webhooks of repositories or organizations. `limits` is of retrain.dev/v1.

    With a `url` in `webhook`, and `api_token` or `github_app`, the hooks are registered. `active` left out is true.
    `id` and `github_upload_url` are taken and mean nothing.
    """

    id: int = 0
    webhook: WebhookContext | None = None
    owner: str = ""
    repository: str = ""
    repositories: tuple[Repositories, ...] = ()
    organizations: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    api_token: KeySelector | None = None
    github_app: App | None = None
    webhook_secret: KeySelector | None = None
    insecure: bool = False
    active: bool | None = None
    content_type: str = ""
    github_base_url: str = Field(default="", alias="githubBaseURL")
    github_upload_url: str = Field(default="", alias="githubUploadURL")
    delete_hook_on_finish: bool = False
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None

    def routes(self) -> list[tuple[str, str, str]]:
        """The requests that it wants."""
        return [route_of(self.webhook)] if self.webhook is not None else []

    def targets(self) -> list[str]:
        """What has hooks: `orgs/NAME`, `repos/OWNER/NAME`."""
        owned = [(one.owner, name) for one in self.repositories for name in one.names]
        if self.owner and self.repository:
            owned.append((self.owner, self.repository))
        return [*(f"orgs/{name}" for name in self.organizations), *(f"repos/{o}/{name}" for o, name in owned)]

    @property
    def registers(self) -> bool:
        """Whether hooks are registered."""
        return bool(self.webhook and self.webhook.url and (self.api_token or self.github_app))


def check(path: Path, spec: Github, ours: bool) -> Iterator[Problem]:
    """What is wrong with one github source."""
    yield from check_hook((*path, "webhook"), spec.webhook, ours, ("POST",))
    yield from check_guarded(path, spec.webhook, ours, spec.webhook_secret)
    owned = bool(spec.repositories or (spec.owner and spec.repository))
    if not (owned or spec.organizations) and (spec.registers or not ours):
        yield Problem(path, "missing-field", "give one of repositories and organizations")
    if owned and spec.organizations:
        yield Problem((*path, "organizations"), "wrong-value", "give one of repositories and organizations, not both")
    if spec.registers and not spec.events:
        yield Problem(path, "missing-field", 'events is missing: what to be told of, such as push, or "*"')
    if spec.content_type not in ("", "json", "form"):
        yield Problem((*path, "contentType"), "wrong-value", "contentType is json or form")
    if bool(spec.github_base_url) != bool(spec.github_upload_url) and not ours:
        yield Problem(path, "missing-field", "githubBaseURL and githubUploadURL go together")
    yield from check_secret((*path, "apiToken"), spec.api_token)
    yield from check_secret((*path, "webhookSecret"), spec.webhook_secret)
    if spec.github_app is not None:
        yield from check_secret((*path, "githubApp", "privateKey"), spec.github_app.private_key, required=True)
        if not (spec.github_app.app_id and spec.github_app.installation_id):
            yield Problem((*path, "githubApp"), "missing-field", "githubApp wants appID and installationID")


class GithubRules:
    """How GitHub's deliveries are read: HMAC-SHA256 of the body, `X-GitHub-Delivery`."""

    def __init__(self, spec: Github, doorway: Doorway) -> None:
        self._secret = spec.webhook_secret
        self._doorway = doorway

    def prove(self, request: Request) -> bool:
        if self._secret is None:
            return False
        secret = self._doorway.secret(self._secret)
        check_hex(request.one("x-hub-signature-256"), secret, request.body, "sha256=")
        return True

    def delivery(self, request: Request) -> str:
        return request.one("x-github-delivery")

    def body(self, request: Request, body: JsonValue) -> JsonValue:
        if not request.one("x-github-event"):
            raise Refusal(400, "the header X-GitHub-Event is missing: this is no delivery of GitHub")
        named = {"X-GitHub-Event": request.one("x-github-event"), "X-GitHub-Delivery": self.delivery(request)}
        return {**object_of(body), **named}


class GithubSource:
    """One entry of `spec.github`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Github)
        assert spec.webhook is not None

        async def connect(url: str) -> Forge:
            from eventsources.http.github_api import GithubApi

            return await GithubApi.connect(spec, context, url)

        self._source = ForgeSource(
            context,
            spec.webhook,
            lambda doorway: GithubRules(spec, doorway),
            secret=spec.webhook_secret,
            hooks=Registration(spec.targets(), connect, spec.delete_hook_on_finish) if spec.registers else None,
        )

    def state(self) -> SourceState:
        return self._source.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        await self._source.run(task_status=task_status)
