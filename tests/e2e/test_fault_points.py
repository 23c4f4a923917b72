"""`publish -> ack` and `commit -> act`, pinned: the platform dies by SIGKILL at each named point, and goes on after it.

Each test says what is durable at the moment of death, then starts the platform again and holds it to the promise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest

from retrain.faults import POINTS
from tests.e2e.crash_world import SENSORS_OF_THE_CHAIN, Receiver, World, check_everything_once, digest, key, read_log
from tests.e2e.platform_driver import git

pytestmark = pytest.mark.slow

RUNS = ("train",)
PROMOTIONS = ("train", "promote")
CALLS = ("tell",)
Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Generator[Make]:
    """Makes a world whose platform and receiver end with the test."""
    made: list[World] = []
    with Receiver() as receiver:

        def build(sensors: tuple[str, ...] = SENSORS_OF_THE_CHAIN, learn: Sequence[str] = ("/bin/true",)) -> World:
            made.append(World.make(tmp_path, receiver, learn=learn, sensors=sensors))
            return made[-1]

        try:
            yield build
        finally:
            for world in made:
                world.platform.kill()
                world.platform.sweep()


def die_at(world: World, fault: str, number: int = 0) -> bool:
    """Start with the fault armed, send an order, and see the platform die there; whether the order was acknowledged."""
    world.platform.start(fault=fault, port=world.port)
    unanswered = world.sent_in_vain(number)
    assert world.platform.await_death() == -9, f"it was not killed at {fault}"
    return not unanswered


async def go_on(world: World, count: int = 1) -> None:
    """Start again without the fault; the sender repeats what was not acknowledged; all is held to the promise."""
    if not world.platform.running:
        world.platform.start(port=world.port)
    for number in range(count):
        if not world.acknowledged[number]:
            world.send_until_taken(number)
    world.await_settled(count)
    check_everything_once(world, count)
    assert world.platform.stop() == 0
    assert world.platform.processes() == []
    keys = [record.event.key for record in await read_log(world.platform.data)]
    assert len(keys) == len(set(keys)), "the log has every event once"


def count(world: World, table: str) -> int:
    return world.platform.rows(f"SELECT count(*) FROM {table}")[0][0]


def test_every_fault_point_has_a_test() -> None:
    """A point that is added without a test is an open promise."""
    tests = Path(__file__).parents[1]
    files = sorted([*tests.glob("e2e/test_fault_points*.py"), *tests.glob("integration/test_*.py")])
    text = "".join(file.read_text() for file in files).replace(":{nth}", "")

    assert {point for point in POINTS if f'"{point}"' not in text} == set()


# --- publish -> ack --------------------------------------------------------------------------------------------------


async def test_before_the_publish_there_is_no_event_and_no_acknowledgement(make: Make) -> None:
    world = make()

    acknowledged = die_at(world, "source.before_publish")

    assert not acknowledged
    assert await read_log(world.platform.data) == []
    await go_on(world)


async def test_after_the_publish_the_event_is_safe_and_a_retry_is_a_duplicate(make: Make) -> None:
    world = make()

    acknowledged = die_at(world, "source.after_publish")

    assert not acknowledged, "the answer comes after this point"
    assert [record.event.id for record in await read_log(world.platform.data) if is_order(record)] == [key(0)]
    world.platform.start(port=world.port)
    # What was published acts, though its sender never comes back.
    world.await_settled(1)
    events = count(world, "events")
    answer = world.send(0)
    assert (answer.status, answer.body) == (202, {"id": key(0)}), "the retry gets what the first did not"
    # Behind the repeated order goes another one: when that has gone the whole way, the first had its chance.
    world.send_until_taken(1)
    world.await_settled(2)
    assert count(world, "events") == 2 * events
    await go_on(world, 2)


def is_order(record: object) -> bool:
    return getattr(record, "event").source == "shop"  # noqa: B009


# --- commit -> act ---------------------------------------------------------------------------------------------------


async def test_before_the_commit_nothing_is_decided_and_nothing_acts(make: Make) -> None:
    world = make()

    die_at(world, "host.before_commit")

    assert [count(world, table) for table in ("events", "decisions", "firings", "runs")] == [0, 0, 0, 0]
    assert world.receiver.requests == []
    await go_on(world)
    assert len(world.receiver.requests) == 2


async def test_after_the_commit_the_firings_are_there_and_act_once(make: Make) -> None:
    world = make()

    die_at(world, "host.after_commit")

    assert sorted(world.platform.rows("SELECT sensor FROM firings")) == [("tell",), ("train",)]
    assert [count(world, "events"), count(world, "runs")] == [1, 0]
    assert world.receiver.requests == [], "nothing acts before the commit is known"
    await go_on(world)
    assert len(world.receiver.requests) == 2


async def test_before_the_act_nothing_has_been_sent(make: Make) -> None:
    world = make(CALLS)

    die_at(world, "trigger.before_act")

    assert count(world, "firings") == 1
    assert world.receiver.requests == []
    await go_on(world)
    assert len(world.receiver.requests) == 1


async def test_after_the_act_it_is_sent_again_with_the_same_key(make: Make) -> None:
    """At least once: what the receiver took cannot be known again, so it is told the same with the same key."""
    world = make(CALLS)

    die_at(world, "trigger.after_act")

    (first,) = world.receiver.requests
    assert world.platform.rows("SELECT id FROM firings WHERE state != 'done'") == [(first.key,)]
    await go_on(world)
    assert world.receiver.requests == [first, first]


async def test_before_the_act_no_run_is_there(make: Make) -> None:
    world = make(RUNS)

    die_at(world, "trigger.before_act")

    assert [count(world, "firings"), count(world, "runs")] == [1, 0]
    await go_on(world)


async def test_after_the_act_the_run_and_the_done_firing_are_one_commit(make: Make) -> None:
    world = make(RUNS)

    die_at(world, "trigger.after_act")

    assert world.platform.rows("SELECT f.state FROM firings f JOIN runs r ON r.firing_id = f.id") == [("done",)]
    await go_on(world)


# --- a run -----------------------------------------------------------------------------------------------------------


async def test_after_the_start_a_running_step_is_found_again(make: Make, tmp_path: Path) -> None:
    """The step waits for a word that is given once only: were it started again, it would wait for ever."""
    word = fifo(tmp_path)
    world = make(RUNS, ("/bin/cat", str(word)))

    die_at(world, "runner.after_start")

    before = {one.pid for one in world.platform.step_processes()}
    assert before, "steps outlive the platform"
    world.platform.start(port=world.port)
    give(world, word)
    await go_on(world)
    # `mark` would fail if it ran twice, and a step that was lost would have left a directory aside.
    assert not [path for path in (world.platform.data / "runs").rglob("*") if "lost" in path.name]


async def test_before_the_end_is_saved_the_run_ends_once(make: Make) -> None:
    world = make(PROMOTIONS)

    die_at(world, "runner.before_finish")

    assert phases(world) == ["Running"]
    assert [path.name for path in world.marks.iterdir()] == [digest(0)], "all steps had run"
    await go_on(world)


async def test_after_the_end_is_saved_it_is_told_once(make: Make) -> None:
    world = make(PROMOTIONS)

    die_at(world, "runner.after_finish")

    assert phases(world) == ["Succeeded"]
    await go_on(world)


# --- what the platform itself tells ----------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["run.started", "run.succeeded"])
async def test_before_the_outbox_is_published_it_keeps_the_event(make: Make, tmp_path: Path, moment: str) -> None:
    world = make(PROMOTIONS, ("/bin/cat", str(word := fifo(tmp_path))))

    die_while_telling(world, "outbox.before_publish", moment, word)

    assert untold(world) == [moment]
    assert moment not in [record.event.subject for record in await read_log(world.platform.data)]
    await go_on_telling(world, moment, word)


@pytest.mark.parametrize("moment", ["run.started", "run.succeeded"])
async def test_after_the_outbox_is_published_a_second_time_is_a_duplicate(
    make: Make, tmp_path: Path, moment: str
) -> None:
    world = make(PROMOTIONS, ("/bin/cat", str(word := fifo(tmp_path))))

    die_while_telling(world, "outbox.after_publish", moment, word)

    assert untold(world) == [moment]
    assert [record.event.subject for record in await read_log(world.platform.data)].count(moment) == 1
    await go_on_telling(world, moment, word)


def die_while_telling(world: World, point: str, moment: str, word: Path) -> None:
    """Die at the pass of the outbox that tells of this moment of the run. Its first step waits for a word."""
    if moment == "run.started":
        die_at(world, point)
        return
    world.platform.start(fault=f"{point}:2", port=world.port)
    world.send_until_taken(0)
    world.platform.wait(lambda: untold(world) == [] and phases(world) == ["Running"], "the run's start is told")
    world.platform.wait(lambda: world.platform.items("events", subject="run.started"), "the run's start is read")
    give(world, word)
    assert world.platform.await_death() == -9, f"it was not killed at {point}"


async def go_on_telling(world: World, moment: str, word: Path) -> None:
    world.platform.start(port=world.port)
    if moment == "run.started":
        give(world, word)
    await go_on(world)


# --- a promotion -----------------------------------------------------------------------------------------------------


async def test_before_the_push_the_intent_is_written_down_and_nothing_is_live(make: Make) -> None:
    world = make()

    die_at(world, "promotion.before_push")

    ((state, commit),) = world.platform.rows("SELECT state, commit_sha FROM promotions")
    assert state == "committing"
    assert commits(world) == [world.begin]
    await go_on(world)
    assert commits(world) == [commit, world.begin], "the same wish on the same base is the same commit"


async def test_after_the_push_the_commit_is_found_and_not_made_again(make: Make) -> None:
    world = make()

    die_at(world, "promotion.after_push")

    ((state, commit),) = world.platform.rows("SELECT state, commit_sha FROM promotions")
    assert state == "committing"
    assert commits(world) == [commit, world.begin], "it is live already"
    await go_on(world)
    assert commits(world) == [commit, world.begin]


# --- what the tests look at ------------------------------------------------------------------------------------------


def phases(world: World) -> list[str]:
    return [phase for (phase,) in world.platform.rows("SELECT phase FROM runs")]


def untold(world: World) -> list[str]:
    rows = world.platform.rows("SELECT json_extract(event, '$.subject') FROM outbox ORDER BY id")
    return [subject for (subject,) in rows]


def commits(world: World) -> list[str]:
    return git(world.repository, "rev-list", "main").split()


def fifo(folder: Path) -> Path:
    path = folder / "word"
    os.mkfifo(path)
    return path


def give(world: World, word: Path) -> None:
    """Let whoever reads the pipe go on: opening and closing it is the word. It must have one reader by then."""

    def given() -> bool:
        try:
            os.close(os.open(word, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # nobody reads yet
            return False
        return True

    world.platform.wait(given, "a step waits for the word")
