"""Gitea's API, as far as webhooks need it. Source: https://docs.gitea.com/api/ (repository, organization: hooks)"""

from __future__ import annotations

from typing import Any

from eventsources.http.api_client import ApiClient, part
from eventsources.http.forge import object_of, objects
from eventsources.http.gitea import Gitea
from eventsources.http.hooks import Hook
from eventsources.port import SourceContext
from eventsources.tls import client_context
from retrain.errors import NotFound
from retrain.events import JsonValue

PAGE, PAGES = 50, 20
"""Gitea gives 50 a page at most, unless its administrator lets it give more."""


class GiteaApi:
    """A `Forge`. A target is `orgs/NAME` or `repos/OWNER/NAME`."""

    def __init__(self, spec: Gitea, client: ApiClient, url: str, secret: str) -> None:
        self._client = client
        self._events = sorted(spec.events)
        self._branches = spec.branch_filter
        config = {"url": url, "content_type": "json", **({"secret": secret} if secret else {})}
        self._settings: dict[str, JsonValue] = {
            "active": True,
            "events": self._events,
            "branch_filter": self._branches,
            "config": config,
        }

    @classmethod
    def connect(cls, spec: Gitea, context: SourceContext, url: str) -> GiteaApi:
        """A client with what the manifest's secrets hold now. Raises NotFound where one is not there."""
        headers = {"Authorization": f"token {context.read(spec.api_token)}"}
        client = ApiClient(f"{spec.gitea_base_url.rstrip('/')}/api/v1", headers, client_context(spec.tls, context))
        return cls(spec, client, url, context.read(spec.webhook_secret))

    async def close(self) -> None:
        await self._client.close()

    async def hooks(self, target: str) -> list[Hook]:
        found: list[dict[str, Any]] = []
        for page in range(1, PAGES + 1):
            query = {"limit": str(PAGE), "page": str(page)}
            answer, _ = await self._client.ask("GET", f"{_path(target)}/hooks", query=query)
            found += objects(answer)
            if not objects(answer):
                break
        return [self._hook(one) for one in found]

    async def create(self, target: str) -> str:
        answer, _ = await self._client.ask("POST", f"{_path(target)}/hooks", {"type": "gitea", **self._settings})
        return str(object_of(answer).get("id", ""))

    async def update(self, target: str, hook_id: str) -> str:
        # Gitea 1.26 takes a PATCH of a hook and leaves its secret as it was. What both tell meanwhile is one event.
        made = await self.create(target)
        await self.delete(target, hook_id)
        return made

    async def delete(self, target: str, hook_id: str) -> None:
        try:
            await self._client.ask("DELETE", f"{_path(target)}/hooks/{part(hook_id)}")
        except NotFound:
            return  # somebody else removed it

    def _hook(self, one: dict[str, Any]) -> Hook:
        config = one.get("config") or {}
        # Gitea tells of some events in more words than it was told: pull_request comes back with its parts.
        right = set(self._events) <= set(one.get("events") or []) and one.get("active") is True
        return Hook(str(one.get("id", "")), str(config.get("url", "")), right)


def _path(target: str) -> str:
    return "/" + "/".join(part(one) for one in target.split("/"))
