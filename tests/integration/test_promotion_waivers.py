"""Waivers: a gate's no that somebody answers for. Who may, what it is for, and when it is over."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy import waivers
from deploy.waiving import Wish
from retrain.app.promotions.verifying import Keys, verify_commit
from retrain.errors import ConfigError, Forbidden, NotFound, Refused
from retrain.identity import Principal
from retrain.store import audit, checkpoints
from tests.integration.promotion_world import FINAL, Remote, World, candidate, document, git, world

pytestmark = pytest.mark.integration

GATES = [
    {"name": "accuracy", "kind": "threshold", "metric": "accuracy", "min": 0.9},
    {"name": "better", "kind": "champion", "metric": "accuracy", "onNoChampion": "pass"},
    {"name": "f1", "kind": "threshold", "metric": "accuracy", "min": 0.99, "advisory": True},
]
RECORD = ".retrain/digits/staging.json"


def somebody(name: str, *roles: str) -> Principal:
    return Principal(name, frozenset(roles or ("admin",)), verified=True)


ADA = somebody("ada")


def with_waivers(remote: Remote, **more: Any) -> Any:
    return document(remote.path, **{"gates": GATES, "waivers": {"roles": ["admin"]}, **more})


async def refused(w: World, model: str = "a", accuracy: float = 0.8, name: str = "digits", **more: Any) -> Any:
    row = await w.promote(candidate(model, accuracy, **more), name=name)
    assert row.state == "refused"
    return row


def wish(
    *gates: str, by: Principal = ADA, reason: str = "a fix for the outage", lasts: timedelta | None = None
) -> Wish:
    return Wish(gates, by, reason, lasts)


async def test_a_waived_no_lets_one_promotion_through_and_stands_everywhere(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    async with world(tmp_path / "data", with_waivers(remote)) as w:
        first = await refused(w)
        fresh = await w.promoter.people.waive(first.id, wish("accuracy", reason="an outage\nApproved-By: the boss"))
        done = await w.until(fresh.id)
        deeds = (await w.store.read(lambda c: audit.listing(c, subject=first.id))).items
        told = [one for one in await w.events() if one.subject == "promotion.waived"]
        later = await refused(w, "b")

    assert (done.state, done.retry_of) == ("committed", first.id)
    gate = next(one for one in json.loads(remote.show(RECORD))["gates"] if one["name"] == "accuracy")
    assert (gate["verdict"], gate["waived"]["actor"], gate["waived"]["roles"]) == ("fail", "ada", ["admin"])
    line = git(remote.path, "log", "-1", "--format=%(trailers:key=Gate-Waived,valueonly)")
    assert line.startswith("accuracy; by ada until 20")
    assert line.endswith(": an outage Approved-By: the boss")
    assert git(remote.path, "log", "-1", "--format=%(trailers:key=Approved-By,valueonly)") == ""
    assert [(one.action, one.actor) for one in deeds] == [("promotions.waive", "ada")]
    assert [one.data["waivers"][0]["gate"] for one in told] == ["accuracy"]
    assert "gate accuracy failed" in later.reason
    checks = {c["check"]: c for c in verify_commit("main", str(remote.path), "", Keys(), tmp_path)["checks"]}
    assert (checks["gates"]["answer"], checks["trailers"]["answer"]) == ("yes", "yes")
    assert "accuracy waived by ada" in checks["gates"]["why"]


async def test_who_may_not_and_what_cannot_be_waived(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    gates: list[dict[str, Any]] = [
        GATES[0],
        {"name": "f1", "kind": "threshold", "metric": "accuracy", "min": 0.85},
        {"name": "noted", "kind": "threshold", "metric": "a", "min": 1, "advisory": True},
    ]
    closed = document(remote.path, name="closed", gates=GATES)
    only = with_waivers(remote, name="only", waivers={"gates": ["better"]})
    async with world(tmp_path / "data", with_waivers(remote, gates=gates), closed, only) as w:
        people = w.promoter.people
        one = await refused(w, source={"commit": "a" * 40, "author": "Carl <carl@example.com>"})
        for name, asked, error, words in (
            (one.id, wish("accuracy", by=somebody("eve", "operator")), Forbidden, "needs one of admin"),
            (one.id, wish("accuracy", by=somebody(" ")), Forbidden, "nobody has said who it is"),
            (one.id, wish("accuracy", by=somebody("carl")), Forbidden, "somebody else must waive its gates"),
            (one.id, wish("accuracy", reason=" "), ConfigError, "needs a reason"),
            (one.id, wish(), ConfigError, "name the gates"),
            (one.id, wish("nothing"), Refused, "no gate 'nothing' was asked; there are accuracy"),
            (one.id, wish("noted"), Refused, "advisory"),
            ("p-no", wish("accuracy"), NotFound, "no such promotion"),
            ((await refused(w, name="closed")).id, wish("accuracy"), Refused, "lets nobody waive a gate"),
            ((await refused(w, name="only")).id, wish("accuracy"), Refused, "only better"),
        ):
            with pytest.raises(error, match=words):
                await people.waive(name, asked)
        fresh = await people.waive(one.id, wish("accuracy"))
        left = await w.until(fresh.id)
        with pytest.raises(Forbidden, match="ada has proposed or started it"):
            await people.waive(left.id, wish("f1"))
        done = await w.until((await people.waive(one.id, wish("accuracy", "f1"))).id)
        with pytest.raises(Refused, match="is committed: only a promotion that a gate has refused"):
            await people.waive(done.id, wish("accuracy", by=somebody("ben")))

    assert (left.state, "gate f1 failed" in left.reason, "gate accuracy" in left.reason) == ("refused", True, False)
    assert done.state == "committed"


async def test_what_could_not_be_judged_is_not_waived(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    async with world(tmp_path / "data", with_waivers(remote)) as w:
        assert (await w.promote(candidate("a", 0.95))).state == "committed"
        stale = await refused(w, "b", 0.8, dataset="sha256:other")

        with pytest.raises(Refused, match="gate 'better' is error: what could not be judged"):
            await w.promoter.people.waive(stale.id, wish("better"))


async def test_it_lapses_where_another_model_is_live_since(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    async with world(tmp_path / "data", with_waivers(remote)) as w:
        assert (await w.promote(candidate("a", 0.95))).state == "committed"
        worse = await refused(w, "b", 0.92)
        assert (await w.promote(candidate("c", 0.97))).state == "committed"

        row = await w.until((await w.promoter.people.waive(worse.id, wish("better"))).id)

    assert row.state == "refused"
    assert "gate better failed" in row.reason


async def test_it_is_over_while_the_promotion_still_waits_for_people(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    async with world(tmp_path / "data", with_waivers(remote, approvals={"required": 1})) as w:
        first = await refused(w)
        fresh = await w.promoter.people.waive(first.id, wish("accuracy", lasts=timedelta(hours=4)))
        row = await w.until(fresh.id, lambda one: one.state in {"awaiting", *FINAL})
        assert row.state == "awaiting", row.reason
        with pytest.raises(Forbidden, match="ada has proposed or started it"):
            await w.promoter.people.approve(row.id, by=somebody("ada", "approver"), reason="mine")
        given = await w.store.read(lambda c: waivers.of(c, row.id))
        assert [one.until - one.at for one in given] == [timedelta(hours=4)]
        past = [replace(one, until=datetime.now(UTC)) for one in given]
        await w.store.write(lambda c: checkpoints.forget(c, waivers.OWNER, [row.id]))
        await w.store.write(lambda c: waivers.add(c, row.id, past))
        await w.promoter.people.approve(row.id, by=somebody("ben", "approver"), reason="fine")
        done = await w.until(row.id)

    assert done.state == "refused"
    assert "gate accuracy failed" in done.reason


async def test_a_person_proposes_a_model_and_does_not_approve_it(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    async with world(tmp_path / "data", with_waivers(remote, approvals={"required": 1})) as w:
        people = w.promoter.people
        promotion = await people.propose("digits", candidate("a", 0.95), by=ADA)
        row = await w.until(promotion, lambda one: one.state == "awaiting")
        with pytest.raises(Forbidden, match="somebody else must approve"):
            await people.approve(row.id, by=somebody("ada", "approver"), reason="mine")
        with pytest.raises(ConfigError, match="has no environment 'moon'"):
            await people.propose("digits", candidate("b"), by=ADA, environment="moon")
        with pytest.raises(ConfigError, match=r"no spec\.registry"):
            await people.propose("digits", {"mlflow": {"alias": "a"}}, by=ADA)
        deeds = (await w.store.read(lambda c: audit.listing(c, subject="digits"))).items

    assert [(one.action, one.actor) for one in deeds] == [("promotions.propose", "ada")]
