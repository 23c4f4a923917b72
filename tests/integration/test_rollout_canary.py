"""A canary: each step a commit of its own, verified before the next; stopped, it goes back in one commit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy import PromotionDocument
from deploy.rollout.standing import seen
from deploy.verify import Keys, examine, judge
from deploy.verify.history import History
from retrain.errors import Refused
from retrain.store.promotions import PromotionRow
from tests.integration.aftermath_world import (
    ADA,
    FILE,
    IN_KNATIVE,
    IN_STANDARD,
    KNATIVE,
    STANDARD,
    STEPS,
    Aftermath,
    aftermath,
    verified,
)
from tests.integration.promotion_world import Remote, candidate, git

pytestmark = pytest.mark.integration


@pytest.fixture
def word(tmp_path: Path) -> Path:
    return tmp_path / "word.json"


def repository(tmp_path: Path, manifest: str = KNATIVE) -> Remote:
    return Remote.create(tmp_path / "deploy.git", {FILE: manifest, "README.md": "hello\n"})


def canary(remote: Remote, word: Path, **changes: Any) -> PromotionDocument:
    return verified(remote.path, word, **{"canary": STEPS, "edits": IN_KNATIVE, **changes})


def percents(remote: Remote) -> list[str]:
    """What each commit of ours says of the traffic, oldest first."""
    found: list[str] = []
    for commit in remote.commits()[1:]:
        lines = [line.strip() for line in remote.show(FILE, commit).splitlines() if "rafficPercent" in line]
        found.append(lines[0].partition(": ")[2] if lines else "")
    return found


def trailers(remote: Remote, key: str) -> list[str]:
    form = f"--format=<%(trailers:key={key},valueonly,separator=%x2C)>"
    return [line.strip("<>") for line in git(remote.path, "log", "--reverse", form, "main").split("\n")]


def answers(remote: Remote, tmp_path: Path, commit: str) -> dict[str, str]:
    """What `promotions verify` says of a commit."""
    from deploy import place

    where = place(tmp_path / "reader", tmp_path)
    _, found = examine(History(where.git, str(remote.path), tmp_path / "reader" / "git"), commit, "", Keys(), tmp_path)
    return {check.check: check.answer for check in judge(found)}


async def at_weight(w: Aftermath, promotion: str, step: int, outcome: str = "passed") -> PromotionRow:
    """Wait until a step is in the branch and was verified."""

    def met(row: PromotionRow) -> bool:
        return row.state == "committed" and row.step == step and seen(row).get("outcome") == outcome

    return await w.until(promotion, met)


async def test_each_step_is_a_commit_of_the_same_promotion(tmp_path: Path, word: Path) -> None:
    remote = repository(tmp_path)
    async with aftermath(tmp_path / "data", canary(remote, word), word) as w:
        row = await w.live("a")

        assert await w.subjects(row.id) == ["promotion.committed", "promotion.step", "promotion.step", "promotion.live"]
        assert row.step == 2
        assert row.commit_sha == remote.tip()
    assert percents(remote) == ["10", "50", "100"]
    assert trailers(remote, "Retrain-Step") == ["", "1/3", "2/3", "3/3"]
    assert set(trailers(remote, "Retrain-Promotion")[1:]) == {row.id}
    record = json.loads(remote.show(".retrain/digits/staging.json"))
    assert record["step"] == {"number": 3, "of": 3, "weight": 100}
    for commit in remote.commits()[1:]:
        said = answers(remote, tmp_path, commit)
        assert {name: answer for name, answer in said.items() if answer == "no"} == {}
        assert (said["edits"], said["trailers"], said["chain"]) == ("yes", "yes", "yes")


async def test_where_the_canary_stands_beside_the_stable_model_it_takes_its_place(tmp_path: Path, word: Path) -> None:
    remote = repository(tmp_path, STANDARD)
    async with aftermath(tmp_path / "data", canary(remote, word, edits=IN_STANDARD), word) as w:
        await w.live("a")
        first, second, last = remote.commits()[1:]
        again = await w.promote(candidate("a", run="r-again"))

    assert "storageUri: s3://models/digits/v0" in remote.show(FILE, first)
    assert "storageUri: s3://models/digits/a" in remote.show(FILE, second)
    assert remote.show(FILE, last) == STANDARD.replace("digits/v0", "digits/a")
    assert again.state == "noop"


@pytest.mark.parametrize(("edits", "manifest"), [(IN_KNATIVE, KNATIVE), (IN_STANDARD, STANDARD)])
@pytest.mark.parametrize("weight", [10, 50, 100])
async def test_a_step_that_fails_takes_all_steps_back_in_one_commit(
    tmp_path: Path, word: Path, edits: Any, manifest: str, weight: int
) -> None:
    remote = repository(tmp_path, manifest)
    async with aftermath(tmp_path / "data", canary(remote, word, edits=edits), word) as w:
        w.say(a="pass")
        w.say_at("a", weight, "fail")
        row = await w.state(await w.propose(candidate("a")), "rolled-back")
        (back,) = await w.rollbacks()
        steps = {10: 1, 50: 2, 100: 3}[weight]

        assert row.step == steps - 1
        assert await w.hold() is not None
    assert remote.show(FILE) == manifest
    assert len(remote.commits()) == 1 + steps + 1
    assert trailers(remote, "Retrain-Promotion")[-1] == back.id
    said = answers(remote, tmp_path, remote.tip())
    assert (said["edits"], said["trailers"], said["chain"]) == ("yes", "yes", "yes")


async def test_a_hold_stops_the_next_step_and_a_release_lets_it_go_on(tmp_path: Path, word: Path) -> None:
    remote = repository(tmp_path)
    async with aftermath(tmp_path / "data", canary(remote, word), word) as w:
        promotion = await w.propose(candidate("a"))
        await at_weight(w, promotion, 0, "pending")
        await w.promoter.people.hold("digits", by=ADA, reason="lunch")
        w.say(a="pass")
        held = await at_weight(w, promotion, 0)
        other = await w.promote(candidate("b"))
        held_at = percents(remote)
        await w.promoter.people.release("digits", by=ADA)
        row = await w.state(promotion, "live")

    assert held.verification["nextStep"]
    assert other.state == "refused"
    assert held_at == ["10"]
    assert (row.step, percents(remote)) == (2, ["10", "50", "100"])


async def test_a_canary_that_somebody_rejects_is_taken_back(tmp_path: Path, word: Path) -> None:
    remote = repository(tmp_path)
    slow = [{"weight": 10, "for": "1h"}, {"weight": 100}]
    async with aftermath(tmp_path / "data", canary(remote, word, canary=slow), word) as w:
        w.say(a="pass")
        promotion = await w.propose(candidate("a"))
        await at_weight(w, promotion, 0)
        await w.promoter.people.reject(promotion, by=ADA, reason="it answers oddly")
        row = await w.state(promotion, "rolled-back")
        hold = await w.hold()

    assert remote.show(FILE) == KNATIVE
    assert row.state == "rolled-back"
    assert hold is not None
    assert (hold.actor, hold.reason) == ("ada", "it answers oddly")


async def test_a_weight_that_somebody_changes_stops_it(tmp_path: Path, word: Path) -> None:
    remote = repository(tmp_path)
    async with aftermath(tmp_path / "data", canary(remote, word), word) as w:
        promotion = await w.propose(candidate("a"))
        await at_weight(w, promotion, 0, "pending")
        remote.human({FILE: remote.show(FILE).replace("Percent: 10", "Percent: 11")})
        w.say(a="pass")
        row = await w.state(promotion, "unhealthy")
        remote.human({FILE: remote.show(FILE).replace("Percent: 11", "Percent: 10")})
        stopped, hold = row, await w.hold()
        await w.promoter.people.retry(promotion, by=ADA, reason="it is as it was")
        row = await w.state(promotion, "live", "unhealthy")

    assert "step 2 of its canary was not taken" in stopped.reason
    assert "somebody changed it by hand" in stopped.reason
    assert (stopped.step, hold is not None) == (0, True)
    assert (row.state, row.step) == ("live", 2)


async def test_without_checks_only_time_passes_between_the_steps(tmp_path: Path, word: Path) -> None:
    remote = repository(tmp_path)
    soaked = [{"weight": 20, "for": "100ms"}, {"weight": 100}]
    async with aftermath(tmp_path / "data", canary(remote, word, verify=None, canary=soaked), word) as w:
        row = await w.state(await w.propose(candidate("a")), "live")

    assert percents(remote) == ["20", "100"]
    assert row.verification["outcome"] == "passed"


async def test_a_freeze_that_begins_meanwhile_does_not_stop_it(tmp_path: Path, word: Path) -> None:
    remote = repository(tmp_path)
    doc = canary(remote, word)
    frozen = canary(remote, word, freeze=[{"from": "2020-01-01T00:00:00Z", "to": "2120-01-01T00:00:00Z"}])
    async with aftermath(tmp_path / "data", doc, word) as w:
        promotion = await w.propose(candidate("a"))
        await at_weight(w, promotion, 0, "pending")
        await w.promoter.take({"digits": frozen})
        w.say(a="pass")
        row = await w.state(promotion, "live")

    assert row.step == 2


async def test_people_who_go_back_go_back_from_all_steps(tmp_path: Path, word: Path) -> None:
    remote = repository(tmp_path)
    async with aftermath(tmp_path / "data", canary(remote, word), word) as w:
        promotion = await w.propose(candidate("a"))
        w.say_at("a", 10, "pass")
        await at_weight(w, promotion, 1, "pending")
        await w.promoter.people.rollback("digits", by=ADA, reason="no")
        row = await w.state(promotion, "rolled-back")
        with pytest.raises(Refused):
            await w.promoter.people.reject(promotion, by=ADA, reason="no")

    assert row.step == 1
    assert remote.show(FILE) == KNATIVE
