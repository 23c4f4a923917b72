"""The file source on a real directory: what comes, changes, goes, lies still unfinished, or has an impossible name."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventsources.watching import inotify
from retrain.bus import MemoryBus
from retrain.store import Store
from tests.contract.source_world import ARGO, Drop, World, bodies, document, state, until


@pytest.fixture
async def world(memory_bus: MemoryBus, store: Store) -> World:
    return World(memory_bus, store)


@pytest.fixture
def drop(tmp_path: Path) -> Drop:
    (tmp_path / "drop").mkdir()
    return Drop(tmp_path / "drop")


async def test_the_payload_is_upstreams_and_ours_says_more(world: World, drop: Drop) -> None:
    argo = Drop(drop.directory, ARGO)
    async with world.running(argo.document(metadata={"a": "b"})) as host:
        await state(host, "listening")
        await drop.happen("x.csv")
        (record,) = await world.records(1)
    assert record.event.data == {"name": f"{drop.directory}/x.csv", "op": 1, "metadata": {"a": "b"}}

    async with world.running(drop.document()) as host:
        await state(host, "listening")
        await drop.happen("y.csv")
        record = (await world.records(2))[1]
    data = record.event.data
    assert (data["name"], data["path"], data["size"]) == (f"{drop.directory}/y.csv", "y.csv", 5)
    assert data["metadata"] is None
    assert record.event.extensions["retrainobject"] == f"file://{drop.directory}/y.csv"


async def test_a_file_is_told_once_it_is_whole(world: World, drop: Drop) -> None:
    async with world.running(drop.document(settle="60s")) as host:
        await state(host, "listening")
        with (drop.directory / "big.csv").open("w") as file:
            file.write("half")
            file.flush()
            await drop.happen("small.csv")
            await world.records(1)
            file.write(", whole")
        records = await world.records(2)

    assert [(data["path"], data["size"]) for data in bodies(records)] == [("small.csv", 9), ("big.csv", 11)]


async def test_a_file_that_nobody_closes_is_told_when_it_lies_still(world: World, drop: Drop) -> None:
    async with world.running(drop.document(settle="50ms")) as host:
        await state(host, "listening")
        with (drop.directory / "open.csv").open("w") as file:
            file.write("half")
            file.flush()
            (record,) = await world.records(1)

    assert record.event.data["size"] == 4


async def test_new_versions_removals_and_renames_are_told_apart(world: World, drop: Drop) -> None:
    path = drop.directory / "a"
    spec = drop.document(eventType="CREATE|WRITE|REMOVE|RENAME|CHMOD")
    async with world.running(spec) as host:
        await state(host, "listening")
        path.write_text("1")
        await world.records(1)
        path.write_text("22")
        await world.records(2)
        path.chmod(0o600)
        await world.records(3)
        path.rename(drop.directory / "b")
        await world.records(5)
        (drop.directory / "b").unlink()
        records = await world.records(6)

    told = [(data["path"], data["op"]) for data in bodies(records)]
    assert told[:3] == [("a", 1), ("a", 2), ("a", 16)]
    assert sorted(told[3:5]) == [("a", 8), ("b", 1)]
    assert told[5] == ("b", 4)


async def test_what_changed_and_went_while_away_is_found_once(world: World, drop: Drop) -> None:
    spec = drop.document(eventType="CREATE|WRITE|REMOVE", settle="0s")
    for name in ("same", "changed", "gone"):
        await drop.happen(name)
    async with world.running(spec):
        await world.records(3)
    (drop.directory / "changed").write_text("something else")
    (drop.directory / "gone").unlink()
    for _ in range(2):
        async with world.running(spec) as host:
            await state(host, "listening")
            await world.records(5)

    told = [(data["path"], data["op"]) for data in bodies(await world.all())][3:]
    assert sorted(told) == [("changed", 2), ("gone", 4)]


async def test_a_directory_that_is_missing_is_waited_for_and_followed_when_made_again(world: World, drop: Drop) -> None:
    drop.directory.rmdir()
    async with world.running(drop.document()) as host:
        waiting = await state(host, "waiting")
        drop.directory.mkdir()
        await state(host, "listening")
        await drop.happen("one")
        await world.records(1)
        shutil.rmtree(drop.directory)
        await state(host, "waiting")
        drop.directory.mkdir()
        await drop.happen("two")
        await world.records(2)

    assert "No such file" in (waiting.waiting_for or "")


async def test_a_directory_replaced_by_another_is_followed(world: World, drop: Drop, tmp_path: Path) -> None:
    async with world.running(drop.document()) as host:
        await state(host, "listening")
        drop.directory.rename(tmp_path / "old")
        drop.directory.mkdir()
        await drop.happen("new")
        records = await world.records(1)

    assert bodies(records)[0]["path"] == "new"


async def test_names_of_any_bytes_are_told(world: World, drop: Drop) -> None:
    names = [b"new\nline", b"bad\xff.csv", b"per%FFcent", "ü ü".encode(), b"-rf", b'"', b"x" * 255]
    async with world.running(drop.document()) as host:
        await state(host, "listening")
        for name in names:
            await drop.happen(os.fsdecode(name))
        records = await world.records(len(names))
    async with world.running(drop.document()) as host:
        await state(host, "listening")

    shown = {data["path"] for data in bodies(records)}
    assert shown == {"new\nline", "bad%FF.csv", "per%FFcent", "ü ü", "-rf", '"', "x" * 255}
    assert len({record.event.id for record in records}) == len(names)
    assert len(await world.all()) == len(names)


async def test_only_matching_files_and_no_links_count(world: World, drop: Drop, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("x")
    spec = document(file={"thing": {"watchPathConfig": {"directory": str(drop.directory), "pathRegexp": "[.]csv$"}}})
    async with world.running(spec) as host:
        await state(host, "listening")
        (drop.directory / "link.csv").symlink_to(tmp_path / "secret.csv")
        (drop.directory / "folder.csv").mkdir()
        await drop.happen("no.txt")
        await drop.happen("yes.csv")
        await world.records(1)

    assert [data["path"] for data in bodies(await world.all())] == ["yes.csv"]


async def test_lost_reports_are_made_up_for(world: World, drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(self: inotify.Inotify) -> Any:
        os.read(self.fd, 1 << 16)
        yield "", inotify.OVERFLOW

    async with world.running(drop.document(settle="0s")) as host:
        await state(host, "listening")
        monkeypatch.setattr(inotify.Inotify, "read", lost)
        await drop.happen("a")
        await drop.happen("b")
        await world.records(2)


async def test_without_reports_the_directory_is_read_and_the_state_says_so(
    world: World, drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inotify, "_LIBC", None)
    async with world.running(drop.document(settle="0s")) as host:
        listening = await state(host, "listening")
        await drop.happen("a")
        await world.records(1)

    assert "read every 1 s" in (listening.note or "")


async def test_polling_follows_a_directory_that_is_made_again(world: World, drop: Drop) -> None:
    async with world.running(drop.document(polling=True, settle="0s")) as host:
        await state(host, "listening")
        shutil.rmtree(drop.directory)
        await state(host, "waiting")
        drop.directory.mkdir()
        await drop.happen("a")
        await world.records(1)


@pytest.mark.slow
async def test_a_hundred_thousand_files_are_scanned_in_flat_memory(world: World, drop: Drop) -> None:
    for number in range(100_000):
        os.close(os.open(drop.directory / f"{number:06}.csv", os.O_CREAT | os.O_WRONLY))
    spec = Drop(drop.directory, ARGO).document()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with world.running(spec) as host:
        with anyio.fail_after(100):
            await state(host, "listening")
        await drop.happen("new.csv")
        await world.records(1)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

    assert grown_mib < 40
    assert len(await world.all()) == 1


async def test_a_burst_of_files_is_told_completely(world: World, drop: Drop) -> None:
    async with world.running(drop.document()) as host:
        await state(host, "listening")
        for number in range(3000):
            (drop.directory / str(number)).write_text("x")
        await until(lambda: host.states()[0].received == 3000)

    assert len(await world.all()) == 3000
