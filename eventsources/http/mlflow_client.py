"""MLflow's REST API, as far as the source needs it. Source: https://mlflow.org/docs/latest/api_reference/rest-api.html"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from typing import Any

from eventsources.http.api_client import ApiClient, part
from eventsources.http.forge import object_of, objects
from eventsources.http.hooks import Hook
from eventsources.http.mlflow import EVENTS, Mlflow
from eventsources.http.mlflow_changes import Version
from eventsources.port import SourceContext
from eventsources.tls import client_context
from retrain.errors import ConfigError, NotFound
from retrain.events import JsonValue

API = "/api/2.0/mlflow"
PAGE = 500
READY = "READY"


class MlflowClient:
    """The registry, and its webhooks as a `Forge` whose only target is the registry itself."""

    def __init__(self, spec: Mlflow, client: ApiClient, url: str, secret: str) -> None:
        self._client = client
        self._wanted = sorted(set(spec.events or EVENTS))
        self._settings: dict[str, JsonValue] = {"name": "retrain", "url": url, "status": "ACTIVE", "secret": secret}
        self._settings["events"] = [_parted(event) for event in self._wanted]

    @classmethod
    def connect(cls, spec: Mlflow, context: SourceContext, url: str = "") -> MlflowClient:
        """A client with what the manifest's secrets hold now. Raises NotFound where one is not there."""
        headers: dict[str, str] = {}
        if spec.token is not None:
            headers["Authorization"] = f"Bearer {context.read(spec.token)}"
        elif spec.auth is not None:
            user, password = context.read(spec.auth.username), context.read(spec.auth.password)
            both = base64.b64encode(f"{user}:{password}".encode()).decode()
            context.status.conceal(both)
            headers["Authorization"] = f"Basic {both}"
        secret = context.read(spec.webhook_secret) if url else ""
        return cls(spec, ApiClient(spec.tracking_uri, headers, client_context(spec.tls, context)), url, secret)

    async def close(self) -> None:
        await self._client.close()

    # --- the registry --------------------------------------------------------------------------------------------

    async def versions(self) -> AsyncGenerator[list[Version]]:
        """All versions that are ready, page by page, oldest first: what comes meanwhile is on the last page."""
        async for page in self._pages("model-versions", "model_versions", "creation_timestamp ASC"):
            yield [_version(one) for one in page if one.get("status", READY) == READY]

    async def aliases(self) -> AsyncGenerator[dict[str, dict[str, str]]]:
        """The aliases of all models, page by page: `{model: {alias: version}}`."""
        async for page in self._pages("registered-models", "registered_models", "name ASC"):
            yield {_text(one, "name"): _aliases(one) for one in page}

    async def has_version(self, name: str, version: str) -> bool:
        """Whether a version is there."""
        return await self._has("/model-versions/get", {"name": name, "version": version})

    async def has_model(self, name: str) -> bool:
        """Whether a model is there."""
        return await self._has("/registered-models/get", {"name": name})

    async def _pages(self, noun: str, member: str, order: str) -> AsyncGenerator[list[dict[str, Any]]]:
        query = {"max_results": str(PAGE), "order_by": order}
        while True:
            answer, _ = await self._client.ask("GET", f"{API}/{noun}/search", query=query)
            page = object_of(answer)
            yield objects(page.get(member) or [])
            token = page.get("next_page_token")
            if not isinstance(token, str) or not token:
                return
            query["page_token"] = token

    async def _has(self, path: str, query: dict[str, str]) -> bool:
        try:
            await self._client.ask("GET", f"{API}{path}", query=query)
        except NotFound:
            return False
        return True

    # --- its webhooks --------------------------------------------------------------------------------------------

    async def hooks(self, target: str) -> list[Hook]:  # noqa: ARG002 - there is one
        found: list[dict[str, Any]] = []
        query: dict[str, str] = {}
        while True:
            answer, _ = await self._client.ask("GET", f"{API}/webhooks", query=query)
            page = object_of(answer)
            found += objects(page.get("webhooks") or [])
            token = page.get("next_page_token")
            if not isinstance(token, str) or not token:
                return [self._hook(one) for one in found]
            query["page_token"] = token

    async def create(self, target: str) -> str:  # noqa: ARG002 - there is one
        answer, _ = await self._client.ask("POST", f"{API}/webhooks", self._settings)
        return _text(object_of(object_of(answer).get("webhook")), "webhook_id")

    async def update(self, target: str, hook_id: str) -> str:  # noqa: ARG002 - there is one
        await self._client.ask("PATCH", f"{API}/webhooks/{part(hook_id)}", self._settings)
        return hook_id

    async def delete(self, target: str, hook_id: str) -> None:  # noqa: ARG002 - there is one
        try:
            await self._client.ask("DELETE", f"{API}/webhooks/{part(hook_id)}")
        except NotFound:
            return  # somebody else removed it

    def _hook(self, one: dict[str, Any]) -> Hook:
        told = sorted(f"{event.get('entity', '')}.{event.get('action', '')}".lower() for event in one.get("events", []))
        right = told == self._wanted and one.get("status") == "ACTIVE"
        return Hook(str(one.get("webhook_id", "")), str(one.get("url", "")), right)


def _parted(event: str) -> dict[str, JsonValue]:
    entity, _, action = event.upper().partition(".")
    return {"entity": entity, "action": action}


def _version(one: dict[str, Any]) -> Version:
    tags = {_text(tag, "key"): str(tag.get("value", "")) for tag in objects(one.get("tags") or [])}
    created = one.get("creation_timestamp")
    return Version(
        name=_text(one, "name"),
        version=_text(one, "version"),
        created_ms=int(created) if isinstance(created, int | str) and str(created).isdecimal() else 0,
        source=str(one.get("source", "")),
        run_id=str(one.get("run_id", "")),
        description=str(one.get("description", "")),
        tags=tags,
    )


def _aliases(one: dict[str, Any]) -> dict[str, str]:
    return {_text(alias, "alias"): _text(alias, "version") for alias in objects(one.get("aliases") or [])}


def _text(one: dict[str, Any], name: str) -> str:
    value = one.get(name)
    if not isinstance(value, str):
        raise ConfigError(f"MLflow's answer lacks {name!r}; is trackingURI right?")
    return value
