"""Bitbucket Cloud's API, as far as webhooks need it.

Source: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-repositories/
"""

from __future__ import annotations

import base64
from typing import Any

from eventsources.http.api_client import ApiClient, part
from eventsources.http.bitbucket import BASE, Auth, Bitbucket
from eventsources.http.forge import object_of, objects
from eventsources.http.hooks import Hook
from eventsources.port import SourceContext
from retrain.errors import NotFound
from retrain.events import JsonValue

PAGE, PAGES = 100, 10


class BitbucketApi:
    """A `Forge`. A target is `OWNER/SLUG`."""

    def __init__(self, spec: Bitbucket, client: ApiClient, url: str, secret: str) -> None:
        self._client = client
        self._events = sorted(spec.events)
        self._settings: dict[str, JsonValue] = {
            "description": "Retrain",
            "url": url,
            "active": True,
            "events": self._events,
        }
        if secret:
            self._settings["secret"] = secret

    @classmethod
    def connect(cls, spec: Bitbucket, context: SourceContext, url: str) -> BitbucketApi:
        """A client with what the manifest's secrets hold now. Raises NotFound where one is not there."""
        assert spec.auth is not None
        client = ApiClient(spec.bitbucket_base_url or BASE, {"Authorization": _credentials(spec.auth, context)})
        return cls(spec, client, url, context.read(spec.webhook_secret))

    async def close(self) -> None:
        await self._client.close()

    async def hooks(self, target: str) -> list[Hook]:
        found: list[dict[str, Any]] = []
        for page in range(1, PAGES + 1):
            query = {"pagelen": str(PAGE), "page": str(page)}
            answer, _ = await self._client.ask("GET", _path(target), query=query)
            found += objects(object_of(answer).get("values"))
            if not object_of(answer).get("next"):  # only whether there is one: where it leads is not followed
                break
        return [self._hook(one) for one in found]

    async def create(self, target: str) -> str:
        answer, _ = await self._client.ask("POST", _path(target), self._settings)
        return str(object_of(answer).get("uuid", ""))

    async def update(self, target: str, hook_id: str) -> str:
        await self._client.ask("PUT", f"{_path(target)}/{part(hook_id)}", self._settings)
        return hook_id

    async def delete(self, target: str, hook_id: str) -> None:
        try:
            await self._client.ask("DELETE", f"{_path(target)}/{part(hook_id)}")
        except NotFound:
            return  # somebody else removed it

    def _hook(self, one: dict[str, Any]) -> Hook:
        right = sorted(one.get("events") or []) == self._events and one.get("active") is True
        return Hook(str(one.get("uuid", "")), str(one.get("url", "")), right)


def _path(target: str) -> str:
    owner, _, slug = target.partition("/")
    return f"/repositories/{part(owner)}/{part(slug)}/hooks"


def _credentials(auth: Auth, context: SourceContext) -> str:
    if auth.basic is None:
        return f"Bearer {context.read(auth.oauth_token)}"
    user, password = context.read(auth.basic.username), context.read(auth.basic.password)
    both = base64.b64encode(f"{user}:{password}".encode()).decode()
    context.status.conceal(both)
    return f"Basic {both}"
