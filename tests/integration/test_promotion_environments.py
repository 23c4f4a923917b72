"""One model through several environments: in order, after its soak, once, and never past one that it is not live in."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from deploy import PromotionDocument
from retrain.app.looking.trace import trace
from retrain.errors import ConfigError
from retrain.identity import Principal
from retrain.store import promotions
from tests.integration.promotion_world import DIGESTS, MODEL, Remote, World, candidate, document, world

pytestmark = pytest.mark.integration

ADA = Principal("ada", frozenset({"admin"}), verified=True)
FILES = {f"overlays/{name}/model.yaml": MODEL for name in ("staging", "canary", "production")}


def environment(name: str, **more: Any) -> dict[str, Any]:
    edit = {
        "file": f"overlays/{name}/model.yaml",
        "path": "spec.predictor.model.storageUri",
        "value": "{{candidate.uri}}",
    }
    gate = {"name": "accuracy", "kind": "threshold", "metric": "accuracy", "min": 0.9}
    return {"name": name, "edits": [edit], "gates": [gate], **more}


def route(remote: Remote, *environments: dict[str, Any]) -> PromotionDocument:
    """A promotion with these environments."""
    body = document(remote.path).model_dump(mode="json", include={"apiVersion", "kind", "metadata"})
    spec = {"repo": {"url": str(remote.path)}, "environments": list(environments)}
    return PromotionDocument.model_validate({**body, "spec": spec})


def live(remote: Remote, name: str) -> str | None:
    try:
        record = json.loads(remote.show(f".retrain/digits/{name}.json"))
    except subprocess.CalledProcessError:
        return None
    return record["live"]["digest"] if record["live"] else None


async def child_of(w: World, promotion: str, name: str) -> str:
    """The id of the promotion that this one led to."""
    with anyio.fail_after(60):
        while True:
            found = await w.store.read(lambda c: promotions.child(c, promotion, name))
            if found is not None:
                return found
            await anyio.sleep(0.02)


async def next_of(w: World, promotion: str, name: str) -> Any:
    """The promotion that this one led to, at its end."""
    return await w.until(await child_of(w, promotion, name))


async def all_of(w: World) -> list[Any]:
    page = await w.store.read(lambda c: promotions.listing(c, promotions.PromotionFilter()))
    return list(page.items)


async def test_a_model_goes_from_one_environment_to_the_next_by_itself(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git", FILES)
    doc = route(remote, environment("staging", soak="200ms"), environment("canary"), environment("production"))

    async with world(tmp_path / "data", doc) as w:
        first = await w.promote(candidate("a"))
        second = await next_of(w, first.id, "canary")
        third = await next_of(w, second.id, "production")

    assert [row.environment for row in (first, second, third)] == ["staging", "canary", "production"]
    assert [row.state for row in (first, second, third)] == ["committed"] * 3
    assert (second.created - first.ended).total_seconds() >= 0.2
    assert [row.depth for row in (first, second, third)] == [1, 2, 3]
    assert {live(remote, name) for name in ("staging", "canary", "production")} == {DIGESTS["a"]}
    assert remote.commits()[-1] == third.commit_sha
    assert len(remote.commits()) == 4


async def test_a_trace_from_any_environment_shows_those_before_and_after(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git", FILES)
    doc = route(remote, environment("staging"), environment("production"))

    async with world(tmp_path / "data", doc) as w:
        first = await w.promote(candidate("a"))
        second = await next_of(w, first.id, "production")
        names = (first.id, second.id, first.commit_sha, second.commit_sha)
        chains = [(await w.store.read(partial(trace, name=name))).to_json() for name in names]

    for chain in chains:
        assert [first.id, second.id] in chain["edges"]
        assert {first.commit_sha, second.commit_sha} <= {node["id"] for node in chain["nodes"]}


async def test_nothing_goes_on_from_where_it_was_rolled_back_or_is_held(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git", FILES)
    doc = route(remote, environment("staging", soak="700ms"), environment("production"))

    async with world(tmp_path / "data", doc) as w:
        first = await w.promote(candidate("a"))
        await w.promoter.people.rollback("digits", environment="staging", by=ADA, reason="odd")
        await w.until(first.id, lambda row: row.state == "rolled-back")
        await w.promoter.people.release("digits", environment="staging", by=ADA)
        second = await w.promote(candidate("b"))
        await w.promoter.people.hold("digits", environment="production", by=ADA, reason="holidays")
        await anyio.sleep(1.2)
        rows = await all_of(w)
        await w.promoter.people.release("digits", environment="production", by=ADA)
        third = await next_of(w, second.id, "production")

    assert {row.environment for row in rows} == {"staging"}
    assert third.state == "committed"
    assert live(remote, "production") == DIGESTS["b"]


async def test_no_production_without_staging(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git", FILES)
    doc = route(remote, environment("staging", soak="1h"), environment("production"))
    before = remote.tip()

    async with world(tmp_path / "data", doc) as w:
        straight = await w.promote(candidate("a"), environment="production")
        with pytest.raises(ConfigError, match=r"no environment 'prod'; it has staging, production"):
            await w.propose(candidate("a"), environment="prod")
        assert remote.tip() == before
        assert (await w.promote(candidate("a"))).state == "committed"
        other = await w.promote(candidate("b"), environment="production")
        soaking = await w.until(
            await w.propose(candidate("a"), environment="production"), lambda row: row.state == "awaiting"
        )

    assert straight.state == other.state == "refused"
    assert "staging comes first: nothing is on record as live there" in straight.reason
    assert f"staging comes first: {DIGESTS['a']} is live there" in other.reason
    assert soaking.waiting["for"] == ["soak"]
    assert live(remote, "production") is None


async def test_an_overtaken_model_may_go_on_and_the_newer_one_wins(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git", FILES)
    doc = route(remote, environment("staging"), environment("production", approvals={"notBy": "nobody"}))

    async with world(tmp_path / "data", doc) as w:
        first = await w.promote(candidate("a"))
        old = await child_of(w, first.id, "production")
        assert (await w.until(old, lambda row: row.state == "awaiting")).waiting["for"] == ["approval"]
        second = await w.promote(candidate("b", 0.96))
        new = await child_of(w, second.id, "production")
        over = await w.until(old)
        await w.until(new, lambda row: row.state == "awaiting")
        await w.promoter.people.approve(new, by=ADA, reason="go")
        done = await w.until(new)

    assert (over.state, done.state) == ("superseded", "committed")
    assert live(remote, "production") == DIGESTS["b"]


async def test_after_several_it_waits_for_all_of_them(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git", FILES)
    doc = route(
        remote,
        environment("staging"),
        environment("canary", after="staging", approvals={"notBy": "nobody"}),
        environment("production", after=["staging", "canary"]),
    )

    async with world(tmp_path / "data", doc) as w:
        first = await w.promote(candidate("a"))
        canary = await child_of(w, first.id, "canary")
        await w.until(canary, lambda row: row.state == "awaiting")
        assert live(remote, "production") is None
        await w.promoter.people.approve(canary, by=ADA, reason="go")
        await w.until(canary)
        last = await next_of(w, canary, "production")
        rows = await all_of(w)

    assert last.state == "committed"
    assert sorted((row.environment, row.state) for row in rows) == [
        ("canary", "committed"),
        ("production", "committed"),
        ("staging", "committed"),
    ]
