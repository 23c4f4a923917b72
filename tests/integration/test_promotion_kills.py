"""`kill -9` at every fault point on a promotion's way: no commit or one, each end told once, and all agree afterwards.

The cases are held against the code: a point that is reached in `deploy/` and has no case here fails.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from retrain.faults import POINTS
from retrain.store.promotions import IN_BRANCH, PromotionRow
from tests.integration import promotion_kills
from tests.integration.promotion_kills import SCENARIOS, repository, take_up
from tests.integration.promotion_world import Remote, git
from tests.support.dying import end_of

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
AROUND_THE_PUSH = ("promotion.before_commit", "promotion.before_push", "promotion.after_push")
CASES = [
    *((name, point) for name in ("promote", "approve", "rollback", "hold") for point in AROUND_THE_PUSH),
    ("approve", "approval.before_commit"),
    ("reject", "approval.before_commit"),
    ("next", "promotion.before_next"),
    *(("next", f"{point}:2") for point in AROUND_THE_PUSH),
]
# Children of one that has imported everything: a process costs nothing then.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.integration.promotion_kills"])


def test_every_point_on_the_way_has_a_case() -> None:
    """Those of pull requests and of what comes after the commit need more than a branch: their tests have them."""
    reached = {
        point
        for file in (ROOT / "deploy").rglob("*.py")
        for point in re.findall(r"faults\.point\(\s*\"([^\"]+)\"", file.read_text())
    }
    others = [file for file in ROOT.glob("tests/*/test_*.py") if file.name != Path(__file__).name]
    elsewhere = {point for point in reached if any(f'"{point}"' in file.read_text() for file in others)}
    here = {point.partition(":")[0] for _, point in CASES}

    assert reached <= POINTS, "nobody can arm it"
    assert reached - here - elsewhere == set()


def die(scenario: str, point: str, data: Path, remote: Path) -> int | None:
    """Play it in a process of its own; what that ended with."""
    return end_of(FORKS.Process(target=promotion_kills.run, args=(scenario, point, str(data), str(remote))))


@pytest.mark.parametrize(("scenario", "point"), CASES)
async def test_a_kill_there_leaves_no_commit_or_one(tmp_path: Path, scenario: str, point: str) -> None:
    remote = repository(tmp_path)
    what, data = SCENARIOS[scenario], tmp_path / "data"

    ended = await anyio.to_thread.run_sync(die, scenario, point, data, remote.path)
    rows, events, held = await take_up(what, data, remote.path)

    assert ended == -signal.SIGKILL
    assert tuple(row.state for row in rows) in what.ends
    assert held == (scenario in {"rollback", "hold"})
    check_branch(remote, rows)
    check_events(rows, events)
    assert not [row for row in rows if row.owner], "nobody works on it"


def check_branch(remote: Remote, rows: list[PromotionRow]) -> None:
    """Each commit is one promotion's, in the order of their ends; the record's word is the store's."""
    ours = [row for row in rows if row.state in {*IN_BRANCH, "rolled-back"}]
    _, *commits = remote.commits()
    said = [git(remote.path, "log", "-1", "--format=%(trailers:key=Retrain-Promotion,valueonly)", c) for c in commits]
    assert list(zip(commits, said, strict=True)) == [(row.commit_sha, row.id) for row in ours]
    for name in {row.environment for row in ours}:
        record = json.loads(remote.show(f".retrain/digits/{name}.json"))
        last = [row for row in ours if row.environment == name and row.state != "rolled-back"]
        live = next(row for row in reversed(last) if row.action == "promote")
        assert record["promotion"]["id"] == last[-1].id
        assert record["live"]["promotion"] == live.id
        assert f"storageUri: {live.candidate['uri']} " in remote.show(f"overlays/{name}/model.yaml")
    git(remote.path, "fsck", "--strict", "--no-dangling")


def check_events(rows: list[PromotionRow], events: list[Any]) -> None:
    """One end of each promotion, and each event once."""
    kinds = Counter((event.extensions["retraincause"], event.subject) for event in events)
    for row in rows:
        end = "rolled-back" if row.action == "rollback" else row.state.replace("rolled-back", "committed")
        assert kinds[row.id, f"promotion.{end}"] == 1
    assert len({event.id for event in events}) == len(events)
    assert kinds.most_common(1)[0][1] == 1, "nothing is told twice"
