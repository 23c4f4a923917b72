"""Promotions through kills, restarts and other processes: one commit each, whatever happens around the push."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from deploy import PromotionRequest, submit
from tests.integration.promotion_world import Remote, candidate, document, world

pytestmark = pytest.mark.integration


async def test_a_commit_that_landed_before_a_crash_is_found_below_later_ones(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    doc = document(remote.path)
    async with world(tmp_path / "data", doc) as w:
        first = await w.promote(candidate("a"))
    async with world(tmp_path / "other", doc) as w:
        await w.promote(candidate("b", 0.99))

    # The first store never heard that its push arrived.
    async with world(tmp_path / "data", doc, run=False) as w:
        await w.store.write(
            lambda c: c.exec_driver_sql("UPDATE promotions SET state = 'committing'") and None  # what a kill leaves
        )
    async with world(tmp_path / "data", doc) as w:
        row = await w.until(first.id)

    assert (row.state, row.commit_sha) == ("committed", first.commit_sha)
    assert len(remote.commits()) == 3


async def test_stopping_kills_git_and_the_next_run_finishes(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    pid = tmp_path / "pid"
    remote.hook("pre-receive", f"#!/bin/sh\necho $$ > '{pid}'\nexec sleep 600\n")

    async with world(tmp_path / "data", document(remote.path)) as w:
        promotion = await w.propose(candidate("a"))
        with anyio.fail_after(30):
            while not _number(pid):  # noqa: ASYNC110 - another process tells by a file
                await anyio.sleep(0.02)
    with anyio.fail_after(10):
        while _alive(_number(pid)):  # noqa: ASYNC110 - it is no child of ours
            await anyio.sleep(0.02)
    (remote.path / "hooks" / "pre-receive").unlink()
    async with world(tmp_path / "data", document(remote.path)) as w:
        row = await w.until(promotion)

    assert (row.state, len(remote.commits())) == ("committed", 2)


def _number(file: Path) -> int:
    return int(file.read_text() or 0) if file.exists() else 0


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


async def test_a_promotion_that_arrives_twice_at_two_processes_is_committed_once(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    doc = document(remote.path)

    async with (
        world(tmp_path / "data", doc, owner="one") as first,
        world(tmp_path / "data", doc, owner="two") as second,
    ):
        request = PromotionRequest("digits", candidate("a"), "f-1")
        now = (await first.until(await first.propose(candidate("b")))).created
        ids = {await w.store.write(lambda c: submit(c, doc, request, now)) for w in (first, second)}
        (promotion,) = ids
        row = await second.until(promotion)

    assert row.state == "committed"
    assert len(remote.commits()) == 3
