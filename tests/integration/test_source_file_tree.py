"""The file source with the folders below: they come, go and move while it runs, and while it does not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from eventsources.watching.folder import Folder
from retrain.bus import MemoryBus
from retrain.store import Store
from tests.contract.source_world import Drop, Platform, bodies, state, until


@pytest.fixture
def platform(memory_bus: MemoryBus, store: Store) -> Platform:
    return Platform(memory_bus, store)


@pytest.fixture
def drop(tmp_path: Path) -> Drop:
    (tmp_path / "drop" / "a").mkdir(parents=True)
    return Drop(tmp_path / "drop")


def tree(drop: Drop, **more: Any) -> Any:
    return drop.document(recursive=True, **more)


async def paths(platform: Platform, count: int) -> list[str]:
    return sorted(data["path"] for data in bodies(await platform.records(count)))


@pytest.mark.parametrize("polling", [False, True])
async def test_files_in_folders_are_told_with_their_paths(platform: Platform, drop: Drop, polling: bool) -> None:
    (drop.directory / "a" / "old.csv").write_text("x")
    async with platform.running(tree(drop, polling=polling, settle="0s")) as host:
        await state(host, "listening")
        (drop.directory / "a" / "new.csv").write_text("x")
        (drop.directory / "b" / "c").mkdir(parents=True)
        (drop.directory / "b" / "c" / "deep.csv").write_text("x")
        found = await paths(platform, 3)

    assert found == ["a/new.csv", "a/old.csv", "b/c/deep.csv"]


async def test_a_folder_that_is_renamed_into_place_brings_its_files(platform: Platform, drop: Drop) -> None:
    outside = drop.directory.parent / "set"
    (outside / "parts").mkdir(parents=True)
    for number in range(20):
        (outside / "parts" / f"{number:02}.csv").write_text("x")
    async with platform.running(tree(drop)) as host:
        await state(host, "listening")
        outside.rename(drop.directory / "set")
        found = await paths(platform, 20)

    assert found == [f"set/parts/{number:02}.csv" for number in range(20)]


async def test_folders_that_are_made_in_a_hurry_lose_nothing(platform: Platform, drop: Drop) -> None:
    async with platform.running(tree(drop)) as host:
        await state(host, "listening")
        for number in range(200):
            folder = drop.directory / f"{number:03}" / "x"
            folder.mkdir(parents=True)
            (folder / "f.csv").write_text("x")
        await until(lambda: host.states()[0].received == 200)


async def test_what_goes_with_its_folder_is_told(platform: Platform, drop: Drop) -> None:
    for name in ("moved", "removed"):
        (drop.directory / name).mkdir()
        (drop.directory / name / "f.csv").write_text("x")
    async with platform.running(tree(drop, eventType="REMOVE", settle="0s")) as host:
        await state(host, "listening")
        shutil.rmtree(drop.directory / "removed")
        (drop.directory / "moved").rename(drop.directory.parent / "elsewhere")
        found = await paths(platform, 2)
        (drop.directory.parent / "elsewhere" / "late.csv").write_text("x")

    assert found == ["moved/f.csv", "removed/f.csv"]


async def test_what_changes_in_folders_while_nobody_looks_is_found(platform: Platform, drop: Drop) -> None:
    (drop.directory / "a" / "gone.csv").write_text("x")
    document = tree(drop, eventType="CREATE|REMOVE", settle="0s")
    async with platform.running(document) as host:
        await state(host, "listening")
        await platform.records(1)
    (drop.directory / "a" / "gone.csv").unlink()
    (drop.directory / "b").mkdir()
    (drop.directory / "b" / "new.csv").write_text("x")
    async with platform.running(document):
        found = bodies(await platform.records(3))[1:]

    assert sorted((data["path"], data["op"]) for data in found) == [("a/gone.csv", 4), ("b/new.csv", 1)]


async def test_links_lead_nowhere(platform: Platform, drop: Drop) -> None:
    secret = drop.directory.parent / "secret"
    secret.mkdir()
    (secret / "x.csv").write_text("x")
    (drop.directory / "link").symlink_to(secret)
    async with platform.running(tree(drop)) as host:
        await state(host, "listening")
        (drop.directory / "link2").symlink_to(secret)
        (drop.directory / "a" / "f.csv").write_text("x")
        await platform.records(1)

    assert [data["path"] for data in bodies(await platform.all())] == ["a/f.csv"]


def test_a_link_on_the_way_to_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("x")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    folder = Folder(str(tmp_path / "in"), recursive=True)

    assert folder.look(["link/x", "../out/x", os.path.join("link", "..", "..", "out", "x")]) == {}  # noqa: PTH118
