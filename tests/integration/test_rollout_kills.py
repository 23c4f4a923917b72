"""`kill -9` after the commit: at verdicts, rollbacks and steps of a canary. Each commit once, each thing told once."""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections import Counter
from pathlib import Path

import anyio.to_thread
import pytest

from tests.integration import aftermath_world
from tests.integration.aftermath_world import FILE, IN_KNATIVE, STEPS, aftermath, verified
from tests.integration.promotion_world import Remote, candidate
from tests.support.dying import end_of

pytestmark = [pytest.mark.integration, pytest.mark.slow]

AROUND_THE_PUSH = ("promotion.before_commit", "promotion.before_push", "promotion.after_push")
PLAIN = [
    "promotion.before_verdict",
    "promotion.before_verdict:2",
    "verification.after_save",
    *(f"{point}:2" for point in AROUND_THE_PUSH),
]
CANARY = [
    "promotion.before_step",
    "promotion.before_verdict",
    *(f"{point}:{turn}" for point in AROUND_THE_PUSH for turn in (2, 3)),
]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.integration.aftermath_world"])


def die(*words: str) -> int | None:
    """Play it in a process of its own; what that ended with."""
    return end_of(FORKS.Process(target=aftermath_world.main, args=words))


@pytest.mark.parametrize(("how", "point"), [*(("plain", one) for one in PLAIN), *(("canary", one) for one in CANARY)])
async def test_a_kill_there_leaves_one_rollback_and_each_commit_once(tmp_path: Path, how: str, point: str) -> None:
    remote, word = Remote.create(tmp_path / "deploy.git"), tmp_path / "word.json"
    before = remote.show(FILE)
    bad = "s3://models/digits/a at 50" if how == "canary" else "s3://models/digits/a"
    word.write_text(json.dumps({"s3://models/digits/a": "pass", bad: "fail"}))
    data = tmp_path / "data"

    ended = await anyio.to_thread.run_sync(die, point, str(data), str(remote.path), str(word), how)
    more = {"canary": STEPS, "edits": IN_KNATIVE} if how == "canary" else {}
    async with aftermath(data, verified(remote.path, word, **more), word) as w:
        row = await w.state(await w.propose(candidate("a"), firing="f-a"), "rolled-back")
        (back,) = await w.rollbacks()
        back = await w.state(back.id, "unhealthy", "live")
        told = Counter(await w.subjects(row.id))
        hold = await w.hold()

    assert ended == -signal.SIGKILL
    assert remote.show(FILE) == before
    steps = 2 if how == "canary" else 1
    assert len(remote.commits()) == 1 + steps + 1
    assert told == {"promotion.committed": 1, "promotion.unhealthy": 1} | ({"promotion.step": 1} if steps > 1 else {})
    assert hold is not None
    assert remote.tip() == back.commit_sha
