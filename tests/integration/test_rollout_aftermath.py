"""What follows a verification, on real Git: live, or taken back once and held; and nothing that makes it worse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrain.errors import Refused
from tests.integration.aftermath_world import ADA, FILE, aftermath, verified
from tests.integration.promotion_world import MODEL, Remote, candidate

pytestmark = pytest.mark.integration


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote.create(tmp_path / "deploy.git")


@pytest.fixture
def word(tmp_path: Path) -> Path:
    return tmp_path / "word.json"


async def test_what_passes_is_live_and_told_once(tmp_path: Path, remote: Remote, word: Path) -> None:
    async with aftermath(tmp_path / "data", verified(remote.path, word), word) as w:
        row = await w.live("a")

        assert await w.subjects(row.id) == ["promotion.committed", "promotion.live"]
        assert await w.hold() is None
        assert row.verification["outcome"] == "passed"


async def test_what_fails_is_taken_back_once_by_a_commit_that_is_verified_too(
    tmp_path: Path, remote: Remote, word: Path
) -> None:
    async with aftermath(tmp_path / "data", verified(remote.path, word), word) as w:
        good = await w.live("a")
        w.say(b="fail")
        bad = await w.state(await w.propose(candidate("b")), "rolled-back")
        (back,) = await w.rollbacks()
        back = await w.state(back.id, "live")
        hold = await w.hold()

        assert (await w.state(good.id, "live")).state == "live"
        assert await w.subjects(bad.id) == ["promotion.committed", "promotion.unhealthy"]
        assert await w.subjects(back.id) == ["promotion.rolled-back", "promotion.live"]
        assert "retrain (verification) promotions.hold" in await w.audited()
    record = json.loads(remote.show(".retrain/digits/staging.json"))
    assert remote.show(FILE) == MODEL.replace("digits/v0", "digits/a")
    assert hold is not None
    assert hold.actor == record["hold"]["actor"] == back.actor == "retrain (verification)"
    assert record["hold"]["reason"] == hold.reason
    assert bad.id in hold.reason
    assert len(remote.commits()) == 4


async def test_after_a_release_the_model_that_was_taken_back_comes_only_by_a_person(
    tmp_path: Path, remote: Remote, word: Path
) -> None:
    async with aftermath(tmp_path / "data", verified(remote.path, word), word) as w:
        await w.live("a")
        w.say(b="fail")
        bad = await w.state(await w.propose(candidate("b")), "rolled-back")
        await w.state((await w.rollbacks())[0].id, "live")
        held = await w.promote(candidate("b", run="r-again"))
        await w.promoter.people.release("digits", by=ADA)
        again = await w.promote(candidate("b", run="r-once-more"))
        other = await w.live("c")
        w.say(b="pass")
        asked = await w.promoter.people.retry(bad.id, by=ADA, reason="the cluster was broken")
        asked = await w.state(asked.id, "live")

    assert (held.state, "held by retrain (verification)" in held.reason) == ("refused", True)
    assert again.state == "refused"
    assert f"`retrain promotions retry {bad.id}`" in again.reason
    assert other.state == asked.state == "live"


async def test_an_error_takes_nothing_back_and_a_person_may_ask_again(
    tmp_path: Path, remote: Remote, word: Path
) -> None:
    async with aftermath(tmp_path / "data", verified(remote.path, word), word) as w:
        await w.live("a")
        w.say(b="error")
        row = await w.state(await w.propose(candidate("b")), "unhealthy")
        held, commits = await w.hold(), len(remote.commits())
        w.say(b="pass")
        again = await w.promoter.people.retry(row.id, by=ADA, reason="it was the network")
        row = await w.state(again.id, "live")

        assert again.id == row.id
        assert held is not None
        assert await w.hold() is None
        assert await w.rollbacks() == []
        told = await w.subjects(row.id)
    assert told == ["promotion.committed", "promotion.unhealthy", "promotion.live"]
    assert len(remote.commits()) == commits


@pytest.mark.parametrize(("said", "held"), [("hold", True), ("nothing", False)])
async def test_on_failure_says_how_much_is_done(
    tmp_path: Path, remote: Remote, word: Path, said: str, held: bool
) -> None:
    async with aftermath(tmp_path / "data", verified(remote.path, word, onFailure=said), word) as w:
        w.say(a="fail")
        row = await w.state(await w.propose(candidate("a")), "unhealthy")

        assert f"onFailure is {said}" in row.reason
        assert (await w.hold() is not None, await w.rollbacks()) == (held, [])


async def test_a_rollback_that_is_not_well_is_the_last_one(tmp_path: Path, remote: Remote, word: Path) -> None:
    async with aftermath(tmp_path / "data", verified(remote.path, word), word) as w:
        await w.live("a")
        w.say(a="fail", b="fail")
        await w.state(await w.propose(candidate("b")), "rolled-back")
        (back,) = await w.rollbacks()
        back = await w.state(back.id, "unhealthy")

        assert "it is a rollback itself" in back.reason
        assert await w.hold() is not None
        assert len(await w.rollbacks()) == 1


async def test_what_somebody_has_changed_since_is_left_to_them(tmp_path: Path, remote: Remote, word: Path) -> None:
    async with aftermath(tmp_path / "data", verified(remote.path, word), word) as w:
        await w.live("a")
        promotion = await w.propose(candidate("b"))
        await w.state(promotion, "committed")
        remote.human({FILE: MODEL.replace("digits/v0", "digits/by-hand")})
        w.say(b="fail")
        row = await w.until(promotion, lambda row: "has taken nothing back" in row.reason)
        (back,) = await w.rollbacks()

        assert (row.state, back.state) == ("unhealthy", "refused")
        assert "somebody changed it by hand" in row.reason
        assert await w.hold() is not None
        assert await w.subjects(row.id) == ["promotion.committed", "promotion.unhealthy", "promotion.unhealthy"]
    assert "digits/by-hand" in remote.show(FILE)


async def test_a_newer_model_waits_for_the_end_of_a_verification(tmp_path: Path, remote: Remote, word: Path) -> None:
    async with aftermath(tmp_path / "data", verified(remote.path, word), word) as w:
        first = await w.propose(candidate("a"))
        await w.state(first, "committed")
        second = await w.propose(candidate("b"))
        waiting = await w.state(second, "awaiting")
        w.say(a="pass", b="pass")
        rows = [await w.state(one, "live") for one in (first, second)]

    assert waiting.waiting["for"] == ["verification"]
    assert first in waiting.reason
    assert [row.id for row in sorted(rows, key=lambda row: str(row.ended))] == [first, second]


async def test_nobody_looks_again_at_what_is_about_to_be_taken_back(tmp_path: Path, remote: Remote, word: Path) -> None:
    async with aftermath(tmp_path / "data", verified(remote.path, word), word) as w:
        promotion = await w.propose(candidate("a"))
        await w.state(promotion, "committed")
        remote.path.rename(tmp_path / "away.git")
        w.say(a="fail")
        await w.state(promotion, "unhealthy")
        with pytest.raises(Refused, match="about to roll it back"):
            await w.promoter.people.retry(promotion, by=ADA, reason="now")
        (tmp_path / "away.git").rename(remote.path)
        await w.state(promotion, "rolled-back")

    assert remote.show(FILE) == MODEL
