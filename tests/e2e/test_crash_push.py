"""Git is killed too: a push whose end nobody saw, and what a dead git leaves lying about."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.crash_world import Receiver, World, check_everything_once

# Runs on the server once the branch has moved, and ends the server's side of the first push.
HOOK = """\
#!/bin/sh
mkdir "$GIT_DIR/killed" 2>/dev/null && kill -9 $PPID
exit 0
"""
OTHERS = 15
"""More than the steps back that a record keeps."""


@pytest.mark.slow
def test_a_push_that_landed_unseen_is_found_however_many_others_wait(tmp_path: Path) -> None:
    """It must not be made again on top of the others: that would take the newest model away."""
    with Receiver() as receiver:
        world = World.make(tmp_path, receiver, sensors=("train", "promote"))
        hook = world.repository / "hooks/post-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(HOOK)
        hook.chmod(0o755)
        with world.platform as platform:
            world.send_until_taken(0)
            platform.wait((world.repository / "killed").exists, "the first push lands, unseen")
            for number in range(1, OTHERS + 1):
                world.send_until_taken(number)
            world.await_settled(OTHERS + 1)

            check_everything_once(world, OTHERS + 1)
            assert platform.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["shallow.lock", "refs/retrain/base.lock", "objects", "config"])
def test_what_a_killed_git_leaves_in_the_cache_fails_no_promotion(tmp_path: Path, damage: str) -> None:
    """The cache is there to be thrown away: an ownerless lock, or objects that a power cut emptied, are no verdict."""
    with Receiver() as receiver:
        world = World.make(tmp_path, receiver, sensors=("train", "promote"))
        with world.platform as platform:
            world.send_until_taken(0)
            world.await_settled(1)
            (cache,) = (platform.data / "git").glob("*.git")
            if damage.endswith(".lock"):
                (cache / damage).touch()
            for path in cache.glob("objects/??/*" if damage == "objects" else damage):
                path.chmod(0o600)
                path.write_bytes(b"")
            world.send_until_taken(1)
            world.await_settled(2)

            check_everything_once(world, 2)
            assert platform.stop() == 0
