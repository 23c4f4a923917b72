"""Two promotions, a human commit and a rollback in every order: what must hold after each, by the branch itself.

The branch is read by git alone, and judged by what the people of the story know; nothing of the platform's own code
says what is right here.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from deploy import PromotionDocument
from retrain.store import open_store, outbox, promotions
from retrain.store.promotions import PromotionRow
from tests.integration.promotion_play import (
    ENVIRONMENTS,
    FILES,
    Branch,
    Play,
    approve,
    hold,
    human,
    next_environment,
    propose,
    release,
    roll_back,
    verdict,
)
from tests.integration.promotion_world import document, git
from tests.support.size import size

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROUNDS = 10
"""Interleavings of one story: each begins where the one before has left the branch."""
SEEDS = range(size(6, 50))
VALUE = re.compile(rb"(storageUri: )(\S+)")
IN_BRANCH = {"committed", "live", "unhealthy", "rolled-back"}


def the_document(url: Path, verified: Sequence[str]) -> PromotionDocument:
    def environment(name: str, **more: Any) -> dict[str, Any]:
        edit = {"file": FILES[name], "path": "spec.predictor.model.storageUri", "value": "{{candidate.uri}}"}
        gate = {"name": "better", "kind": "champion", "metric": "accuracy", "minDelta": 0.0, "onNoChampion": "pass"}
        smoke = {"name": "smoke", "kind": "http", "url": "http://127.0.0.1:9/"}
        more |= {"verify": [smoke]} if name in verified else {}
        return {"name": name, "edits": [edit], "gates": [gate], **more}

    body = document(url).model_dump(mode="json", include={"apiVersion", "kind", "metadata"})
    parts = [environment("staging"), environment("production", approvals={"expires": "20m", "notBy": "nobody"})]
    return PromotionDocument.model_validate({**body, "spec": {"repo": {"url": str(url)}, "environments": parts}})


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: thousands of git commands run here."""
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(dir=memory)) if memory.is_dir() else tmp_path
    yield place
    if place != tmp_path:
        shutil.rmtree(place)


async def check_push(play: Play, row: PromotionRow) -> None:
    """What must be so as a promotion goes out. Its last word was said a moment ago."""
    if row.action != "promote":
        return
    hold = await play.store.read(lambda c: promotions.holding(c, row.name, row.environment))
    assert hold is None, f"{row.id} goes out under a hold"
    assert row.environment not in play.held, f"{row.id} goes out after a rollback that nobody has released"
    if row.environment == "production":
        value = VALUE.search(play.branch.read(f"{row.base_sha}:{FILES['production']}") or b"")
        old = value[2].decode() if value else None
        given = [one for one in play.seen.get(row.id, []) if one.old == old and one.expires > play.clock.now()]
        assert given, f"{row.id} goes out in place of {old} without an approval that holds: {play.seen.get(row.id)}"


@dataclass
class History:
    """The branch read from its first commit on, and what is live where after each. `live`: a stack of digests."""

    play: Play
    begin: str
    live: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in ENVIRONMENTS})
    records: dict[str, bytes] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    last: str = ""

    def __post_init__(self) -> None:
        self.last = self.begin

    def read_on(self) -> None:
        """Judge what is new."""
        span = f"{self.last}..main"
        out = git(self.play.branch.path, "log", "--reverse", "--format=%x01%H%x02%P%x02%B%x02", "--name-only", span)
        for one in out.split("\x01")[1:]:
            sha, parents, message, names = one.split("\x02")
            assert parents == self.last, f"{sha} does not stand on {self.last} alone"
            self.last = sha
            found = re.findall(r"^Retrain-Promotion: (\S+)$", message, re.MULTILINE)
            if sha in self.play.hands:
                assert found == []
            else:
                assert len(found) == 1, f"{sha} has the promotions {found}"
                assert found[0] not in self.made, f"{found[0]} has made {self.made.get(found[0])} and {sha}"
                self.made[found[0]] = sha
                self.judge(sha, parents, set(names.split()))

    def judge(self, sha: str, base: str, names: set[str]) -> None:
        """One commit of the platform's, beside the one that it stands on."""
        (where,) = [one for one in ENVIRONMENTS if f".retrain/digits/{one}.json" in names]
        file, record_file = FILES[where], f".retrain/digits/{where}.json"
        assert names == {file, record_file}, f"{sha} changes {names}"
        read = self.play.branch.read
        body, before, after = read(f"{sha}:{record_file}"), read(f"{base}:{file}"), read(f"{sha}:{file}")
        assert body is not None
        assert before is not None
        assert after is not None
        record = json.loads(body)
        self._chain(where, record, body)
        new = VALUE.search(after)
        assert new is not None
        assert after == VALUE.sub(rb"\g<1>" + new[2], before), f"{sha} changes more than the value"
        if record["promotion"]["action"] == "rollback":
            self._back(where, record, before)
        else:
            self._forth(where, record, before)

    def _chain(self, where: str, record: dict[str, Any], body: bytes) -> None:
        previous = self.records.get(where)
        digest = f"sha256:{sha256(previous).hexdigest()}" if previous is not None else None
        number = json.loads(previous)["number"] + 1 if previous is not None else 1
        assert (record["previousRecord"], record["number"]) == (digest, number), "the chain of records is broken"
        self.records[where] = body

    def _back(self, where: str, record: dict[str, Any], before: bytes) -> None:
        gone = self.live[where].pop()
        assert record["rolledBack"]["digest"] == gone
        assert _is_value_of(before, gone), "a rollback has taken a human's value away"
        now = self.live[where][-1] if self.live[where] else None
        assert (record["live"]["digest"] if record["live"] else None) == now

    def _forth(self, where: str, record: dict[str, Any], before: bytes) -> None:
        digest = record["live"]["digest"]
        champion = self.live[where][-1] if self.live[where] else None
        if champion is not None:
            better = self.play.proposed[digest] >= self.play.proposed[champion]
            assert better, f"{digest} is live in {where} though {champion}, live at its base, is better"
            assert _is_value_of(before, champion), "what was live at its base was not known"
        if where == "production":
            assert digest in self.live["staging"], "production without staging"
        self.live[where].append(digest)


