"""A back-up looked at, and made a data directory again, on which `retrain up` goes on."""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import anyio.to_thread
import orjson

from retrain.app.holding import ADDRESS, LOCK, hold
from retrain.app.keeping.backup_files import (
    HEAD,
    MANIFEST,
    MOST_MANIFEST,
    PIECE,
    RECORDS,
    STORE,
    STREAM,
    Hashing,
    Manifest,
    parts_of,
    read_manifest,
    remove,
)
from retrain.bus import embedded
from retrain.bus.snapshot import load, reach
from retrain.errors import ConfigError, Transient
from retrain.store import open_store
from retrain.store.schema import HEAD as REVISION

_OPEN_FIRINGS = "state IN ('pending', 'running')"
_OPEN_RUNS = "phase NOT IN ('Succeeded', 'Failed', 'Error')"


def unpack(source: Path, to: Path) -> Manifest:
    """Unpack a back-up into a directory, with every file's checksum looked at.

    Raises:
        ConfigError: it is none, it is torn, or a file is not what was written; the message says which.
    """
    found: dict[str, tuple[int, str]] = {}
    manifest: Manifest | None = None
    for name, content in parts_of(source):
        if name == MANIFEST:
            manifest = read_manifest(content.read(MOST_MANIFEST))
        else:
            found[name] = _copied(content, to / name)
    if manifest is None:
        raise ConfigError(f"{source}: has no {MANIFEST}: it was not finished")
    _compare(source, manifest, found)
    return manifest


def _copied(content: IO[bytes], to: Path) -> tuple[int, str]:
    to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    hashing = Hashing(content)
    with to.open("xb") as file:
        to.chmod(0o600)
        shutil.copyfileobj(hashing, file, PIECE)
    return hashing.count, hashing.digest


def _compare(source: Path, manifest: Manifest, found: dict[str, tuple[int, str]]) -> None:
    for file in manifest.files:
        there = found.pop(file.path, None)
        if there is None:
            raise ConfigError(f"{source}: {file.path} is missing")
        if there != (file.bytes, file.sha256):
            raise ConfigError(f"{source}: {file.path} is not what was written: its checksum differs")
    if found:
        raise ConfigError(f"{source}: {min(found)} is no part of the back-up; nothing was taken from it")


def check(source: Path, unpacked: Path, manifest: Manifest) -> None:
    """Look at what is in the files of an unpacked back-up.

    Raises:
        ConfigError: the store is broken, of a newer Retrain, or ahead of the bus.
    """
    if manifest.schema_revision > REVISION:
        raise ConfigError(
            f"{source}: its store has revision {manifest.schema_revision}, this Retrain knows up to {REVISION}; "
            f"use Retrain {manifest.retrain} or newer"
        )
    if manifest.log is not None and manifest.log.last < manifest.read:
        raise ConfigError(f"{source}: its log ends at {manifest.log.last}, its store has read up to {manifest.read}")
    for name in (STORE, RECORDS):
        if (unpacked / name).is_file():
            _check_database(source, unpacked / name)


def _check_database(source: Path, path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as connection:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        raise ConfigError(f"{source}: {path.name} is broken: {said}")


def verify(source: Path) -> Manifest:
    """Look at a whole back-up but for its stream, which only a server can read; what it says of itself.

    Raises:
        ConfigError: it could not be restored; the message says why.
    """
    with tempfile.TemporaryDirectory(prefix="retrain-verify-") as work:
        manifest = unpack(source, Path(work))
        check(source, Path(work), manifest)
        return manifest


async def rehearse(source: Path) -> Manifest:
    """Restore a back-up into a directory that is thrown away.

    Raises:
        ConfigError, BusError: it could not be restored.
    """
    with tempfile.TemporaryDirectory(prefix="retrain-verify-") as work:
        return await restore(source, Path(work) / "data")


async def restore(source: Path, data: Path) -> Manifest:
    """Make a data directory of a back-up; what that says of itself. If it fails nothing is left of it.

    Raises:
        ConfigError: the directory has something in it, or the back-up cannot be used here.
        BusError: the embedded server does not take the stream.
    """
    await anyio.to_thread.run_sync(_must_be_empty, data)
    with hold(data):
        try:
            manifest = await anyio.to_thread.run_sync(_lay_out, source, data)
            async with open_store(_work(data) / STORE):
                pass  # an older one is brought up to date
            await anyio.to_thread.run_sync(let_go, _work(data) / STORE, manifest, data)
            if manifest.log is not None:
                await _restore_bus(data, manifest)
            await anyio.to_thread.run_sync(_finish, data)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_clear, data)
            raise
        return manifest


