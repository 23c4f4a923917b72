"""A back-up in the midst of work, a machine that dies, and the work goes on elsewhere: nothing is lost of what was
acknowledged before the back-up, and nothing that was done before it is done again."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.e2e.crash_world import SENSORS_OF_THE_CHAIN, Receiver, World, digest, key, once
from tests.e2e.platform_driver import RETRAIN, Platform, Unreachable, git

ORDERS = 40
EARLY = 15
"""Orders that are acknowledged before the back-up begins."""

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def world(tmp_path: Path, sensors: tuple[str, ...]) -> Generator[World]:
    with Receiver() as receiver, (world := World.make(tmp_path, receiver, sensors=sensors)).platform:
        yield world


def backup(*words: str, code: int = 0) -> dict[str, object]:
    done = subprocess.run([RETRAIN, "backup", *words, "-o", "json"], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout) if code == 0 else {"error": done.stderr}


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("way", "sensors"), [("data", SENSORS_OF_THE_CHAIN), ("server", ("tell",))])
def test_work_goes_on_from_a_back_up_that_was_made_under_load(world: World, tmp_path: Path, way: str) -> None:
    platform, copy = world.platform, tmp_path / "copy.tar.gz"
    for number in range(EARLY):
        world.send_until_taken(number)

    late = threading.Thread(target=_send_on, args=(world,))
    late.start()
    where = ("--data", str(platform.data)) if way == "data" else ("--server", platform.url)
    made = backup("create", str(copy), *where)
    late.join()
    assert made["read"] <= made["log"]["last"]  # type: ignore[index,operator]
    platform.kill()
    platform.sweep()

    elsewhere = Platform(tmp_path / "elsewhere")
    shutil.copytree(platform.project, elsewhere.project, dirs_exist_ok=True)
    assert backup("verify", str(copy), "--whole")["files"] == made["files"]
    backup("restore", str(copy), "--data", str(elsewhere.data))
    done = _done(elsewhere)
    told = [one.key for one in world.receiver.requests]
    for path in world.marks.iterdir():  # what was done after the back-up is not done: as if that host had never been
        if path.name not in done["marks"]:
            path.rmdir()

    world.platform = elsewhere
    with elsewhere:
        world.platform.wait(lambda: _orders(world) >= {key(n) for n in range(EARLY)}, "the early orders are there")
        for number in range(ORDERS):
            world.send_until_taken(number)
        world.await_settled(ORDERS, 120.0)
        _check(world)
        again = [one.key for one in world.receiver.requests[len(told) :]]
        assert not set(again) & done["firings"], "a firing that was done before the back-up acted again"
        deeds = [action for (action,) in elsewhere.rows("SELECT action FROM audit ORDER BY id")]
        assert deeds == ["backup.create", "backup.restore"][way == "data" :]
    assert "error" in backup("restore", str(copy), "--data", str(elsewhere.data), code=2)


def _check(world: World) -> None:
    """Every order has gone the whole way, once: one event, one firing of each sensor, one run, one commit."""
    ask = world.platform.rows
    orders = {key(n) for n in range(ORDERS)}
    assert once(id_ for (id_,) in ask("SELECT id FROM events WHERE source = 'shop'")) == orders
    assert dict(ask("SELECT sensor, count(*) FROM firings GROUP BY sensor")) == dict.fromkeys(world.sensors, ORDERS)
    if "train" not in world.sensors:
        return
    assert ask("SELECT phase, count(*) FROM runs GROUP BY phase") == [("Succeeded", ORDERS)]
    assert {path.name for path in world.marks.iterdir()} == {digest(n) for n in range(ORDERS)}
    # What was pushed after the back-up is found in the branch, and not pushed again.
    model = "%(trailers:key=Model-Digest,valueonly,separator=%x2C)"
    made = git(world.repository, "log", f"--format={model}", "main").split()
    assert once(made) == {digest(n) for n in range(ORDERS)}


def _send_on(world: World) -> None:
    for number in range(EARLY, ORDERS):
        try:
            world.send(number)
        except Unreachable:
            return


def _orders(world: World) -> set[str]:
    return {event["id"] for event in world.platform.items("events", source="shop")}


def _done(platform: Platform) -> dict[str, set[str]]:
    """What the restored store says is done."""
    firings = {row[0] for row in platform.rows("SELECT id FROM firings WHERE state = 'done'")}
    marks = {
        row[0]
        for row in platform.rows(
            "SELECT json_extract(n.body, '$.inputs.parameters[0].value') FROM nodes n"
            " WHERE json_extract(n.body, '$.displayName') = 'mark' AND json_extract(n.body, '$.phase') = 'Succeeded'"
        )
    }
    runs = platform.rows("SELECT outputs FROM runs WHERE phase = 'Succeeded'")
    marks |= {digest(n) for n in range(ORDERS) if any(digest(n) in str(outputs) for (outputs,) in runs)}
    return {"firings": firings, "marks": marks}
