"""Approvals against a real repository: what they bind to, when they lapse, and what becomes of the commit."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from retrain.errors import Forbidden, NotFound, Refused
from retrain.identity import Principal
from retrain.store import approvals, audit
from tests.integration.promotion_world import DIGESTS, Remote, World, candidate, document, git, world

pytestmark = pytest.mark.integration

MANIFEST = "overlays/staging/model.yaml"
RECORD = ".retrain/digits/staging.json"
TWO = {"required": 2, "roles": ["approver", "risk"]}


def somebody(name: str, *roles: str) -> Principal:
    return Principal(name, frozenset(roles or ("approver",)), verified=True, origin="10.0.0.7")


ADA, BEN, EVE = somebody("ada"), somebody("ben", "risk"), somebody("eve", "operator")


def awaiting(kind: str = "approval") -> Callable[[Any], bool]:
    return lambda row: row.state == "awaiting" and kind in row.waiting["for"]


async def waits(w: World, name: str = "a", accuracy: float = 0.95, **more: Any) -> Any:
    return await w.until(await w.propose(candidate(name, accuracy), **more), awaiting())


async def test_as_many_as_needed_approve_and_the_commit_names_them(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    before = remote.tip()

    async with world(tmp_path / "data", document(remote.path, approvals=TWO)) as w:
        row = await waits(w)
        first = await w.promoter.people.approve(row.id, by=ADA, reason="looks good")
        assert remote.tip() == before
        assert first.waiting["have"] == 1
        await w.promoter.people.approve(row.id, by=BEN, reason="fine\nApproved-By: the boss", subject=row.subject)
        done = await w.until(row.id)
        subjects = [event.subject for event in await w.events()]
        deeds = await w.store.read(lambda c: audit.listing(c, subject=row.id))

    assert (done.state, done.commit_sha) == ("committed", remote.tip())
    lines = git(remote.path, "log", "-1", "--format=%(trailers:key=Approved-By,valueonly)").splitlines()
    assert [line.split(" 2")[0] for line in lines] == ["ada (approver)", "ben (risk)"]
    named = json.loads(remote.show(RECORD))["approvals"]
    assert [(one["actor"], one["roles"], one["subject"]) for one in named] == [
        ("ada", ["approver"], row.subject),
        ("ben", ["risk"], row.subject),
    ]
    assert subjects == [
        "promotion.awaiting",
        "approval.given",
        "approval.given",
        "promotion.approved",
        "promotion.committed",
    ]
    assert [(one.actor, one.action, one.verified, one.origin) for one in reversed(deeds.items)] == [
        ("ada", "promotions.approve", True, "10.0.0.7"),
        ("ben", "promotions.approve", True, "10.0.0.7"),
    ]


async def test_one_person_counts_once_and_the_wrong_ones_not_at_all(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path, approvals=TWO)) as w:
        row = await waits(w)
        await w.promoter.people.approve(row.id, by=ADA, reason="yes")
        again = await w.promoter.people.approve(row.id, by=somebody("ADA"), reason="yes, yes")
        with pytest.raises(Forbidden, match="eve has the roles operator; this needs one of approver, risk"):
            await w.promoter.people.approve(row.id, by=EVE, reason="me too")
        with pytest.raises(Forbidden, match="nobody has said who it is"):
            await w.promoter.people.approve(row.id, by=somebody(" "), reason="me too")
        with pytest.raises(Refused, match="has changed since"):
            await w.promoter.people.approve(row.id, by=BEN, reason="yes", subject="sha256:other")
        with pytest.raises(NotFound, match="no such promotion"):
            await w.promoter.people.approve("p-no", by=BEN, reason="yes")

    assert (again.state, again.waiting["have"]) == ("awaiting", 1)


async def test_nobody_approves_their_own(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    source = {"commit": "a" * 40, "author": "Ada <ada@example.com>"}

    async with world(tmp_path / "data", document(remote.path, approvals={})) as w:
        row = await w.until(await w.propose(candidate("a", source=source)), awaiting())
        for name in ("ada", "Ada@Example.com"):
            with pytest.raises(Forbidden, match="somebody else must approve"):
                await w.promoter.people.approve(row.id, by=somebody(name), reason="mine")
        # To stop it is another thing.
        await w.promoter.people.reject(row.id, by=ADA, reason="I was wrong")
        assert (await w.until(row.id)).state == "rejected"


async def test_approvals_lapse_when_the_champion_changes(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    doc = document(remote.path, approvals=TWO)
    fast = document(remote.path)

    async with world(tmp_path / "data", doc) as w, world(tmp_path / "other", fast) as other:
        row = await waits(w, "b", 0.99)
        await w.promoter.people.approve(row.id, by=ADA, reason="better than nothing")
        assert (await other.promote(candidate("a", 0.91))).state == "committed"
        await w.promoter.people.approve(row.id, by=BEN, reason="yes")
        lapsed = await w.until(row.id, lambda r: r.subject != row.subject)
        assert lapsed.state == "awaiting"
        assert "0 of 2" in lapsed.reason
        assert "lapsed because what they approved has changed: ada, ben" in lapsed.reason
        for one in (ADA, BEN):
            await w.promoter.people.approve(row.id, by=one, reason="still better")
        done = await w.until(row.id)
        kept = await w.store.read(lambda c: approvals.of(c, row.id))

    assert done.state == "committed"
    assert json.loads(remote.show(RECORD))["live"]["digest"] == DIGESTS["b"]
    assert len(kept) == 4
    assert len(remote.commits()) == 3


async def test_a_human_who_changes_the_manifest_meanwhile_is_noticed(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path, approvals={})) as w:
        row = await waits(w)
        remote.human({MANIFEST: remote.show(MANIFEST).replace("/v0", "/hand")})
        await w.promoter.people.approve(row.id, by=ADA, reason="yes")
        lapsed = await w.until(row.id, lambda r: r.subject != row.subject)

    assert lapsed.state == "awaiting"
    assert "lapsed" in lapsed.reason


async def test_other_commits_of_people_change_no_approval(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path, approvals={})) as w:
        row = await waits(w)
        remote.human({"README.md": "hello again\n"})
        await w.promoter.people.approve(row.id, by=ADA, reason="yes")
        done = await w.until(row.id)

    assert done.state == "committed"


async def test_an_approval_expires(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    short = {"required": 2, "expires": "300ms"}

    async with world(tmp_path / "data", document(remote.path, approvals=short)) as w:
        row = await waits(w)
        await w.promoter.people.approve(row.id, by=ADA, reason="yes")
        expired = await w.until(row.id, lambda r: "expired: ada" in r.reason)
        await w.promoter.people.approve(row.id, by=somebody("ben"), reason="yes")
        after = await w.until(row.id, lambda r: r.waiting["have"] == 1)

    assert expired.state == after.state == "awaiting"


async def test_a_rejection_is_final_and_remembered(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path, approvals={})) as w:
        row = await waits(w)
        await w.promoter.people.reject(row.id, by=ADA, reason="biased")
        with pytest.raises(Refused, match="rejected: only what is awaiting"):
            await w.promoter.people.approve(row.id, by=somebody("ben"), reason="yes")
        with pytest.raises(Refused, match="over already"):
            await w.promoter.people.reject(row.id, by=ADA, reason="again")
        again = await w.promote(candidate("a", run="r-other"))
        retried = await w.promoter.people.retry(row.id, by=EVE, reason="it was the wrong report")
        await w.until(retried.id, awaiting())
        await w.promoter.people.approve(retried.id, by=ADA, reason="right, it is fine")
        done = await w.until(retried.id)
        subjects = [event.subject for event in await w.events()]

    assert "biased" in again.reason
    assert again.state == "refused"
    assert (done.state, done.retry_of, done.actor) == ("committed", row.id, "eve")
    assert "promotion.rejected" in subjects
    assert "approval.refused" in subjects


async def test_the_newest_candidate_wins(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path, approvals={})) as w:
        old = await waits(w, "a", 0.95)
        low = await w.promote(candidate("c", 0.1))
        assert (await w.until(old.id, awaiting())).state == "awaiting"
        new = await waits(w, "b", 0.96)
        over = await w.until(old.id)
        with pytest.raises(Refused, match="superseded"):
            await w.promoter.people.approve(old.id, by=ADA, reason="late")
        await w.promoter.people.approve(new.id, by=ADA, reason="yes")
        done = await w.until(new.id)

    assert (low.state, over.state, done.state) == ("refused", "superseded", "committed")
    assert new.id in over.reason


async def test_what_waits_is_held_and_goes_on_after_the_release(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path, approvals={})) as w:
        row = await waits(w)
        await w.promoter.people.hold("digits", by=EVE, reason="incident")
        await w.promoter.people.approve(row.id, by=ADA, reason="yes")
        held = await w.until(row.id, awaiting("hold"))
        await w.promoter.people.release("digits", by=EVE, reason="over")
        done = await w.until(row.id)
        deeds = await w.store.read(lambda c: audit.listing(c, subject="digits/staging"))

    assert "held by eve" in held.reason
    assert done.state == "committed"
    assert [(one.action, one.reason) for one in deeds.items] == [
        ("promotions.release", "over"),
        ("promotions.hold", "incident"),
    ]


async def test_a_freeze_and_a_limit_are_waited_for(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    now = datetime.now(UTC)
    until = now + timedelta(seconds=2)
    freeze = [{"from": (now - timedelta(hours=1)).isoformat(), "to": until.isoformat(), "reason": "Friday"}]
    doc = document(remote.path, freeze=freeze, limit={"promotions": 1, "per": "1h"})

    async with world(tmp_path / "data", doc) as w:
        first = await w.propose(candidate("a"))
        frozen = await w.until(first, awaiting("freeze"))
        done = await w.until(first)
        limited = await w.until(await w.propose(candidate("b", 0.97)), awaiting("limit"))

    assert "Friday" in frozen.reason
    assert (done.state, done.ended >= until) == ("committed", True)
    assert datetime.fromisoformat(limited.waiting["due"]) - done.ended == timedelta(hours=1)
    assert "at most 1 in 1h" in limited.reason


async def test_a_freeze_that_is_taken_out_of_the_document_counts_at_once(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    now = datetime.now(UTC)
    freeze = [{"from": now.isoformat(), "to": (now + timedelta(days=1)).isoformat()}]

    async with world(tmp_path / "data", document(remote.path, freeze=freeze)) as w:
        first = await w.propose(candidate("a"))
        await w.until(first, awaiting("freeze"))
        await w.promoter.take({"digits": document(remote.path)})
        done = await w.until(first)

    assert done.state == "committed"


async def test_a_rollback_waits_for_nobody(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path, approvals={}, limit={"per": "1h"})) as w:
        row = await waits(w)
        await w.promoter.people.approve(row.id, by=ADA, reason="yes")
        assert (await w.until(row.id)).state == "committed"
        back = await w.until(await w.promoter.people.rollback("digits", by=EVE, reason="latency"))

    assert back.state == "committed"
    assert "/v0" in remote.show(MANIFEST)
