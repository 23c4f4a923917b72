"""Back-ups of a platform that is down: whole or refused, and a restore that leaves nothing half done."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from pipelines.artifacts.local import LocalRepository, Owner
from retrain.app.keeping.backup import USUAL, Wanted, copy_database, snapshot_of, take
from retrain.app.keeping.backup_files import MANIFEST, Manifest, opened
from retrain.app.keeping.restore import rehearse, restore, unpack, verify
from retrain.bus import embedded, open_nats
from retrain.errors import ConfigError, Refused
from retrain.events import Event
from retrain.store import Store, cursors, firings, leases, open_store
from retrain.store.firings import FiringRow
from retrain.store.forgetting import pages

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
EVENTS = [Event(id=str(number), source="shop", type="t", data={"n": number}) for number in range(30)]


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A data directory with 30 events in its log, of which 20 are read, work of a host that is gone, an artifact."""
    place = tmp_path / "old"
    place.mkdir()
    async with embedded(place / "bus") as server, open_nats(server.url, server.settings) as bus:
        await bus.publish_many(EVENTS)
    async with open_store(place / "store.db") as store:
        await store.write(lambda c: cursors.save(c, "sensors", 20))
        await store.write(lambda c: leases.take(c, ["source shop"], "gone", NOW, NOW + timedelta(days=999)))
        action = {"kind": "http", "manifest": f"{place}/manifests/f-1.ndjson"}
        row = FiringRow("f-1", "s", "t", "", (), action, NOW, owner="gone", lease_until=NOW)
        await store.write(lambda c: firings.add(c, [row]))
    (place / "model").write_bytes(b"weights" * 1000)
    await anyio.to_thread.run_sync(_save, place)
    (place / "model").unlink()
    (place / "volumes" / "shared").mkdir(parents=True)
    script = place / "volumes" / "shared" / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    (place / "volumes" / "shared" / "link").symlink_to("run.sh")
    return place


def _save(place: Path) -> None:
    repository = LocalRepository(place / "artifacts")
    repository.save("runs/r-1/model", place / "model", Owner("r-1", False, "none", 0))


async def _make(data: Path, target: Path) -> Manifest:
    with opened(target) as sink:
        async with snapshot_of(data) as snapshot:
            return await take(Wanted(data, snapshot, USUAL), sink, target.with_name("work"))


@pytest.mark.parametrize("name", ["copy", "copy.tar", "copy.tar.gz"])
async def test_what_is_restored_is_what_was_there_without_the_hold_of_the_old_host(data: Path, name: str) -> None:
    target, new = data.parent / name, data.parent / "new"
    made = await _make(data, target)
    assert made.log is not None
    assert (made.read, made.log.last, made.gone) == (20, 30, 0)
    assert verify(target) == await rehearse(target) == made
    shutil.rmtree(data)

    assert await restore(target, new) == made
    async with embedded(new / "bus") as server, open_nats(server.url, server.settings) as bus:
        assert [record.event for record in await bus.read(0)] == EVENTS
        assert (await bus.publish(EVENTS[3])).duplicate, "the log knows what it had"
    async with open_store(new / "store.db") as store:
        await _check_store(store, new)
    repository = LocalRepository(new / "artifacts")
    record = repository.find("runs/r-1/model")
    assert record is not None
    repository.unpacked(record, new.parent / "model")
    assert (new.parent / "model").read_bytes() == b"weights" * 1000
    script = new / "volumes" / "shared" / "link"
    assert script.is_symlink()
    assert script.stat().st_mode & 0o111
    assert {one.name for one in new.iterdir()} == {"artifacts", "bus", "store.db", "up.lock", "volumes"}


async def _check_store(store: Store, new: Path) -> None:
    assert await store.read(lambda c: cursors.load(c, "sensors")) == 20
    assert await store.read(lambda c: leases.holder_of(c, "source shop")) is None
    firing = await store.read(lambda c: firings.get(c, "f-1"))
    assert firing is not None
    assert firing.action == {"kind": "http", "manifest": f"{new}/manifests/f-1.ndjson"}
    (claimed,) = await store.write(lambda c: firings.claim(c, "new", NOW, NOW, 1))
    assert claimed.id == "f-1"


async def test_a_back_up_that_was_touched_is_refused_and_nothing_is_left_of_the_restore(data: Path) -> None:
    good = data.parent / "copy"
    await _make(data, good)
    new = data.parent / "new"

    def damaged(name: str) -> Path:
        copy = data.parent / name
        shutil.copytree(good, copy)
        return copy

    flipped, torn, more, less, newer = (damaged(name) for name in ("flipped", "torn", "more", "less", "newer"))
    content = bytearray((flipped / "bus" / "stream.snapshot").read_bytes())
    content[len(content) // 2] ^= 1
    (flipped / "bus" / "stream.snapshot").write_bytes(content)
    (torn / MANIFEST).unlink()
    (more / "extra").write_text("x")
    (less / "store.db").unlink()
    manifest = json.loads((newer / MANIFEST).read_bytes())
    (newer / MANIFEST).write_text(json.dumps({**manifest, "schema_revision": "9999"}))

    wrong = {flipped: "checksum differs", torn: MANIFEST, more: "extra", less: "is missing", newer: "newer"}
    for source, said in wrong.items():
        with pytest.raises(ConfigError, match=said):
            await restore(source, new)
        assert [one.name for one in new.iterdir()] == ["up.lock"]
    with pytest.raises(ConfigError, match="is not there"):
        verify(data.parent / "nothing")


async def test_a_restore_writes_over_nothing_and_so_does_a_back_up(data: Path) -> None:
    target = data.parent / "copy.tar"
    await _make(data, target)

    with pytest.raises(ConfigError, match=r"has .+ in it"):
        await restore(target, data)
    with pytest.raises(ConfigError, match="is there already"):
        await _make(data, target)
    assert sorted(one.name for one in data.parent.iterdir()) == ["copy.tar", "old"]


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside"])
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    source = tmp_path / "evil.tar"
    with tarfile.open(source, "w") as tar:
        info = tarfile.TarInfo(name)
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    (tmp_path / "in").mkdir()

    with pytest.raises(ConfigError, match="leads out"):
        unpack(source, tmp_path / "in")
    assert not (tmp_path / "outside").exists()


async def test_a_directory_without_a_bus_of_ours_is_refused_by_name(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.db"):
        pass
    with pytest.raises(Refused, match="nats stream backup"):
        async with snapshot_of(tmp_path):
            pass


async def test_the_copy_of_an_older_store_can_shrink(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    async with open_store(old):
        pass
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA auto_vacuum=NONE")
        connection.execute("VACUUM")
    copy_database(old, tmp_path / "new.db")

    async with open_store(old) as before, open_store(tmp_path / "new.db") as after:
        assert not (await before.read(pages)).shrinks
        assert (await after.read(pages)).shrinks
