"""Promotions by pull request on a real Gitea: what people do there, and what becomes of it here."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from retrain.identity import Principal
from tests.contract.forge_gitea import ADA
from tests.integration.promotion_world import candidate
from tests.integration.pulling_world import FILE, RECORD, Site, is_open, platform, says, site
from tests.servers.forge_servers import Gitea

pytestmark = [pytest.mark.integration, pytest.mark.slow]

BEN = Principal("ben", frozenset({"approver", "operator"}), verified=True)


@pytest.fixture
async def here(gitea_server: Gitea, tmp_path: Path) -> AsyncIterator[Site]:
    async with site(gitea_server, tmp_path) as made:
        yield made


def subjects(events: list[Any]) -> list[str]:
    return [event.subject for event in events]


def waits_for(what: str) -> Callable[[Any], bool]:
    def met(row: Any) -> bool:
        return row.state == "awaiting" and what in row.waiting["for"]

    return met


async def comments(here: Site, number: int) -> list[str]:
    found = await here.outside.call("GET", f"/issues/{number}/comments", None, here.outside.ada)
    return [one["body"] for one in found]


async def test_what_is_proposed_is_reviewed_and_merged_by_a_person(here: Site) -> None:
    pull = {"labels": ["model"], "reviewers": [ADA, "nobody"], "title": "Serve {{candidate.run}}"}
    async with platform(here.data, here.document(pull=pull)) as w:
        row = await w.until(await w.propose(candidate("a")), is_open)
        (shown,) = await here.pulls()
        statuses = await here.outside.call("GET", f"/commits/{row.pull['head']}/statuses")
        before = await here.text("main")
        base = await here.outside.tip("main")
        await here.merge(row.pull["number"])
        done = await w.until(row.id)
        events = await w.events()

    assert (row.commit_sha, row.pull["url"], row.pull["state"]) == (None, shown["html_url"], "open")
    assert "nobody" in row.reason
    assert (shown["title"], shown["labels"][0]["name"]) == ("Serve r-a", "model")
    assert "accuracy" in shown["body"]
    assert {(one["context"], one["status"]) for one in statuses} >= {
        ("retrain/digits/staging", "success"),
        ("retrain/digits/staging/accuracy", "success"),
    }
    assert "v0" in before
    assert "s3://models/digits/a " in await here.text("main")
    assert (done.state, done.commit_sha, done.base_sha) == ("committed", await here.outside.tip("main"), base)
    assert (done.pull["state"], done.pull["by"]) == ("merged", "retrain")
    assert subjects(events) == ["promotion.open", "promotion.committed"]


async def test_the_platform_merges_once_the_right_person_has_approved(here: Site) -> None:
    pull = {"autoMerge": True, "approvals": 1, "approvers": [ADA], "method": "squash"}
    async with platform(here.data, here.document(pull=pull)) as w:
        row = await w.until(await w.propose(candidate("a")), says("0 of 1 approvals"))
        await here.outside.approve(row.pull["number"], row.pull["head"])
        done = await w.until(row.id)
        again = await w.until(await w.propose(candidate("b", 0.99)), says("0 of 1 approvals"))

    assert (done.state, done.commit_sha) == ("committed", await here.outside.tip("main"))
    assert "Retrain-Promotion: " + row.id in await here.outside.message(done.commit_sha)
    assert again.pull["number"] != row.pull["number"]
    assert await here.outside.tip(row.pull["branch"]) is None


async def test_a_closed_pull_request_is_a_no_until_somebody_asks_again(here: Site) -> None:
    async with platform(here.data, here.document()) as w:
        row = await w.until(await w.propose(candidate("a")), is_open)
        await here.outside.close(row.pull["number"])
        closed = await w.until(row.id)
        again = await w.promote(candidate("a"))
        asked = await w.promoter.people.retry(row.id, by=BEN, reason="it was the wrong button")
        reopened = await w.until(asked.id, is_open)
        await here.merge(reopened.pull["number"], "squash")
        done = await w.until(asked.id)
        events = await w.events()

    assert (closed.state, closed.commit_sha) == ("rejected", None)
    assert closed.reason == f"pull request #{row.pull['number']} was closed without a merge by {ADA}"
    assert again.state == "refused"
    assert f"retry {row.id}" in again.reason
    assert reopened.pull["number"] != row.pull["number"]
    assert (done.state, done.commit_sha) == ("committed", await here.outside.tip("main"))
    assert subjects(events)[:3] == ["promotion.open", "promotion.rejected", "promotion.refused"]


async def test_a_branch_that_a_person_works_on_is_theirs(here: Site) -> None:
    async with platform(here.data, here.document()) as w:
        row = await w.until(await w.propose(candidate("a")), is_open)
        theirs = await here.outside.commit(row.pull["branch"], "notes.md", "look", "a note", who=here.outside.ada)
        taken = await w.until(row.id, says("not ours"))
        await here.outside.push("main", FILE, (await here.text("main")).replace("v0", "v0-hotfix"))
        await w.until(row.id, lambda now: now.pull["memory"]["at"] > taken.pull["memory"]["at"])
        kept = await here.outside.tip(row.pull["branch"])
        await w.promoter.people.reject(row.id, by=BEN, reason="not this one")
        await w.until(row.id, lambda now: now.pull["state"] == "closed")

    assert (taken.state, taken.pull["takenOver"]) == ("open", True)
    assert kept == theirs
    assert [one["state"] for one in await here.pulls()] == ["open"]
    assert "not this one" in (await comments(here, row.pull["number"]))[0]


async def test_a_conflict_with_the_base_is_built_again_by_lease(here: Site) -> None:
    async with platform(here.data, here.document()) as w:
        row = await w.until(await w.propose(candidate("a")), is_open)
        await here.outside.push("main", FILE, (await here.text("main")).replace("v0", "v0-hotfix"))
        again = await w.until(row.id, lambda now: is_open(now) and now.pull["head"] != row.pull["head"])
        base = await here.outside.tip("main")
        (shown,) = await here.pulls()
        await here.merge(row.pull["number"])
        done = await w.until(row.id)
        events = await w.events()

    assert again.pull["base"] == base
    assert "v0-hotfix" in shown["body"]
    assert (done.state, done.base_sha) == ("committed", base)
    assert subjects(events) == ["promotion.open", "promotion.committed"]


async def test_a_newer_candidate_closes_the_pull_request_of_the_older(here: Site) -> None:
    async with platform(here.data, here.document()) as w:
        old = await w.until(await w.propose(candidate("a")), is_open)
        new = await w.until(await w.propose(candidate("b", 0.99)), is_open)
        gone = await w.until(old.id, lambda now: now.pull["state"] == "closed")

    assert gone.state == "superseded"
    assert [one["state"] for one in await here.pulls()] == ["open", "closed"]
    assert new.id in (await comments(here, old.pull["number"]))[0]


async def test_terms_hold_before_the_proposal_and_before_the_merge(here: Site) -> None:
    doc = here.document(pull={"autoMerge": True, "approvals": 1, "approvers": [ADA]}, approvals={"required": 1})
    async with platform(here.data, doc) as w:
        row = await w.until(await w.propose(candidate("a")), waits_for("approval"))
        none_yet = await here.pulls()
        await w.promoter.people.approve(row.id, by=BEN)
        shown = await w.until(row.id, is_open)
        await w.promoter.people.hold("digits", by=BEN, reason="a look at the traffic")
        await here.outside.approve(shown.pull["number"], shown.pull["head"])
        held = await w.until(row.id, waits_for("hold"))
        statuses = await here.outside.call("GET", f"/commits/{shown.pull['head']}/statuses")
        there = (await here.pulls())[0]["state"]
        await w.promoter.people.release("digits", by=BEN)
        done = await w.until(row.id)

    assert none_yet == []
    assert held.pull["number"] == shown.pull["number"]
    assert there == "open"
    assert any(one["status"] == "pending" and "traffic" in one["description"] for one in statuses)
    assert done.state == "committed"
    assert "Approved-By: ben" in await here.outside.message(shown.pull["head"])


async def test_who_goes_back_waits_for_no_review(here: Site) -> None:
    pull = {"autoMerge": True, "approvals": 1, "approvers": [ADA]}
    async with platform(here.data, here.document(pull=pull)) as w:
        row = await w.until(await w.propose(candidate("a")), says("0 of 1 approvals"))
        await here.outside.approve(row.pull["number"], row.pull["head"])
        await w.until(row.id)
        back = await w.until(await w.promoter.people.rollback("digits", by=BEN, reason="slow"))
        first = await w.until(row.id, lambda now: now.state == "rolled-back")

    assert (back.state, back.pull["state"]) == ("committed", "merged")
    assert "digits/v0 " in await here.text("main")
    assert first.reason == f"rolled back by {back.id}"
    assert len(await here.pulls()) == 2


async def test_what_somebody_else_made_of_it_is_no_success(here: Site) -> None:
    async with platform(here.data, here.document()) as w:
        row = await w.until(await w.propose(candidate("a")), is_open)
        text = (await here.text("main")).replace("v0", "v1-by-hand")
        await here.outside.commit(row.pull["branch"], FILE, text, "rather this", who=here.outside.ada)
        await here.merge(row.pull["number"], "squash")
        done = await w.until(row.id)

    assert (done.state, done.commit_sha) == ("refused", None)
    assert "merged without our change" in done.reason


async def test_a_forge_that_says_no_for_a_while_ends_nothing(here: Site) -> None:
    async with platform(here.data, here.document()) as w:
        row = await w.until(await w.propose(candidate("a")), is_open)
        token = (here.data / "token").read_text()
        (here.data / "token").write_text("0" * 40)
        away = await w.until(row.id, lambda now: "401" in now.reason or "credentials" in now.reason)
        told = w.promoter.state()["digits"]
        (here.data / "token").write_text(token)
        back = await w.until(row.id, says("a person merges it"))
        well = w.promoter.state()["digits"]

    assert (away.state, back.state) == ("open", "open")
    assert isinstance(told, dict)
    assert told["ready"] is False
    assert well == {"ready": True, "reason": ""}


async def test_a_plan_says_what_would_be_opened(here: Site) -> None:
    async with platform(here.data, here.document(), run=False) as w:
        planned = await w.promoter.plan(w.documents["digits"], candidate("a"))

    told = planned["pullRequest"]
    assert isinstance(told, dict)
    assert str(told.pop("branch")).startswith("promote/staging/digits/")
    assert told == {
        "forge": "gitea",
        "repository": here.outside.repository,
        "title": f"promote(digits): {candidate('a')['digest']} in staging",
        "autoMerge": False,
    }
    assert await here.pulls() == []


CRASHER = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    import anyio
    from deploy import PromotionDocument
    from retrain import faults
    from tests.integration.promotion_world import candidate
    from tests.integration.pulling_world import platform

    async def main():
        faults.arm(sys.argv[1])
        document = PromotionDocument.model_validate_json(sys.argv[3])
        async with platform(Path(sys.argv[2]), document) as w:
            await w.promote(candidate("a"), firing="f-1")

    anyio.run(main)
"""
POINTS = (
    "promotion.before_publish",
    "promotion.after_publish",
    "promotion.after_open",
    "promotion.before_merge",
    "promotion.after_merge",
)


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_leaves_one_pull_request_and_one_commit(here: Site, point: str) -> None:
    doc = here.document(pull={"autoMerge": True})
    code = textwrap.dedent(CRASHER.format(root=str(Path(__file__).parents[2])))
    command = [sys.executable, "-c", code, point, str(here.data), doc.model_dump_json(exclude_unset=True)]

    killed = await anyio.run_process(command, check=False, stdout=subprocess.DEVNULL, stderr=None)
    async with platform(here.data, doc) as w:
        done = await w.until(await w.propose(candidate("a"), firing="f-1"))
        events = await w.events()

    assert killed.returncode == -signal.SIGKILL
    assert (done.state, done.commit_sha) == ("committed", await here.outside.tip("main"))
    assert [one["merged"] for one in await here.pulls()] == [True]
    assert subjects(events) == ["promotion.open", "promotion.committed"]
    assert f'"id": "{done.id}"' in await here.text("main", RECORD)
