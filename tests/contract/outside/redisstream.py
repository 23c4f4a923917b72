"""A stream of Redis that messages are added to."""

from __future__ import annotations

from typing import Any

from retrain.events import Event
from tests.contract.outside import World
from tests.contract.outside.redis import Outside as Channels


class Outside(Channels):
    kind = "redisStream"
    payload = frozenset({"stream", "message_id", "values"})
    remembers = True
    survives = True
    redelivers = True
    first_is_told = True
    bad_entry = {}
    bad = World.bad  # values are bytes, and all of them can be told

    def entry(self) -> dict[str, Any]:
        return {**self.login(), "streams": [self.name]}

    def add(self, pipeline: Any, body: str) -> None:
        pipeline.xadd(self.name, {"name": body.split('"')[3]})

    def name_in(self, event: Event) -> str:
        return event.data["values"]["name"]
