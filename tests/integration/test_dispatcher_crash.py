"""`kill -9` of the platform around an act: the act happens, and whoever receives it can tell a repetition."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from retrain import faults
from retrain.store import firings, open_store, runs
from retrain.store.firings import FiringRow, FiringState
from triggers import KINDS, Dispatcher

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
FIRING = "f-0123456789abcdef0123"
WORKFLOW = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "train-"},
    "spec": {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "x", "command": ["true"]}}]},
}


async def platform(path: Path, fault: str) -> None:
    """What the killed process runs: a dispatcher until its one firing has ended."""
    async with open_store(path) as store, anyio.create_task_group() as group:
        faults.arm(fault)
        await group.start(Dispatcher(store, "me", KINDS).run)
        with anyio.fail_after(30):
            while True:
                counts = await store.read(firings.counts)
                if counts.get("done", 0) + counts.get("dead", 0):
                    break
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()


async def run_platform(path: Path, fault: str = "") -> int:
    command = [sys.executable, str(Path(__file__)), str(path), fault]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await anyio.run_process(command, check=False, env=environment, stdout=subprocess.PIPE, stderr=None)
    return process.returncode


async def enlist(path: Path, action: dict[str, Any], owner: str | None) -> None:
    """A firing as the sensor host leaves it: owned by the platform that is about to act, or by nobody."""
    state = FiringState.RUNNING if owner else FiringState.PENDING
    now = datetime.now(UTC)
    lease = now.replace(year=now.year + 1) if owner else None
    row = FiringRow(FIRING, "s", "t", "", ("e" * 32,), action, now, state=state, owner=owner, lease_until=lease)
    async with open_store(path) as store:
        await store.write(lambda c: firings.add(c, [row]))


@pytest.mark.parametrize(("fault", "acts"), [("trigger.before_act", 1), ("trigger.after_act", 2)])
@pytest.mark.parametrize("owner", [None, "me"], ids=["claimed", "offered"])
async def test_a_request_is_sent_though_the_platform_was_killed_and_always_with_the_same_key(
    tmp_path: Path, fault: str, acts: int, owner: str | None
) -> None:
    keys: list[str] = []

    async def receive(request: web.BaseRequest) -> web.Response:
        keys.append(request.headers["Idempotency-Key"])
        return web.Response(text="ok")

    runner = web.ServerRunner(web.Server(receive))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        path = tmp_path / "store.db"
        await enlist(path, {"kind": "http", "url": f"http://127.0.0.1:{runner.addresses[0][1]}/"}, owner)

        assert await run_platform(path, fault) == -signal.SIGKILL
        assert await run_platform(path) == 0
    finally:
        await runner.cleanup()

    assert keys == [FIRING] * acts


@pytest.mark.parametrize("fault", ["trigger.before_act", "trigger.after_act"])
async def test_a_run_is_submitted_exactly_once_though_the_platform_was_killed(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "store.db"
    await enlist(path, {"kind": "argoWorkflow", "operation": "submit", "resource": WORKFLOW}, "me")

    assert await run_platform(path, fault) == -signal.SIGKILL
    assert await run_platform(path) == 0

    async with open_store(path) as store:
        listed = (await store.read(lambda c: runs.listing(c, runs.RunFilter()))).items
    assert [(run.id, run.firing_id) for run in listed] == [(FIRING.replace("f-", "r-"), FIRING)]


if __name__ == "__main__":
    asyncio.run(platform(Path(sys.argv[1]), sys.argv[2]))
