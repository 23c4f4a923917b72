"""What the doors (web, and through it the command line) may use of the running platform."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import anyio
from sqlalchemy import Connection

from deploy.spec import PromotionDocument
from pipelines.host.metrics import WorkflowMetrics
from retrain.app.parts import PartState
from retrain.app.sensing import Sensing
from retrain.app.settings import Settings
from retrain.bus import Bus
from retrain.clock import Clock
from retrain.store import Store

T = TypeVar("T")
Action = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the sensors have done since the start. `now`: how far the time of the log has come with them."""

    decisions: Mapping[str, int]
    timers: int
    now: datetime | None


@dataclass(frozen=True, slots=True)
class Services:
    """The running platform as its doors see it.

    `actions` are what people may do (`promotions.rollback`, `runs.stop`, ...), by name: which of them there are depends
    on the roles of this process.
    """

    settings: Settings
    project: Path
    data: Path
    store: Store
    bus: Bus
    clock: Clock
    states: Callable[[], list[PartState]]
    sources: Callable[[], list[dict[str, Any]]]
    sensing: Sensing
    figures: Callable[[], Figures]
    actions: Mapping[str, Action] = field(default_factory=dict[str, Action])
    promotions: Callable[[], Mapping[str, PromotionDocument]] = field(default=dict[str, PromotionDocument])
    """The project's Promotions as they are now."""
    workflow_metrics: WorkflowMetrics = field(default_factory=WorkflowMetrics)
    """What workflows have counted in this process."""
    closing: anyio.Event = field(default_factory=anyio.Event)
    """Set when the platform begins to stop: what would answer without end ends."""

    async def ask(self, query: Callable[..., T], *words: Any) -> T:
        """Answer a question of `retrain.app.queries` on a snapshot of the store."""

        def work(connection: Connection) -> T:
            return query(connection, *words)

        return await self.store.read(work)
