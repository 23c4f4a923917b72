"""Promotions as a part of the platform. The promoter is made when there is something to promote: forges, gates,
registries and Git come with it, and a platform without a Promotion does not pay for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus

from retrain.clock import Clock
from retrain.errors import NotFound
from retrain.events import JsonValue
from retrain.store import Store, promotions
from retrain.store.runs import Engine
from triggers.port import Secrets

if TYPE_CHECKING:
    from deploy import Promoter, PromotionDocument
    from deploy.people import People


@dataclass(frozen=True, slots=True)
class PromotionGround:
    """What promotions stand on. `project` and `data` are absolute; `owner` names this process over its restarts;
    `engine` works on the workflows of gates that do not say it."""

    store: Store
    clock: Clock
    secrets: Secrets
    project: Path
    data: Path
    owner: str
    engine: Engine


class Promotions:
    """The Promotions of the project, and the promoter as soon as there is one."""

    def __init__(self, ground: PromotionGround, documents: Mapping[str, PromotionDocument]) -> None:
        self._ground = ground
        self._promoter: Promoter | None = None
        self._wanted = anyio.Event()
        if documents:
            self._made(documents)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Promote until cancelled, from the first Promotion on."""
        # What the Promotions of an earlier project have left is brought to its end.
        if self._promoter is None and not await self._ground.store.read(promotions.exist):
            task_status.started()
            await self._wanted.wait()
            await self._made().run()
        else:
            await self._made().run(task_status=task_status)

    @property
    def documents(self) -> Mapping[str, PromotionDocument]:
        """The Promotions by name, as they are now."""
        return self._promoter.documents if self._promoter is not None else {}

    @property
    def people(self) -> People:
        """What people may ask for."""
        return self._made().people

    async def take(self, documents: Mapping[str, PromotionDocument]) -> None:
        """Go by these documents from now on."""
        if documents or self._promoter is not None:
            await self._made(documents).take(documents)

    def state(self) -> dict[str, JsonValue]:
        """For readiness: as `Promoter.state`."""
        return self._promoter.state() if self._promoter is not None else {}

    def of(self, name: str) -> PromotionDocument:
        """The Promotion of this name.

        Raises:
            NotFound: there is none.
        """
        document = self.documents.get(name)
        if document is None:
            raise NotFound(f"there is no Promotion {name!r} in this project")
        return document

    async def resolve(self, document: PromotionDocument, candidate: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        """A candidate that names a model in a registry, as it is there now: `deploy.registry.candidates`."""
        from deploy.registry.candidates import resolve

        return await resolve(document.spec.registry, candidate, self._made().vault)

    def _made(self, documents: Mapping[str, PromotionDocument] | None = None) -> Promoter:
        if self._promoter is None:
            from retrain.app.promotions.opening import open_promoter

            self._promoter = open_promoter(self._ground, documents or {})
            self._wanted.set()
        return self._promoter
