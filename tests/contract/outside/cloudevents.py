"""A program that sends CloudEvents."""

from __future__ import annotations

from typing import Any

from retrain.events import Event
from tests.contract.outside.calling import Called


class Outside(Called):
    kind = "cloudevents"
    payload = frozenset({"name"})
    nested = False

    def body(self, name: str) -> Any:
        return {
            "specversion": "1.0",
            "id": name,
            "source": "es",
            "type": "cloudevents",
            "data": {"name": name},
            "datacontenttype": "application/json",
        }

    def headers(self, name: str, raw: bytes) -> dict[str, str]:
        return {"Content-Type": "application/cloudevents+json"}

    def name_in(self, event: Event) -> str:
        return event.data["name"]
