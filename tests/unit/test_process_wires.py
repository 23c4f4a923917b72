"""Steps that the event loop starts and hears of, without a thread."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from pipelines.local import process
from pipelines.local.process import Command, Leader
from pipelines.local.spawner import Spawner, open_spawner
from pipelines.local.view import OWN
from tests.unit.leaders import ENV

PATIENCE_S = 30.0


@pytest.fixture(params=[{"use_uvloop": False}, {"use_uvloop": True}], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", request.param


@pytest.fixture
async def spawner(anyio_backend: object) -> AsyncIterator[Spawner]:
    async with open_spawner() as spawner:
        yield spawner


def shell(home: Path, source: str, *, recorded: bool = True, fleeting: bool = False, capture: bool = False) -> Command:
    words = ("/bin/sh", "-c", source)
    return Command(words, ENV, home / "work", capture, makes=OWN, recorded=recorded, fleeting=fleeting)


async def ended(leader: Leader) -> process.Ending | None:
    with anyio.fail_after(PATIENCE_S):
        await leader.wait()
    assert leader.ended()
    assert leader.line is not None
    ending = leader.line.ending
    leader.close()
    return ending


async def run(spawner: Spawner, home: Path, command: Command) -> process.Ending | None:
    return await ended(await spawner.lead(home, command))


@pytest.mark.anyio
async def test_the_end_comes_with_the_word_of_the_leader_as_it_is_on_record(spawner: Spawner, tmp_path: Path) -> None:
    home = tmp_path / "run" / "step"
    ending = await run(spawner, home, shell(home, "echo out > made; exit 3"))

    assert ending is not None
    assert ending.code == 3
    assert ending == process.ending(home)
    assert (home / "work/made").read_text() == "out\n"
    assert (home / "tmp").is_dir()


@pytest.mark.anyio
async def test_a_long_step_is_told_of_when_it_has_begun(spawner: Spawner, tmp_path: Path) -> None:
    home = tmp_path / "step"
    leader = await spawner.lead(home, shell(home, "exec sleep 1000"))

    assert leader.pid > 0
    assert not leader.ended()
    leader.signal_group(signal.SIGTERM)
    ending = await ended(leader)
    assert ending is not None
    assert ending.signal == signal.SIGTERM


@pytest.mark.anyio
async def test_a_leader_is_used_again_and_a_killed_one_is_replaced(spawner: Spawner, tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    leaders: list[bytes] = []
    for home in (first, second):
        assert await run(spawner, home, shell(home, "true")) is not None
        leaders.append((home / "pid").read_bytes().split()[1])
    assert len(set(leaders)) == 1

    os.kill(int(leaders[0]), signal.SIGKILL)
    ending = await run(spawner, third, shell(third, "true"))
    assert ending is not None
    assert ending.code == 0


@pytest.mark.anyio
@pytest.mark.parametrize("recorded", [True, False])
async def test_the_end_of_a_leader_is_seen_and_is_no_ending(spawner: Spawner, tmp_path: Path, recorded: bool) -> None:
    home = tmp_path / "step"
    leader = await spawner.lead(home, shell(home, "ps -o ppid= -p $$ > parent; exec sleep 1000", recorded=recorded))
    parent = home / "work/parent"
    with anyio.fail_after(PATIENCE_S):
        while not (parent.exists() and parent.read_text().endswith("\n")):  # noqa: ASYNC110
            await anyio.sleep(0.01)
    os.kill(int(parent.read_text()), signal.SIGKILL)

    assert await ended(leader) is None
    assert process.ending(home) is None
    os.kill(leader.pid, signal.SIGKILL)


@pytest.mark.anyio
async def test_a_home_is_claimed_once(spawner: Spawner, tmp_path: Path) -> None:
    home = tmp_path / "step"
    await run(spawner, home, shell(home, "true"))
    with pytest.raises(FileExistsError):
        await spawner.lead(home, shell(home, "true"))
    assert await run(spawner, tmp_path / "other", shell(tmp_path / "other", "true")) is not None


@pytest.mark.anyio
async def test_an_order_that_no_buffer_holds_arrives_whole(spawner: Spawner, tmp_path: Path) -> None:
    home, script = tmp_path / "step", b"#" * 3_000_000 + b"\nexit 7\n"
    words = ("/bin/sh", str(home / "script"))
    ending = await run(spawner, home, Command(words, ENV, home / "work", makes=OWN, script=script))
    assert ending is not None
    assert ending.code == 7


@pytest.mark.anyio
async def test_a_nul_in_a_word_is_refused_before_anything_starts(spawner: Spawner, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="null byte"):
        await spawner.lead(tmp_path / "step", Command(("/bin/echo", "a\0b"), ENV, tmp_path, makes=OWN))
    assert not (tmp_path / "step").exists()


@pytest.mark.anyio
async def test_an_empty_home_that_nobody_wants_is_the_next_steps(spawner: Spawner, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    await run(spawner, first, shell(first, "true", recorded=False, fleeting=True))
    inode = first.stat().st_ino
    await run(spawner, second, shell(second, 'touch "$PWD/x"', recorded=False, fleeting=True))

    assert not first.exists()
    assert second.stat().st_ino == inode
    assert sorted(path.name for path in second.iterdir()) == ["tmp", "work"]


@pytest.mark.anyio
@pytest.mark.parametrize("source", ["echo said", "touch x", "touch ../tmp/x", "mkdir ../x", "chmod 777 .", "exit 1"])
async def test_what_a_step_left_stays_its_own(spawner: Spawner, tmp_path: Path, source: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    await run(spawner, first, shell(first, source, recorded=False, fleeting=True))
    await run(spawner, second, shell(second, "true", recorded=False, fleeting=True))

    assert first.is_dir()
    assert list((second / "work").iterdir()) == list((second / "tmp").iterdir()) == []


@pytest.mark.anyio
async def test_a_step_on_record_keeps_its_home(spawner: Spawner, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for home in (first, second):
        await run(spawner, home, shell(home, "true"))
    assert (first / "pid").exists()
    assert (second / "pid").exists()


@pytest.mark.anyio
async def test_one_that_was_let_go_sees_its_step_to_the_end(spawner: Spawner, tmp_path: Path) -> None:
    home = tmp_path / "step"
    home.mkdir()
    os.mkfifo(home / "word")
    leader = await spawner.lead(home, shell(home, "read x < ../word; exit 4"))
    leader.let_go()

    found = process.attach(home)
    assert found is not None
    (home / "word").write_text("on\n")
    with anyio.fail_after(PATIENCE_S):
        await found.wait()
    found.close()
    ending = process.ending(home)
    assert ending is not None
    assert ending.code == 4
