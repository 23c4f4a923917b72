"""The `log` trigger: one line for each firing, to see what a sensor does before it may do more."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import orjson
import structlog

from retrain.events import JsonValue
from triggers.port import Firing, Tools, Trigger

log = structlog.get_logger()

LIMIT = 4096
"""Characters of the action that a line shows: an event may be megabytes, a log line may not."""


class LogTrigger:
    """Writes the firing, its events and what was rendered for it."""

    async def fire(self, firing: Firing, attempt: int) -> JsonValue:
        """Log it. The result says how many events there were."""
        # `intervalSeconds` is upstream's, and has no effect there either.
        said = {name: value for name, value in firing.action.items() if name not in {"kind", "intervalSeconds"}}
        log.info(
            "trigger.log",
            sensor=firing.sensor,
            trigger=firing.trigger,
            firing_id=firing.id,
            key=firing.key,
            attempt=attempt,
            events=list(firing.events[:100]),
            event_count=len(firing.events),
            action=_short(said),
        )
        return {"logged": len(firing.events)}


def _short(value: JsonValue) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= LIMIT else f"{text[:LIMIT]}... ({len(text)} characters)"


@asynccontextmanager
async def open_log(_tools: Tools) -> AsyncGenerator[Trigger]:
    """Nothing to hold."""
    yield LogTrigger()
