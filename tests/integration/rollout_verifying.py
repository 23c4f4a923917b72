"""A promoter that looks at what it has committed, with the tools of the running platform; what a child process runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from deploy import Promoter, PromotionDocument, Settings, place
from retrain import faults
from retrain.app.projects.secrets import ProjectSecrets
from retrain.app.promotions.rollout_tools import RolloutGround, open_rollout_tools
from retrain.clock import SystemClock
from retrain.store import open_store
from tests.integration.promotion_world import World, candidate, document

QUICK: dict[str, Any] = {"every": "100ms"}
OVER = ("live", "unhealthy", "rolled-back", "refused", "failed")


class Watched(World):
    """A World whose promotions are looked at after the commit. `secrets` may be changed while it runs."""

    secrets: ProjectSecrets

    async def committed(self, name: str = "a") -> Any:
        """Promote a candidate; its row as soon as its commit is in the branch."""
        return await self.until(
            await self.propose(candidate(name)), lambda row: row.commit_sha is not None and row.ended
        )

    async def verified(self, promotion: str) -> Any:
        """Wait until its verification is over."""
        return await self.until(promotion, lambda row: row.state in OVER)

    async def seen(self, promotion: str, check: str, words: str) -> Any:
        """Wait until a check says these words."""

        def says(row: Any) -> bool:
            checks = (row.verification or {}).get("checks", [])
            return any(one["name"] == check and words in one["reason"] for one in checks)

        return await self.until(promotion, says)


def verifying(remote: Path, *checks: Mapping[str, Any], **more: Any) -> PromotionDocument:
    """A promotion to staging with these checks."""
    return document(remote, verify=[{**QUICK, **one} for one in checks], **more)


@asynccontextmanager
async def watched(
    data: Path, *documents: PromotionDocument, secrets: Mapping[str, Mapping[str, str]] | None = None
) -> AsyncGenerator[Watched]:
    """`secrets`: values by the secret's name and key."""
    await anyio.Path(data).mkdir(parents=True, exist_ok=True)
    found = [{"metadata": {"name": name}, "stringData": dict(values)} for name, values in (secrets or {}).items()]
    known = ProjectSecrets(found, [], {})
    outside = partial(open_rollout_tools, RolloutGround(known, data))
    by_name = {one.name: one for one in documents}
    settings = Settings(owner="promoter", first_wait_s=0.1)
    where = place(data, data, {"PATH": "/usr/local/bin:/usr/bin:/bin"})
    async with open_store(data / "store.db") as store:
        promoter = Promoter(store, by_name, where, clock=SystemClock(), settings=settings, outside=outside)
        async with anyio.create_task_group() as group:
            await group.start(promoter.run)
            one = Watched(store, promoter, by_name)
            one.secrets = known
            yield one
            group.cancel_scope.cancel()


def run(point: str, data: str, remote: str, url: str) -> None:
    """Promote until the fault point kills this process."""
    faults.arm(point)
    anyio.run(_promote, Path(data), Path(remote), url)


async def _promote(data: Path, remote: Path, url: str) -> None:
    async with watched(data, smoke(remote, url)) as world:
        await world.verified((await world.committed()).id)


def smoke(remote: Path, url: str, name: str = "digits", **more: Any) -> PromotionDocument:
    """A promotion of that name that is verified by a smoke test."""
    return verifying(remote, {"name": "smoke", "kind": "http", "url": url, "passes": 4, **more}, name=name)
