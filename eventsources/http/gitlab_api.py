"""GitLab's API, as far as webhooks need it. Source: https://docs.gitlab.com/api/project_webhooks/"""

from __future__ import annotations

from typing import Any

from eventsources.http.api_client import ApiClient, part
from eventsources.http.forge import object_of, objects
from eventsources.http.gitlab import BASE, EVENTS, Gitlab, api_name
from eventsources.http.hooks import Hook
from eventsources.port import SourceContext
from retrain.errors import NotFound
from retrain.events import JsonValue

PAGE, PAGES = 100, 10


class GitlabApi:
    """A `Forge`. A target is `projects/PATH` or `groups/PATH`."""

    def __init__(self, spec: Gitlab, client: ApiClient, url: str, token: str) -> None:
        self._client = client
        wanted = {api_name(event) for event in spec.events}
        self._flags = {name: name in wanted for name in map(api_name, EVENTS)}
        self._settings: dict[str, JsonValue] = {
            "url": url,
            "enable_ssl_verification": spec.enable_ssl_verification,
            **self._flags,
        }
        if token:
            self._settings["signing_token" if token.startswith("whsec_") else "token"] = token

    @classmethod
    def connect(cls, spec: Gitlab, context: SourceContext, url: str) -> GitlabApi:
        """A client with what the manifest's secrets hold now. Raises NotFound where one is not there."""
        headers = {"PRIVATE-TOKEN": context.read(spec.access_token)}
        client = ApiClient(f"{(spec.gitlab_base_url or BASE).rstrip('/')}/api/v4", headers)
        return cls(spec, client, url, context.read(spec.secret_token))

    async def close(self) -> None:
        await self._client.close()

    async def hooks(self, target: str) -> list[Hook]:
        found: list[dict[str, Any]] = []
        for page in range(1, PAGES + 1):
            query = {"per_page": str(PAGE), "page": str(page)}
            answer, _ = await self._client.ask("GET", f"{_path(target)}/hooks", query=query)
            found += objects(answer)
            if len(objects(answer)) < PAGE:
                break
        return [self._hook(one) for one in found]

    async def create(self, target: str) -> str:
        answer, _ = await self._client.ask("POST", f"{_path(target)}/hooks", self._settings)
        return str(object_of(answer).get("id", ""))

    async def update(self, target: str, hook_id: str) -> str:
        await self._client.ask("PUT", f"{_path(target)}/hooks/{part(hook_id)}", self._settings)
        return hook_id

    async def delete(self, target: str, hook_id: str) -> None:
        try:
            await self._client.ask("DELETE", f"{_path(target)}/hooks/{part(hook_id)}")
        except NotFound:
            return  # somebody else removed it

    def _hook(self, one: dict[str, Any]) -> Hook:
        # An older GitLab does not know all events, and a project's hook has none of a group's: absent is not told.
        right = all(bool(one.get(name, False)) == wanted for name, wanted in self._flags.items())
        return Hook(str(one.get("id", "")), str(one.get("url", "")), right)


def _path(target: str) -> str:
    kind, _, name = target.partition("/")
    return f"/{kind}/{part(name)}"  # a path like group/project is one part, with %2F in it
