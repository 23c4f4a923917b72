"""A bucket of very many objects is walked page by page: memory does not grow with it."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog

from retrain.bus import MemoryBus
from retrain.store import Store
from tests.contract.source_world import Platform, Secrets, document, state, until
from tests.servers.big_bucket import listing

pytestmark = [pytest.mark.integration, pytest.mark.slow]
log = structlog.get_logger()

COUNT = int(os.environ.get("RETRAIN_TEST_OBJECTS", "30000"))
GROWTH = 40 * 1024 * 1024
"""Bytes: the connections, caches and pages of a walk. A list of COUNT objects would take a multiple of it in a test of
10^6 objects (RETRAIN_TEST_OBJECTS=1000000)."""


def memory() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "way", [{"existing": "skip"}, {"stable": {"quiet": "1h"}, "existing": "skip"}], ids=["each", "sets"]
)
async def test_a_very_big_bucket_is_walked_with_flat_memory(way: dict[str, Any], store: Store) -> None:
    world = Platform(MemoryBus(), store, Secrets({("s", "a"): "access-key", ("s", "b"): "secret-key"}))
    with listing(COUNT) as server:
        entry = {
            "endpoint": server.endpoint,
            "insecure": True,
            "bucket": {"name": "big"},
            "accessKey": {"name": "s", "key": "a"},
            "secretKey": {"name": "s", "key": "b"},
            "existing": "skip",
            **way,
        }
        before, began, most = memory(), anyio.current_time(), 0
        async with world.running(document("es", minio={"thing": entry})) as host:
            for share in (0.25, 0.5, 0.75):
                await until(lambda share=share: server.pages >= share * COUNT / 1000, deadline_s=1500)
                most = max(most, memory())
            with anyio.fail_after(1500):
                while host.states()[0].state != "listening":  # noqa: ASYNC110 - a state has no event
                    await anyio.sleep(0.05)
            listening = await state(host, "listening")
            most = max(most, memory())
    took = anyio.current_time() - began
    log.info("big_bucket.walked", objects=COUNT, grown_mib=round((most - before) / 2**20, 1), seconds=round(took, 1))

    assert listening.received == 0
    assert most - before < GROWTH
