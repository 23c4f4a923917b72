"""Slack, as it calls an app: the shape of its documentation, signed as it signs."""

from __future__ import annotations

import hmac
import time
from typing import Any

from retrain.events import Event
from tests.contract.outside.calling import SECRET, Called

TOKEN = "an-older-proof"


class Outside(Called):
    kind = "slack"
    payload = frozenset({"type", "Data"})
    secret_field = "signingSecret"

    def entry(self) -> dict[str, Any]:
        return {**super().entry(), "token": {"name": "sender", "key": "token"}}

    def secrets(self) -> dict[tuple[str, str], str]:
        return {**super().secrets(), ("sender", "token"): TOKEN}

    def body(self, name: str) -> Any:
        event = {"type": "message", "text": name, "user": "U1"}
        return {"type": "event_callback", "token": TOKEN, "event_id": f"Ev{name}", "event": event}

    def headers(self, name: str, raw: bytes) -> dict[str, str]:
        now = str(int(time.time()))
        signature = hmac.new(SECRET.encode(), b"v0:" + now.encode() + b":" + raw, "sha256").hexdigest()
        return {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": f"v0={signature}"}

    def name_in(self, event: Event) -> str:
        return event.data["Data"]["text"]
