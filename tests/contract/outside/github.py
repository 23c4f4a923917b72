"""GitHub, as it delivers webhooks: shapes of its documentation, not GitHub itself."""

from __future__ import annotations

import hmac
from typing import Any

from retrain.events import Event
from tests.contract.outside.calling import SECRET, Called


class Outside(Called):
    kind = "github"
    payload = frozenset({"headers", "body"})
    secret_field = "webhookSecret"

    def entry(self) -> dict[str, Any]:
        return {**super().entry(), "repositories": [{"owner": "acme", "names": ["models"]}], "events": ["push"]}

    def body(self, name: str) -> Any:
        return {"ref": f"refs/heads/{name}", "repository": {"full_name": "acme/models"}}

    def headers(self, name: str, raw: bytes) -> dict[str, str]:
        signature = hmac.new(SECRET.encode(), raw, "sha256").hexdigest()
        return {"X-GitHub-Event": "push", "X-GitHub-Delivery": name, "X-Hub-Signature-256": f"sha256={signature}"}

    def name_in(self, event: Event) -> str:
        return event.data["body"]["ref"].removeprefix("refs/heads/")
