"""The gitlab source: deliveries of GitLab's webhooks, which are registered by its API where a URL is given.

A hook has a secret token, which GitLab sends in a header, or a signing token (`whsec_...`), with which it signs as
Standard Webhooks have it. Either may be in `secretToken`.
Sources: https://docs.gitlab.com/user/project/integrations/webhooks/ and pkg/eventsources/sources/gitlab of Argo Events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from anyio.abc import TaskStatus
from pydantic import Field

from eventsources.fields import Filter, Limits, Path, WebhookContext, check_secret
from eventsources.http.answers import unauthorized
from eventsources.http.doorway import Doorway, check_guarded, check_hook, route_of
from eventsources.http.forge import ForgeSource, Registration
from eventsources.http.hooks import Forge
from eventsources.http.request import Request, digest_of
from eventsources.http.signatures import check_fresh, check_standard, same, standard_key
from eventsources.port import SourceContext, SourceState
from retrain.events import JsonValue
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

BASE = "https://gitlab.com"
EVENTS = (
    *("PushEvents", "TagPushEvents", "IssuesEvents", "ConfidentialIssuesEvents", "MergeRequestsEvents", "NoteEvents"),
    *("ConfidentialNoteEvents", "JobEvents", "PipelineEvents", "WikiPageEvents", "DeploymentEvents", "ReleasesEvents"),
    *("EmojiEvents", "FeatureFlagEvents", "MilestoneEvents", "ResourceAccessTokenEvents", "SubGroupEvents"),
    *("MemberEvents", "ProjectEvents"),
)
"""As upstream writes them: the names of GitLab's API in Go's spelling."""
_OF_GROUPS = frozenset({"SubGroupEvents", "MemberEvents", "ProjectEvents"})
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


class Gitlab(Shape):
    """Webhooks of projects and groups, by number or path. `limits` is of retrain.dev/v1.

    With `projects` or `groups` the hooks are registered, at `webhook.url`.
    """

    webhook: WebhookContext | None = None
    project_id: str = Field(default="", alias="projectID")
    projects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    access_token: KeySelector | None = None
    secret_token: KeySelector | None = None
    enable_ssl_verification: bool = Field(default=False, alias="enableSSLVerification")
    gitlab_base_url: str = Field(default="", alias="gitlabBaseURL")
    delete_hook_on_finish: bool = False
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None

    def routes(self) -> list[tuple[str, str, str]]:
        """The requests that it wants."""
        return [route_of(self.webhook)] if self.webhook is not None else []

    def targets(self) -> list[str]:
        """What has hooks: `projects` or `groups`, a slash, and its number or path."""
        projects = [*self.projects, *([self.project_id] if self.project_id and not self.projects else ())]
        return [*(f"groups/{name}" for name in self.groups), *(f"projects/{name}" for name in projects)]

    @property
    def registers(self) -> bool:
        """Whether hooks are registered."""
        return bool(self.targets() and self.webhook and self.webhook.url and self.access_token)


def check(path: Path, spec: Gitlab, ours: bool) -> Iterator[Problem]:
    """What is wrong with one gitlab source."""
    yield from check_hook((*path, "webhook"), spec.webhook, ours, ("POST",))
    yield from check_guarded(path, spec.webhook, ours, spec.secret_token)
    if not spec.events and (spec.registers or not ours):
        yield Problem(path, "missing-field", f"events is missing; there are {', '.join(EVENTS)}")
    for index, event in enumerate(spec.events):
        if event not in EVENTS:
            yield Problem((*path, "events", index), "wrong-value", f"{event!r} is none of {', '.join(EVENTS)}")
        elif event in _OF_GROUPS and any(one.startswith("projects/") for one in spec.targets()):
            yield Problem((*path, "events", index), "wrong-value", f"{event} is told by groups only, not by projects")
    if not ours and not spec.gitlab_base_url:
        yield Problem(path, "missing-field", f"gitlabBaseURL is missing, such as {BASE}")
    yield from check_secret((*path, "accessToken"), spec.access_token, required=not ours or bool(spec.targets()))
    yield from check_secret((*path, "secretToken"), spec.secret_token)


def api_name(event: str) -> str:
    """An event's name in the API: `MergeRequestsEvents` is `merge_requests_events`; `SubGroupEvents` is the odd one."""
    return "subgroup_events" if event == "SubGroupEvents" else _WORD.sub("_", event).lower()


class GitlabRules:
    """How GitLab's deliveries are read."""

    def __init__(self, spec: Gitlab, doorway: Doorway, context: SourceContext) -> None:
        self._token = spec.secret_token
        self._doorway = doorway
        self._clock = context.clock

    def prove(self, request: Request) -> bool:
        if self._token is None:
            return False
        secret = self._doorway.secret(self._token)
        if request.one("webhook-signature"):
            timestamp = request.one("webhook-timestamp")
            signature, delivery = request.one("webhook-signature"), request.one("webhook-id")
            check_standard(signature, standard_key(secret), delivery, timestamp, request.body)
            check_fresh(timestamp, self._clock.now())
        elif not same(request.one("x-gitlab-token"), secret):
            raise unauthorized("X-Gitlab-Token is missing or wrong")
        return False  # the signature covers the delivery's id, and the token covers nothing

    def delivery(self, request: Request) -> str:
        if key := request.one("idempotency-key") or request.one("webhook-id"):
            return key
        # Before GitLab 17.4 there is only this; what follows from one event has the same, hence the body's digest.
        event = request.one("x-gitlab-event-uuid")
        return f"{event}/{digest_of(request.body)}" if event else ""

    def body(self, request: Request, body: JsonValue) -> JsonValue:  # noqa: ARG002 - as all rules are asked
        return body


class GitlabSource:
    """One entry of `spec.gitlab`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Gitlab)
        assert spec.webhook is not None

        async def connect(url: str) -> Forge:
            from eventsources.http.gitlab_api import GitlabApi

            return GitlabApi.connect(spec, context, url)

        self._source = ForgeSource(
            context,
            spec.webhook,
            lambda doorway: GitlabRules(spec, doorway, context),
            secret=spec.secret_token,
            hooks=Registration(spec.targets(), connect, spec.delete_hook_on_finish) if spec.registers else None,
        )

    def state(self) -> SourceState:
        return self._source.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        await self._source.run(task_status=task_status)
