"""What the doors (web, and through it the command line) may use of the running platform."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from sqlalchemy import Connection

from pipelines.host.metrics import WorkflowMetrics
from retrain.app.access.narrowing import narrowed
from retrain.app.access.spaces import Spaces
from retrain.app.keeping.measures import Measures
from retrain.app.parts import PartState
from retrain.app.projects.project import Project
from retrain.app.sensing.sensing import Sensing
from retrain.app.settings import Settings
from retrain.bus import Bus
from retrain.clock import Clock
from retrain.store import Store

if TYPE_CHECKING:
    from deploy.spec import PromotionDocument

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
    promotions: Callable[[], Mapping[str, PromotionDocument]] = field(default=dict)
    """The project's Promotions as they are now."""
    manifests: Callable[[], Project] = Project
    """The project as it runs now."""
    workflow_metrics: WorkflowMetrics = field(default_factory=WorkflowMetrics)
    """What workflows have counted in this process."""
    measures: Measures | None = None
    """How big the store is; None where nobody measures it."""
    slots: Callable[[], Mapping[str, tuple[float, float]]] = field(default=dict[str, tuple[float, float]])
    """What steps have taken of this machine, and what there is, by resource; `runs` are the runs in hand."""
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When this process began."""
    closing: anyio.Event = field(default_factory=anyio.Event)
    """Set when the platform begins to stop: what would answer without end ends."""

    @property
    def spaces(self) -> Spaces:
        """In which namespaces things are."""
        return Spaces(self.store, self.sensing.items, self.promotions, self.sensing.held)

    async def ask(self, query: Callable[..., T], *words: Any) -> T:
        """Answer a question of `retrain.app.looking.queries` on a snapshot of the store, as far as who speaks may."""
        asked = narrowed(query, self.spaces)

        def work(connection: Connection) -> T:
            return asked(connection, *words)

        return await self.store.read(work)
