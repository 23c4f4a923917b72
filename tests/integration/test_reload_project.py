"""Hot reload: what changes on disk comes into what runs, broken files do not, and what did not change is left alone."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from retrain.app.projects.known import Known
from retrain.app.projects.project import Project, load_project
from retrain.app.projects.reload import Reloader
from retrain.errors import ConfigError, Transient

pytestmark = pytest.mark.integration


def manifest(name: str, event: str = "x") -> dict[str, Any]:
    return {
        "apiVersion": "retrain.dev/v1",
        "kind": "Sensor",
        "metadata": {"name": name},
        "spec": {
            "dependencies": [{"name": "d", "eventSourceName": "s", "eventName": event}],
            "triggers": [{"template": {"name": "t", "log": {}}}],
        },
    }


def write(file: Path, value: Any) -> None:
    file.write_text(value if isinstance(value, str) else json.dumps(value))


class Taker:
    """Notes what it is given."""

    def __init__(self) -> None:
        self.taken: list[Project] = []
        self.refuse: Exception | None = None

    async def __call__(self, project: Project) -> list[str]:
        if self.refuse is not None:
            raise self.refuse
        self.taken.append(project)
        return []


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not holds():  # noqa: ASYNC110 - files tell nobody
            await anyio.sleep(0.01)


async def running(reloader: Reloader, body: Callable[[], Awaitable[None]]) -> None:
    async with anyio.create_task_group() as group:
        await group.start(reloader.run)
        await body()
        group.cancel_scope.cancel()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one", "two", "three"):
        write(tmp_path / f"{name}.yaml", manifest(name))
    return tmp_path


def test_only_the_document_that_changed_is_another_one(folder: Path) -> None:
    known = Known()
    first = load_project([folder], known=known)
    write(folder / "two.yaml", manifest("two", "y"))

    second = load_project([folder], known=known)

    same = {item.model.name: item is other for item, other in zip(first.sensors, second.sensors, strict=True)}
    assert same == {"one": True, "three": True, "two": False}
    assert second.sensors[2].model.spec.dependencies[0].event_name == "y"


def test_a_file_that_is_gone_and_one_that_is_new_are_seen_and_nothing_is_kept_of_the_old(folder: Path) -> None:
    known = Known()
    load_project([folder], known=known)
    (folder / "one.yaml").unlink()
    write(folder / "four.yaml", manifest("four"))

    names = [item.model.name for item in load_project([folder], known=known).sensors]

    assert names == ["four", "three", "two"]
    assert len(known._files) == len(known._built) == 3


def test_a_file_of_the_same_size_and_time_but_another_inode_is_read_again(folder: Path) -> None:
    known = Known()
    load_project([folder], known=known)
    before = (folder / "one.yaml").stat()
    write(folder / "new", manifest("one", "z"))
    os.utime(folder / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    (folder / "new").replace(folder / "one.yaml")

    project = load_project([folder], known=known)

    assert project.sensors[0].model.spec.dependencies[0].event_name == "z"


async def test_a_change_on_disk_is_taken_by_itself(folder: Path) -> None:
    taker = Taker()

    async def body() -> None:
        write(folder / "one.yaml", manifest("one", "y"))
        await until(lambda: bool(taker.taken))
        assert taker.taken[0].sensors[0].model.spec.dependencies[0].event_name == "y"

    await running(Reloader(folder, Known(), taker), body)
    assert len(taker.taken) == 1


async def test_a_broken_file_is_said_and_the_old_version_stays_until_it_is_mended(folder: Path) -> None:
    taker = Taker()
    reloader = Reloader(folder, Known(), taker)

    async def body() -> None:
        write(folder / "one.yaml", "apiVersion: retrain.dev/v1\nkind: Sensor\nspec: [")
        await until(lambda: reloader.trouble is not None)
        assert "one.yaml:" in (reloader.trouble or "")
        assert taker.taken == []
        write(folder / "one.yaml", manifest("one"))
        await until(lambda: reloader.trouble is None)

    await running(reloader, body)
    assert len(taker.taken) == 1


async def test_whoever_asks_for_a_reload_gets_the_error(folder: Path) -> None:
    taker = Taker()
    reloader = Reloader(folder, Known(), taker)
    write(folder / "two.yaml", {**manifest("two"), "spec": {"dependencis": []}})

    with pytest.raises(ConfigError, match=r"two\.yaml:1:\d+: unknown field 'dependencis'"):
        await reloader.reload()

    write(folder / "two.yaml", manifest("two"))
    assert await reloader.reload() == {"status": "reloaded", "notes": []}


async def test_what_cannot_be_taken_now_is_tried_again(folder: Path) -> None:
    taker = Taker()
    taker.refuse = Transient("the bus is away")
    reloader = Reloader(folder, Known(), taker)

    async def body() -> None:
        write(folder / "one.yaml", manifest("one", "y"))
        await until(lambda: "the bus is away" in (reloader.trouble or ""))
        taker.refuse = None
        await until(lambda: bool(taker.taken))

    await running(reloader, body)
    assert reloader.trouble is None
