"""Gitea, as it delivers webhooks. A real one is in tests/integration/test_source_gitea.py: it is too slow for many."""

from __future__ import annotations

import hmac
from typing import Any

from retrain.events import Event
from tests.contract.outside.calling import SECRET, Called


class Outside(Called):
    kind = "gitea"
    payload = frozenset({"headers", "body"})
    secret_field = "webhookSecret"

    def body(self, name: str) -> Any:
        return {"ref": f"refs/heads/{name}", "repository": {"full_name": "acme/models"}}

    def headers(self, name: str, raw: bytes) -> dict[str, str]:
        signature = hmac.new(SECRET.encode(), raw, "sha256").hexdigest()
        return {"X-Gitea-Event": "push", "X-Gitea-Delivery": name, "X-Gitea-Signature": signature}

    def name_in(self, event: Event) -> str:
        return event.data["body"]["ref"].removeprefix("refs/heads/")