def _must_be_empty(data: Path) -> None:
    if data.is_dir() and (left := sorted({one.name for one in data.iterdir()} - {LOCK, ADDRESS})):
        raise ConfigError(f"{data}: has {left[0]} in it; a back-up is restored into an empty directory, or a new one")
    if data.exists() and not data.is_dir():
        raise ConfigError(f"{data}: is no directory")


def _work(data: Path) -> Path:
    return data / ".restoring"


def _lay_out(source: Path, data: Path) -> Manifest:
    work = _work(data)
    work.mkdir(mode=0o700)
    manifest = unpack(source, work)
    check(source, work, manifest)
    for part in manifest.parts:
        if (packed := work / f"{part}.tar").is_file():
            with tarfile.open(packed) as tar:
                _extract(tar, data)
    if (records := work / RECORDS).is_file():
        (data / "artifacts").mkdir(exist_ok=True)
        records.rename(data / "artifacts" / RECORDS)
    return manifest


def _extract(tar: tarfile.TarFile, place: Path) -> None:
    """All of it, below `place`.

    Raises:
        ConfigError: something of it would lie elsewhere.
    """
    if hasattr(tarfile, "tar_filter"):
        tar.extractall(place, filter="tar")
        return
    # Python before 3.11.4, such as Debian 12's, does not look itself where things would lie.
    root = place.resolve()
    for member in tar:
        if not (root / member.name).resolve().is_relative_to(root):
            raise ConfigError(f"the back-up holds {member.name!r}, which would lie outside of {place}")
        member.mode &= ~0o7022
        tar.extract(member, place)


def _finish(data: Path) -> None:
    """The store comes last: what has none is no data directory yet."""
    (_work(data) / STORE).rename(data / STORE)
    remove(_work(data))


def let_go(store: Path, manifest: Manifest, data: Path) -> None:
    """Nobody of the old host works on anything here; and what is still to be done finds its files in the new place."""
    now = datetime.now(UTC)
    said: dict[str, Any] = {"created": manifest.created, "read": manifest.read, "of": manifest.data}
    deed = (
        int(now.timestamp() * 1e6),
        "retrain backup restore",
        "backup.restore",
        str(data),
        orjson.dumps(said).decode(),
    )
    with closing(sqlite3.connect(store)) as connection, connection:
        for table in ("leases", "sessions"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our names
        for table in ("firings", "runs", "promotions"):
            connection.execute(f"UPDATE {table} SET owner = NULL, lease_until = NULL WHERE owner IS NOT NULL")  # noqa: S608 - our names
        old, new = (orjson.dumps(f"{place}/manifests/").decode()[1:-1] for place in (manifest.data, data))
        if old != new:
            for table, column, open_ in (("firings", "action", _OPEN_FIRINGS), ("runs", "manifest", _OPEN_RUNS)):
                connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?) WHERE {open_}", (old, new))  # noqa: S608 - our names
        connection.execute(
            "INSERT INTO audit (at, actor, verified, action, subject, after, reason) VALUES (?, ?, 0, ?, ?, ?, '')",
            deed,
        )


async def _restore_bus(data: Path, manifest: Manifest) -> None:
    assert manifest.log is not None
    work = _work(data)
    head = orjson.loads(await anyio.Path(work / HEAD).read_bytes())
    async with embedded(data / "bus") as server, reach(server.url, server.token.get_secret_value()) as connection:
        state = (await load(connection.client, manifest.log.stream, head, _pieces(work / STREAM)))["state"]
    if state["last_seq"] < manifest.log.last:
        raise Transient(f"the log ends at {state['last_seq']} after the restore, not at {manifest.log.last}")


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(256 * 1024):
            yield piece


def _clear(data: Path) -> None:
    for one in data.iterdir():
        if one.name not in {LOCK, ADDRESS}:
            remove(one)
