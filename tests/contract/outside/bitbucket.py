"""Bitbucket Cloud, as it delivers webhooks: shapes of its documentation, not Bitbucket itself."""

from __future__ import annotations

import hmac
from typing import Any

from retrain.events import Event
from tests.contract.outside.calling import SECRET, Called


class Outside(Called):
    kind = "bitbucket"
    payload = frozenset({"headers", "body"})

    def entry(self) -> dict[str, Any]:
        secret = {"webhookSecret": {"name": "sender", "key": "secret"}} if self.ours else {}
        repositories = [{"owner": "acme", "repositorySlug": "models"}]
        return {**super().entry(), **secret, "repositories": repositories, "events": ["repo:push"]}

    def secrets(self) -> dict[tuple[str, str], str]:
        return {("sender", "secret"): SECRET} if self.ours else {}

    def body(self, name: str) -> Any:
        return {"push": {"changes": [{"new": {"name": name}}]}, "repository": {"full_name": "acme/models"}}

    def headers(self, name: str, raw: bytes) -> dict[str, str]:
        signature = hmac.new(SECRET.encode(), raw, "sha256").hexdigest()
        return {"X-Event-Key": "repo:push", "X-Request-UUID": name, "X-Hub-Signature": f"sha256={signature}"}

    def name_in(self, event: Event) -> str:
        return event.data["body"]["push"]["changes"][0]["new"]["name"]
