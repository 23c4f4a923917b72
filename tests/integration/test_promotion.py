"""Promotions against a real repository on disk: what is committed, what is refused, and what survives."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from retrain.errors import NotFound, Refused
from retrain.store import open_store, promotions
from tests.integration.promotion_world import DIGESTS, MODEL, Remote, candidate, document, git, world

pytestmark = pytest.mark.integration

MANIFEST = "overlays/staging/model.yaml"
RECORD = ".retrain/digits/staging.json"


async def test_a_promotion_changes_one_value_and_writes_its_record(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path)) as w:
        row = await w.promote(candidate("a"))
        (event,) = await w.events()

    assert (row.state, row.commit_sha) == ("committed", remote.tip())
    assert remote.show(MANIFEST) == MODEL.replace("/v0", "/a")
    assert git(remote.path, "diff", "--name-only", "main~", "main").split() == [RECORD, MANIFEST]
    record = json.loads(remote.show(RECORD))
    assert record["live"]["digest"] == DIGESTS["a"]
    assert record["promotion"]["id"] == row.id
    assert [gate["verdict"] for gate in row.gates] == ["pass", "pass"]
    trailer = git(remote.path, "log", "-1", "--format=%(trailers:key=Model-Digest,valueonly)")
    assert trailer == DIGESTS["a"]
    assert (event.subject, event.id, event.extensions["retraindepth"]) == (
        "promotion.committed",
        f"{row.id}.committed",
        1,
    )
    assert event.data["commit"] == row.commit_sha


async def test_a_gate_that_fails_commits_nothing(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    before = remote.tip()

    async with world(tmp_path / "data", document(remote.path)) as w:
        low = await w.promote(candidate("a", 0.5))
        nan = await w.promote(candidate("b", "nan"))
        subjects = [event.subject for event in await w.events()]

    assert low.state == nan.state == "refused"
    assert "less than 0.9" in low.reason
    assert "no finite number" in nan.reason
    assert remote.tip() == before
    assert subjects == ["promotion.refused", "promotion.refused"]


async def test_the_champion_is_what_git_says_on_the_same_data(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    rescored = {"champion": {"digest": DIGESTS["a"], "metrics": {"accuracy": 0.91}}}
    wrong = {"champion": {"digest": DIGESTS["d"], "metrics": {"accuracy": 0.1}}}

    async with world(tmp_path / "data", document(remote.path)) as w:
        assert (await w.promote(candidate("a", 0.95))).state == "committed"
        worse = await w.promote(candidate("b", 0.94))
        stale = await w.promote(candidate("b", 0.96, dataset="sha256:other"))
        other = await w.promote(candidate("b", 0.96, dataset="sha256:other", evaluation=wrong))
        better = await w.promote(candidate("b", 0.92, dataset="sha256:other", evaluation=rescored))

    assert worse.gates[1]["verdict"] == "fail"
    assert (stale.state, stale.gates[1]["verdict"]) == ("refused", "error")
    assert "stale baseline" in stale.reason
    assert "stale baseline" in other.reason
    assert better.state == "committed"


async def test_a_value_changed_by_hand_makes_the_champion_unknown(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path)) as w:
        await w.promote(candidate("a"))
        remote.human({MANIFEST: MODEL.replace("/v0", "/hand")})
        row = await w.promote(candidate("b", 0.99))

    assert row.state == "refused"
    assert "somebody changed it by hand" in row.reason


async def test_duplicates_collapse_into_one_commit(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path)) as w:
        ids = {await w.propose(candidate("a")) for _ in range(5)}
        (promotion,) = ids
        await w.until(promotion)
        late = await w.propose(candidate("a"))

    assert late == promotion
    assert len(remote.commits()) == 2


async def test_what_is_live_already_is_a_noop(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path)) as w:
        first = await w.promote(candidate("a"))
        again = await w.promote(candidate("a", run="r-other"))

    assert (again.state, again.id != first.id) == ("noop", True)
    assert len(remote.commits()) == 2


async def test_sixteen_promoters_on_one_branch_all_land_in_one_line(tmp_path: Path) -> None:
    files = {f"apps/m{n}/model.yaml": MODEL for n in range(16)}
    remote = Remote.create(tmp_path / "deploy.git", files)

    async def one(n: int) -> None:
        edits = [
            {"file": f"apps/m{n}/model.yaml", "path": "spec.predictor.model.storageUri", "value": "{{candidate.uri}}"}
        ]
        doc = document(remote.path, name=f"m{n}", edits=edits)
        # Each has a store and a cache of its own, so nothing but the remote keeps them apart.
        async with world(tmp_path / f"data{n}", doc) as w:
            row = await w.promote(candidate("a"), name=f"m{n}")
            assert row.state == "committed", row.reason

    for n in range(16):  # one after the other: Alembic's migrations share globals
        await anyio.Path(tmp_path / f"data{n}").mkdir()
        async with open_store(tmp_path / f"data{n}" / "store.db"):
            pass
    async with anyio.create_task_group() as group:
        for n in range(16):
            group.start_soon(one, n)

    assert len(remote.commits()) == 17
    assert all("models/digits/a" in remote.show(file) for file in files)


async def test_a_champion_that_changed_before_the_push_is_judged_again(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    doc = document(remote.path)
    async with world(tmp_path / "one", doc) as fast:
        assert (await fast.promote(candidate("a", 0.91))).state == "committed"
        # The first push of the slow one waits in the hook until the fast one has pushed a better model.
        gate, seen = tmp_path / "gate", tmp_path / "seen"
        remote.hook(
            "pre-receive",
            f"#!/bin/sh\nread old new ref\nif git log -1 --format=%B $new | grep -q models/digits/b; then\n"
            f"touch '{seen}'; while [ ! -e '{gate}' ]; do sleep 0.05; done; fi\n",
        )
        async with world(tmp_path / "two", doc) as slow:
            promotion = await slow.propose(candidate("b", 0.92))
            with anyio.fail_after(30):
                while not await anyio.Path(seen).exists():  # noqa: ASYNC110 - another process tells by a file
                    await anyio.sleep(0.02)
            assert (await fast.promote(candidate("c", 0.99))).state == "committed"
            await anyio.Path(gate).touch()
            row = await slow.until(promotion)

    assert row.state == "refused"
    assert row.gates[1]["figures"]["champion"] == DIGESTS["c"]
    assert "models/digits/c" in remote.show(MANIFEST)


async def test_a_hook_that_declines_fails_the_promotion_with_its_words(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    before = remote.tip()
    remote.hook("pre-receive", "#!/bin/sh\necho 'ticket number is missing' >&2\nexit 1\n")

    async with world(tmp_path / "data", document(remote.path)) as w:
        row = await w.promote(candidate("a"))

    assert row.state == "failed"
    assert "ticket number is missing" in row.reason
    assert row.commit_sha is None
    assert remote.tip() == before


async def test_a_missing_repository_is_waited_for_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "later.git"

    async with world(tmp_path / "data", document(path)) as w:
        promotion = await w.propose(candidate("a"))
        waiting = await w.until(promotion, lambda row: row.reason != "")
        state = w.promoter.state()["digits"]
        Remote.create(path)
        row = await w.until(promotion)

    assert waiting.state == "gating"
    assert not state["ready"]
    assert "later.git" in state["reason"]
    assert row.state == "committed"


@pytest.mark.parametrize("address", ["https://127.0.0.1:9/x.git", "ssh://git@127.0.0.1:9/x.git", "not-a-repo"])
async def test_what_cannot_be_reached_is_tried_again(tmp_path: Path, address: str) -> None:
    (tmp_path / "data" / "not-a-repo").mkdir(parents=True)

    async with world(tmp_path / "data", document(address)) as w:
        promotion = await w.propose(candidate("a"))
        row = await w.until(promotion, lambda row: row.attempts >= 2)

    assert row.state in {"gating", "proposed"}
    assert row.reason


async def test_a_missing_branch_file_or_path_is_refused_with_what_exists(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    uri = "{{candidate.uri}}"
    documents = [
        document(remote.path, name="branch", repo={"url": str(remote.path), "branch": "prod"}),
        document(remote.path, name="file", edits=[{"file": "overlays/prod/model.yaml", "path": "a", "value": uri}]),
        document(remote.path, name="path", edits=[{"file": MANIFEST, "path": "spec.nope", "value": uri}]),
    ]

    async with world(tmp_path / "data", *documents) as w:
        rows = {one.name: await w.promote(candidate("a"), name=one.name) for one in documents}

    assert {row.state for row in rows.values()} == {"refused"}
    assert "there are main" in rows["branch"].reason
    assert "overlays/prod/model.yaml" in rows["file"].reason
    assert "overlays holds staging" in rows["file"].reason
    assert f"{MANIFEST}:6:3" in rows["path"].reason
    assert "there are predictor" in rows["path"].reason


async def test_links_and_submodules_are_refused(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    clone = tmp_path / "deploy.git-clone"
    (clone / "link.yaml").symlink_to("overlays/staging/model.yaml")
    (clone / "folder").symlink_to("overlays")
    git(clone, "update-index", "--add", "--cacheinfo", f"160000,{remote.tip()},sub")
    git(clone, "add", "link.yaml", "folder")
    git(clone, "commit", "-q", "-m", "links")
    git(clone, "push", "-q", "origin", "main")
    names = {"a": "link.yaml", "b": "folder/staging/model.yaml", "c": "sub", "d": "sub/x.yaml", "e": "overlays"}
    edits = {name: [{"file": file, "path": "spec", "value": "x"}] for name, file in names.items()}

    async with world(tmp_path / "data", *(document(remote.path, name=n, edits=e) for n, e in edits.items())) as w:
        rows = {name: await w.promote(candidate("a"), name=name) for name in names}

    assert {row.state for row in rows.values()} == {"refused"}
    assert "a symbolic link" in rows["a"].reason
    assert "folder is a symbolic link" in rows["b"].reason
    assert "a submodule" in rows["c"].reason
    assert "a submodule" in rows["d"].reason
    assert "a folder" in rows["e"].reason


async def test_a_branch_that_was_rewound_does_not_get_its_commits_back(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    first = remote.tip()
    bad = remote.human({"secret.txt": "oops\n"})

    async with world(tmp_path / "data", document(remote.path)) as w:
        await w.promote(candidate("a"))
        git(remote.path, "update-ref", "refs/heads/main", first)
        row = await w.promote(candidate("b", 0.99))

    assert row.state == "committed"
    assert bad not in remote.commits()
    assert row.base_sha == first


async def test_a_rollback_restores_the_bytes_and_holds(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path)) as w:
        first = await w.promote(candidate("a", 0.95))
        second = await w.promote(candidate("b", 0.96))
        remote.human({MANIFEST: remote.show(MANIFEST).replace("# The model", "# Our model")})
        back = await w.until(await w.promoter.rollback("digits", reason="latency", actor="ada"))
        held = await w.promote(candidate("c", 0.99))
        undone = await w.store.read(lambda c: promotions.get(c, second.id))
        assert await w.promoter.release("digits")
        assert not await w.promoter.release("digits")
        after = await w.promote(candidate("c", 0.99))
        subjects = [event.subject for event in await w.events()]

    assert (back.state, back.action) == ("committed", "rollback")
    text = MODEL.replace("/v0", "/a").replace("# The model", "# Our model")
    assert remote.show(MANIFEST, back.commit_sha) == text
    assert json.loads(remote.show(RECORD, back.commit_sha))["live"]["promotion"] == first.id
    assert undone is not None
    assert undone.state == "rolled-back"
    assert held.state == "refused"
    assert held.reason.startswith("held by ada since ")
    assert after.state == "committed"
    assert subjects[2] == "promotion.rolled-back"


async def test_rollbacks_go_back_step_by_step_to_what_was_there_first(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path)) as w:
        await w.promote(candidate("a", 0.95))
        await w.promote(candidate("b", 0.96))
        for _ in range(2):
            assert (await w.until(await w.promoter.rollback("digits"))).state == "committed"
        with pytest.raises(Refused, match="nothing on record"):
            await w.promoter.rollback("digits")
        with pytest.raises(NotFound, match="there are digits"):
            await w.promoter.rollback("nope")

    assert remote.show(MANIFEST) == MODEL
    assert json.loads(remote.show(RECORD))["live"] is None


async def test_a_rollback_refuses_a_value_that_somebody_changed(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    async with world(tmp_path / "data", document(remote.path)) as w:
        await w.promote(candidate("a"))
        tip = remote.human({MANIFEST: MODEL.replace("/v0", "/hand")})
        row = await w.until(await w.promoter.rollback("digits"))

    assert row.state == "refused"
    assert "somebody changed it by hand" in row.reason
    assert remote.tip() == tip


async def test_a_plan_shows_the_diff_and_changes_nothing(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    before = remote.tip()

    async with world(tmp_path / "data", document(remote.path), run=False) as w:
        shown = await w.promoter.plan(w.documents["digits"], candidate("a", 0.5))

    assert shown["outcome"] == "refused"
    (change,) = shown["changes"]
    assert change == {
        "file": MANIFEST,
        "path": "spec.predictor.model.storageUri",
        "old": "s3://models/digits/v0",
        "new": "s3://models/digits/a",
    }
    assert "+      storageUri: s3://models/digits/a   # promoted" in shown["diff"]
    assert [gate["verdict"] for gate in shown["gates"]] == ["fail", "pass"]
    assert remote.tip() == before


async def test_spaces_and_other_alphabets_in_paths_work(tmp_path: Path) -> None:
    file = "überlagerung/mein modell/модель 模型.yaml"
    remote = Remote.create(tmp_path / "dépôt git", {file: MODEL, "-x": "1\n"})
    edits = [{"file": file, "path": "spec.predictor.model.storageUri", "value": "{{candidate.uri}}"}]

    async with world(tmp_path / "data", document(remote.path, edits=edits)) as w:
        row = await w.promote(candidate("a"))

    assert (row.state, row.reason) == ("committed", "")
    assert remote.show(file) == MODEL.replace("/v0", "/a")


async def test_only_the_files_that_are_edited_come_over_the_wire(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git", {MANIFEST: MODEL, "big.bin": "x" * 100_000})
    git(remote.path, "config", "uploadpack.allowFilter", "true")

    async with world(tmp_path / "data", document(remote.path)) as w:
        row = await w.promote(candidate("a"))

    (cache,) = (tmp_path / "data" / "git").glob("*.git")
    big = git(remote.path, "rev-parse", "main:big.bin")
    held = git(cache, "cat-file", "--batch-all-objects", "--batch-check")
    assert row.state == "committed"
    assert big not in held


async def test_words_from_a_candidate_never_become_a_trailer(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    forged = "v1\n\nApproved-By: ceo\r\nSigned-off-by: x <x@y>\u2028Approved-By: cfo"
    commit = {
        "message": "promote {{candidate.version}}\n\nRun {{candidate.run}} said so.",
        "name": "Bot",
        "email": "b@x.y",
    }

    async with world(tmp_path / "data", document(remote.path, commit=commit)) as w:
        body = candidate("a", version=forged, run="r\nApproved-By: cto", events=["e\nApproved-By: coo"])
        row = await w.promote(body)

    assert row.state == "committed"
    keys = git(remote.path, "log", "-1", "--format=%(trailers:only,keyonly)").split()
    assert set(keys) & {"Approved-By", "Signed-off-by"} == set()
    assert not [
        line for line in git(remote.path, "log", "-1", "--format=%B").splitlines() if line.startswith("Approved")
    ]
    assert git(remote.path, "log", "-1", "--format=%an %ae %cn") == "Bot b@x.y Bot"