def _is_value_of(manifest: bytes, digest: str) -> bool:
    value = VALUE.search(manifest)
    return value is not None and value[2] == b"s3://models/digits/m%d" % int(digest[7:], 16)


async def check(play: Play, history: History) -> None:
    """What must be so when all is still."""
    history.read_on()
    everyone = promotions.PromotionFilter()
    page = await play.store.read(lambda c: promotions.listing(c, everyone, limit=10_000))
    rows = {row.id: row for row in page.items}
    assert {row.id for row in rows.values() if row.state in IN_BRANCH} == set(history.made)
    assert {name: rows[name].commit_sha for name in history.made} == history.made
    assert all(row.state not in promotions.OPEN or row.state == "awaiting" for row in rows.values())
    told = [event.id for _, event in await play.store.read(lambda c: outbox.pending(c, limit=10_000))]
    ends = [one for one in told if one.endswith((".committed", ".rolled-back"))]
    phases = {name: "rolled-back" if rows[name].action == "rollback" else "committed" for name in history.made}
    assert sorted(ends) == sorted(f"{name}.{phase}" for name, phase in phases.items()), "an end is told once"
    gone = {row.candidate.get("promotion") for row in rows.values() if row.action == "rollback"}
    assert not [row.id for row in rows.values() if row.id in gone and row.action == "rollback"], (
        "a rollback of a rollback"
    )
    human_commits = git(play.branch.path, "rev-list", "--reverse", "--author=Human", f"{history.begin}..main").split()
    assert human_commits == play.hands, "a human's commit is gone"


def deeds(random: Random) -> list[Any]:
    more = [verdict, verdict, approve, approve, approve, human, hold, release, release, release]
    found = [propose, propose, human, roll_back, next_environment, *random.sample(more, random.randint(3, 7))]
    random.shuffle(found)
    return [*found, verdict, next_environment, approve, verdict]


async def restore(play: Play) -> None:
    """Somebody puts back what was changed by hand, and mostly lets automation go on."""
    for where, file in FILES.items():
        text = play.branch.read(f"main:{file}") or b""
        record = json.loads(play.branch.read(f"main:.retrain/digits/{where}.json") or b"{}")
        live = (record["edits"][0]["new"] if record else "s3://models/digits/v0").encode()
        if live not in text:
            play.hands.append(play.branch.human({file: VALUE.sub(rb"\g<1>" + live, text)}))
    if play.random.random() < 0.9:
        await release(play)


@pytest.mark.parametrize("seed", SEEDS)
async def test_in_every_order_what_must_hold_holds(folder: Path, seed: int) -> None:
    branch = Branch(folder / "deploy.git")
    async with open_store(folder / "store.db") as store, anyio.create_task_group() as group:
        verified = ENVIRONMENTS[: seed % 3]
        play = Play(store, branch, the_document(branch.path, verified), folder, Random(seed), check_push)
        history = History(play, git(branch.path, "rev-parse", "main"))
        try:
            for _ in range(ROUNDS):
                await play.round(group, deeds(play.random))
                await check(play, history)
                await restore(play)
        except AssertionError:
            print(*play.told, sep="\n")  # noqa: T201 - pytest shows it beside the failure
            raise
        finally:
            await play.end()
            branch.close()
    assert len(history.made) >= ROUNDS // 2, "nothing much happened"
