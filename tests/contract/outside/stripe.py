"""Stripe, as it calls webhooks: the shape of its documentation, signed as it signs."""

from __future__ import annotations

import hmac
import time
from typing import Any

from retrain.events import Event
from tests.contract.outside.calling import SECRET, Called


class Outside(Called):
    kind = "stripe"
    payload = frozenset({"event"})

    def entry(self) -> dict[str, Any]:
        secret = {"signingSecret": {"name": "sender", "key": "secret"}} if self.ours else {}
        return {**super().entry(), **secret}

    def secrets(self) -> dict[tuple[str, str], str]:
        return {("sender", "secret"): SECRET} if self.ours else {}

    def body(self, name: str) -> Any:
        return {"id": f"evt_{name}", "object": "event", "type": "charge.succeeded", "data": {"object": {"name": name}}}

    def headers(self, name: str, raw: bytes) -> dict[str, str]:
        now = str(int(time.time()))
        signature = hmac.new(SECRET.encode(), now.encode() + b"." + raw, "sha256").hexdigest()
        return {"Stripe-Signature": f"t={now},v1={signature}"}

    def name_in(self, event: Event) -> str:
        return event.data["event"]["data"]["object"]["name"]
