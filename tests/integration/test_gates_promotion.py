"""A whole promotion whose gates ask: a service that is away keeps it back and does not refuse it; its word counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import orjson
from aiohttp import web

from deploy import Promoter, PromotionDocument, Settings, place
from deploy.gates import written
from retrain.app.promotions.gate_tools import GateGround, open_gate_tools
from retrain.clock import SystemClock
from retrain.store import open_store
from tests.integration.promotion_world import Remote, World, candidate, document, git
from tests.integration.test_gates_ask import SECRETS, service


@asynccontextmanager
async def world(data: Path, *documents: PromotionDocument) -> AsyncIterator[World]:
    """As the platform has it: a promoter with tools."""
    await anyio.Path(data).mkdir(parents=True)
    by_name = {one.name: one for one in documents}
    where = place(data, data, {"PATH": "/usr/local/bin:/usr/bin:/bin"})
    async with open_store(data / "store.db") as store:
        ground = GateGround(store, SystemClock(), SECRETS, data, data)
        settings = Settings(first_wait_s=0.05)
        promoter = Promoter(store, by_name, where, settings=settings, tools=partial(open_gate_tools, ground))
        async with anyio.create_task_group() as group:
            await group.start(promoter.run)
            yield World(store, promoter, by_name)
            group.cancel_scope.cancel()


class Judge:
    """A service that says one thing after the other, the last for ever; a number is a status."""

    def __init__(self, *words: Any) -> None:
        self.words = list(words)
        self.asked = 0

    async def answer(self, request: web.Request) -> web.Response:
        word = self.words[min(self.asked, len(self.words) - 1)]
        self.asked += 1
        return web.Response(status=word) if isinstance(word, int) else web.json_response({"verdict": word})


async def promoted(tmp_path: Path, judge: Judge) -> tuple[Any, Remote]:
    remote = Remote.create(tmp_path / "deployment.git")
    async with service(judge.answer) as url:
        gates = [{"name": "accuracy", "kind": "threshold", "metric": "accuracy", "min": 0.9}]
        asks = {"name": "judge", "kind": "http", "url": url}
        async with world(tmp_path / "data", document(remote.path, gates=[*gates, asks])) as here:
            return await here.promote(candidate("a")), remote


async def test_a_service_that_is_away_and_then_undecided_is_asked_until_it_says_yes(tmp_path: Path) -> None:
    judge = Judge(503, "pending", "pass")

    row, remote = await promoted(tmp_path, judge)

    assert (row.state, judge.asked) == ("committed", 3)
    assert [gate["verdict"] for gate in row.gates] == ["pass", "pass"]
    record = orjson.loads(remote.show(".retrain/digits/staging.json"))
    body = git(remote.path, "log", "-1", "--format=%B", "main")
    assert f"Gate-Report-Digest: {written(record['gates'])[1]}" in body


async def test_its_no_is_final_and_every_gate_is_in_the_report(tmp_path: Path) -> None:
    judge = Judge("fail")

    row, remote = await promoted(tmp_path, judge)

    assert (row.state, judge.asked) == ("refused", 1)
    assert [(gate["name"], gate["verdict"]) for gate in row.gates] == [("accuracy", "pass"), ("judge", "fail")]
    assert len(remote.commits()) == 1
