"""A promoter that verifies what it has committed, against a real cluster, with the tools of the running platform."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from deploy import Promoter, PromotionDocument, Settings, place
from retrain.app.projects.secrets import ProjectSecrets
from retrain.app.promotions.rollout_tools import RolloutGround, open_rollout_tools
from retrain.clock import SystemClock
from retrain.store import open_store, promotions
from retrain.store.promotions import PromotionFilter
from tests.integration.promotion_world import FINAL, World

KUBECONFIG = {"name": "cluster", "key": "config"}
"""The secret that checks name."""
VERIFIED = ("live", "unhealthy", "rolled-back", *(state for state in FINAL if state != "committed"))


class Rollout(World):
    """A World whose promotions go on after the commit."""

    async def verified(self, promotion: str) -> Any:
        """Wait until it is known whether it is well."""
        return await self.until(promotion, lambda row: row.state in VERIFIED)

    async def rollback_of(self, row: Any) -> Any:
        """The promotion that took a row back, when it is verified itself."""
        page = await self.store.read(lambda c: promotions.listing(c, PromotionFilter(name=row.name)))
        backs = [one for one in page.items if one.action == "rollback" and one.candidate["promotion"] == row.id]
        assert len(backs) == 1
        return await self.verified(backs[0].id)

    async def hold(self, name: str) -> str:
        """Why automation keeps away; empty where it does not."""
        held = await self.store.read(lambda c: promotions.holding(c, name, "staging"))
        return held.reason if held else ""


@asynccontextmanager
async def rollout(
    data: Path, kubeconfig: str, *documents: PromotionDocument, secrets: Mapping[str, str] | None = None
) -> AsyncGenerator[Rollout]:
    """`secrets`: further kubeconfigs by the secret's name, each under the key `config`."""
    known = {"cluster": kubeconfig, **(secrets or {})}
    found = [{"metadata": {"name": name}, "stringData": {"config": text}} for name, text in known.items()]
    ground = RolloutGround(ProjectSecrets(found, [], {}), data)
    by_name = {one.name: one for one in documents}
    where = place(data, data, {"PATH": "/usr/local/bin:/usr/bin:/bin"})
    async with open_store(data / "store.db") as store:
        promoter = Promoter(
            store,
            by_name,
            where,
            clock=SystemClock(),
            settings=Settings(owner="promoter", first_wait_s=0.1),
            outside=partial(open_rollout_tools, ground),
        )
        async with anyio.create_task_group() as group:
            await group.start(promoter.run)
            yield Rollout(store, promoter, by_name)
            group.cancel_scope.cancel()
