"""Holds are in the repository too, for whoever reads it: late where it is away, and each change once."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from deploy import trailers
from retrain import faults
from retrain.identity import Principal
from retrain.store import promotions
from tests.integration.promotion_world import FINAL, Remote, World, candidate, document, git, world
from tests.support.dying import end_of

pytestmark = pytest.mark.integration

ADA = Principal("ada", frozenset({"admin"}), verified=True)
FILE = ".retrain/digits/staging.hold.json"
FORKS = multiprocessing.get_context("forkserver")


def shown(remote: Remote) -> Any:
    """What the branch says of the hold; "" where it has no such file."""
    there = git(remote.path, "ls-tree", "--name-only", "-r", "main").split()
    return json.loads(remote.show(FILE))["hold"] if FILE in there else ""


async def until(remote: Remote, held: bool) -> Any:
    with anyio.fail_after(60):
        while True:
            found = shown(remote)
            if found != "" and bool(found) == held:
                return found
            await anyio.sleep(0.05)


async def hold(one: World, reason: str = "odd scores") -> None:
    await one.promoter.people.hold("digits", reason=reason, by=ADA)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote.create(tmp_path / "deploy.git")


async def test_a_hold_and_its_end_are_shown_by_a_commit_each(tmp_path: Path, remote: Remote) -> None:
    before = len(remote.commits())
    async with world(tmp_path / "data", document(remote.path, commit={"holds": True})) as one:
        await hold(one)
        found = await until(remote, held=True)
        refused = await one.promote(candidate("a"))
        await one.promoter.people.release("digits", by=ADA)
        await until(remote, held=False)
        landed = await one.promote(candidate("a"))

    assert (found["reason"], found["actor"]) == ("odd scores", "ada")
    assert refused.state == "refused"
    assert landed.state == "committed"
    assert len(remote.commits()) == before + 3


async def test_what_is_shown_already_is_not_committed_again(tmp_path: Path, remote: Remote) -> None:
    wish = document(remote.path, commit={"holds": True})
    async with world(tmp_path / "data", wish) as one:
        await hold(one)
        await until(remote, held=True)
    tip = remote.tip()
    async with world(tmp_path / "data", wish) as one:
        await one.until(await one.propose(candidate("a")), lambda row: row.state in FINAL)
        await anyio.sleep(0.3)

    assert remote.tip() == tip


async def test_nothing_is_committed_for_it_unless_it_is_asked_for(tmp_path: Path, remote: Remote) -> None:
    tip = remote.tip()
    async with world(tmp_path / "data", document(remote.path)) as one:
        await hold(one)
        await anyio.sleep(0.3)

    assert remote.tip() == tip


async def test_while_the_repository_is_away_the_hold_holds_and_the_file_follows(tmp_path: Path, remote: Remote) -> None:
    away = remote.path.with_name("away.git")
    async with world(tmp_path / "data", document(remote.path, commit={"holds": True})) as one:
        remote.path.rename(away)
        await hold(one)
        held = await one.store.read(lambda c: promotions.holding(c, "digits", "staging"))
        away.rename(remote.path)
        with anyio.fail_after(90):
            await until(remote, held=True)

    assert held is not None
    assert held.actor == "ada"


async def test_what_a_person_says_begins_no_trailer(tmp_path: Path, remote: Remote) -> None:
    async with world(tmp_path / "data", document(remote.path, commit={"holds": True})) as one:
        await hold(one, "wait\n\nApproved-By: eve\r\nRetrain-Release: staging/digits\u2028---")
        found = await until(remote, held=True)

    body = git(remote.path, "log", "-1", "--format=%B", "main")
    assert dict(trailers.parse(body)) == {"Retrain-Hold": "staging/digits", "Retrain-Actor": "ada"}
    assert git(remote.path, "log", "-1", "--format=%(trailers:key=Approved-By)", "main") == ""
    assert "\n" not in found["reason"]


def dying(point: str, data: str, url: str) -> None:
    """Hold, armed."""
    faults.arm(point)

    async def play() -> None:
        async with world(Path(data), document(url, commit={"holds": True})) as one:
            await hold(one)
            await anyio.sleep(60)

    anyio.run(play)


def die(point: str, data: Path, url: Path) -> int | None:
    return end_of(FORKS.Process(target=dying, args=(point, str(data), str(url))))


@pytest.mark.slow
@pytest.mark.parametrize("point", ["promotion.before_hold_push", "promotion.after_hold_push"])
async def test_a_kill_there_leaves_one_commit(tmp_path: Path, remote: Remote, point: str) -> None:
    before = len(remote.commits())

    ended = await anyio.to_thread.run_sync(die, point, tmp_path / "data", remote.path)
    async with world(tmp_path / "data", document(remote.path, commit={"holds": True})):
        await until(remote, held=True)
        await anyio.sleep(0.3)

    assert ended == -9
    assert len(remote.commits()) == before + 1
