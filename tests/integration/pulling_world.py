"""A deployment repository on a real Gitea and a promoter that proposes to it, as tests of pull requests need them."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from deploy import Promoter, PromotionDocument, Settings, place
from deploy.forges import branch_of
from retrain.clock import SystemClock
from retrain.store import open_store
from tests.contract import forge_gitea
from tests.contract.forge_gitea import USER, GiteaOutside
from tests.contract.forge_tls import tls_front
from tests.integration.promotion_world import MODEL, World, document
from tests.servers.forge_servers import Gitea

FILE = "overlays/staging/model.yaml"
RECORD = ".retrain/digits/staging.json"


@dataclass
class Site:
    """One repository on the forge, the folder of the platform, and who does things behind its back."""

    outside: GiteaOutside
    data: Path
    url: str

    def document(self, **changes: Any) -> PromotionDocument:
        """The promotion by pull request. `pull` replaces members of pullRequest; the others are of its spec."""
        spec = {
            "forge": "gitea",
            "url": f"{self.outside.gitea.url}/api/v1",
            "repository": self.outside.repository,
            "token": {"file": "token"},
            **changes.pop("pull", {}),
        }
        url = f"{self.url}/{self.outside.repository}.git"
        repo = {
            "url": url,
            "credentials": {"username": USER, "token": {"file": "token"}},
            "ca": {"file": "ca.pem"},
        }
        return document(url, **{"repo": repo, "pullRequest": spec, **changes})

    async def pulls(self) -> list[dict[str, Any]]:
        """All of them, the newest first."""
        return await self.outside.call("GET", "/pulls?state=all")

    async def text(self, ref: str, file: str = FILE) -> str:
        found = await self.outside.call("GET", f"/contents/{file}?ref={ref}")
        return b64decode(found["content"]).decode()

    async def commits(self, ref: str = "main") -> list[str]:
        """The commits of a branch, newest first."""
        return [one["sha"] for one in await self.outside.call("GET", f"/commits?sha={ref}&limit=50&stat=false")]

    async def merge(self, number: int, how: str = "merge") -> None:
        """Somebody presses the button; Gitea needs a moment before it lets them."""
        body = {"Do": how, "MergeTitleField": "as you like", "merge_title_field": "as you like"}
        with anyio.fail_after(30):
            while not (await self.outside.call("GET", f"/pulls/{number}"))["merged"]:
                await self.outside.maybe("POST", f"/pulls/{number}/merge", body)
                await anyio.sleep(0.1)


@asynccontextmanager
async def site(gitea: Gitea, folder: Path) -> AsyncGenerator[Site]:
    """A repository with a manifest, reached by git over TLS; ada may write in it too."""
    outside = await anyio.to_thread.run_sync(forge_gitea.outside, gitea)
    await outside.push("main", FILE, MODEL)
    data = folder / "data"
    await anyio.Path(data).mkdir()
    async with tls_front(gitea.server.port, folder) as front:
        (data / "token").write_text(outside.secrets.values["forge", "token"])
        (data / "ca.pem").write_text(front.ca)
        yield Site(outside, data, front.url)


@asynccontextmanager
async def platform(
    data: Path, *documents: PromotionDocument, owner: str = "promoter", run: bool = True
) -> AsyncGenerator[World]:
    """A store and a promoter that looks at the forge often."""
    by_name = {one.name: one for one in documents}
    where = place(data, data, {"PATH": "/usr/local/bin:/usr/bin:/bin"})
    settings = Settings(owner=owner, first_wait_s=0.1, forge_s=0.3)
    async with open_store(data / "store.db") as store:
        promoter = Promoter(store, by_name, where, clock=SystemClock(), settings=settings)
        async with anyio.create_task_group() as group:
            if run:
                await group.start(promoter.run)
            yield World(store, promoter, by_name)
            group.cancel_scope.cancel()


def branch(world: World, row: Any) -> str:
    return branch_of(f"{row.environment}/{row.name}", row.intent_key)


def is_open(row: Any) -> bool:
    return row.state == "open"


def says(words: str) -> Callable[[Any], bool]:
    return lambda row: words in row.reason
