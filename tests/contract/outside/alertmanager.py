"""Prometheus' Alertmanager, as it calls webhooks: the shape of its documentation."""

from __future__ import annotations

from typing import Any

from retrain.events import Event
from tests.contract.outside.calling import Called


class Outside(Called):
    kind = "alertmanager"
    payload = frozenset({"body", "group"})
    nested = False

    def body(self, name: str) -> Any:
        alert = {
            "status": "firing",
            "labels": {"alertname": "Drift", "model": name},
            "annotations": {},
            "startsAt": "2026-11-20T08:15:00.123Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example.org/graph",
            "fingerprint": f"f-{name}",
        }
        return {"version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "retrain", "alerts": [alert]}

    def name_in(self, event: Event) -> str:
        return event.data["body"]["labels"]["model"]
