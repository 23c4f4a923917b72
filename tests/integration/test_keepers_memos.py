"""Remembered outputs: the same promises in memory and on the store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.artifacts.keeper import Keeper
from pipelines.artifacts.opening import open_artifacts
from pipelines.artifacts.port import ArtifactRun
from pipelines.core.happenings import Memo, MemoNews, MemoWish
from pipelines.host.keepers import Keepers
from pipelines.host.keepers_memory import MemoryKeepers
from pipelines.host.keepers_store import open_keepers
from pipelines.host.remembered import artifact_check
from retrain.clock import FakeClock
from retrain.store import memos, open_store

T0 = datetime(2026, 1, 1, tzinfo=UTC)
OUTPUTS = {"parameters": [{"name": "lr", "value": "0.1"}], "exitCode": "0"}
RUN = ArtifactRun("r", "wf", "default", "n", "p")


def entry(outputs: Any, created: str = "2025-12-31T23:00:00Z") -> str:
    return json.dumps({"nodeID": "n", "outputs": outputs, "creationTimestamp": created, "lastHitTimestamp": created})


CONFIG_MAPS: Mapping[str, Mapping[str, str]] = {
    "cache": {
        "known": entry(OUTPUTS),
        "no-json": "{",
        "no-outputs": "{}",
        "odd": entry([1]),
        "naive": entry(OUTPUTS, "2025-12-31"),
    }
}


class Host:
    def __init__(self, keepers: Keepers, clock: FakeClock, artifacts: Keeper) -> None:
        self.keepers = keepers
        self.clock = clock
        self.artifacts = artifacts

    async def ask(self, key: str = "k", cache: str = "cache", max_age_s: float | None = None) -> Any:
        news = await self.keepers.look_up(MemoWish("n-2", cache, key, max_age_s))
        assert news.node_id == "n-2"
        return news.outputs

    async def remember(self, outputs: Mapping[str, Any] = OUTPUTS, key: str = "k") -> None:
        await self.keepers.remember(Memo("cache", key, "n-1", outputs))


@asynccontextmanager
async def memory(path: Path) -> AsyncIterator[Host]:
    clock, artifacts = FakeClock(T0), open_artifacts(path, {})
    yield Host(MemoryKeepers(clock, artifact_check(artifacts), lambda: CONFIG_MAPS), clock, artifacts)


@asynccontextmanager
async def on_store(path: Path) -> AsyncIterator[Host]:
    clock, artifacts = FakeClock(T0), open_artifacts(path, {})
    async with (
        open_store(path / "retrain.db") as store,
        open_keepers(store, clock, artifact_check(artifacts), lambda: CONFIG_MAPS) as keepers,
    ):
        yield Host(keepers, clock, artifacts)


every_host = pytest.mark.parametrize(
    "open_host", [pytest.param(memory, id="memory"), pytest.param(on_store, id="store")]
)


@every_host
async def test_what_is_remembered_is_found_under_its_key_and_cache(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.remember()

        assert await host.ask() == OUTPUTS
        assert await host.ask("other") is None
        assert await host.ask(cache="other") is None


@every_host
async def test_the_newest_wins(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.remember()
        await host.remember({"result": "new"})

        assert await host.ask() == {"result": "new"}


@every_host
async def test_what_is_too_old_is_not_used(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.remember()
        host.clock.advance(10)

        assert await host.ask(max_age_s=10) == OUTPUTS
        assert await host.ask(max_age_s=9) is None
        assert await host.ask() == OUTPUTS


@every_host
async def test_what_a_config_map_remembers_is_used_until_there_is_something_newer(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        assert await host.ask("known") == OUTPUTS
        assert await host.ask("naive") == OUTPUTS
        assert await host.ask("known", max_age_s=60) is None

        await host.remember({"result": "new"}, key="known")

        assert await host.ask("known", max_age_s=60) == {"result": "new"}


@every_host
@pytest.mark.parametrize("key", ["no-json", "no-outputs", "odd"])
async def test_what_cannot_be_read_in_a_config_map_is_not_remembered(open_host, tmp_path, key):
    async with open_host(tmp_path) as host:
        assert await host.ask(key) is None


@every_host
async def test_outputs_whose_artifact_is_gone_are_not_used(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        file = tmp_path / "model.bin"
        file.write_bytes(b"x" * 100)
        artifact = host.artifacts.save({"name": "model", "path": "/model.bin"}, file, RUN)
        await host.remember({"artifacts": [dict(artifact)]})

        assert await host.ask() is not None
        host.artifacts.delete(artifact, RUN)
        assert await host.ask() is None


@every_host
async def test_a_memory_is_not_bounded_as_a_config_map_is(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        for n in range(4):
            await host.remember({"result": "x" * 1_000_000}, key=f"k{n}")

        assert len((await host.ask("k0"))["result"]) == 1_000_000


async def test_memories_outlive_the_process(tmp_path):
    async with on_store(tmp_path) as host:
        await host.remember()
    async with on_store(tmp_path) as host:
        assert await host.ask() == OUTPUTS


async def test_what_nobody_uses_can_be_forgotten(tmp_path):
    clock = FakeClock(T0)
    async with open_store(tmp_path / "retrain.db") as store, open_keepers(store, clock) as keepers:
        for key in ("used", "unused"):
            await keepers.remember(Memo("c", key, "n", OUTPUTS))
        clock.advance(3600)
        await keepers.look_up(MemoWish("n", "c", "used"))

        assert await store.write(lambda c: memos.forget(c, T0 + timedelta(minutes=1))) == 1
        assert await keepers.look_up(MemoWish("n", "c", "unused")) == MemoNews("n", None)
