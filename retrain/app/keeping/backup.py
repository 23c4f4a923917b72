"""A back-up of a platform that runs, or of its data directory while it does not.

The store comes first and the bus after it. So every event that the store has dealt with, and every one that was
acknowledged before the back-up began, is in the bus's part; what came between the two moments is there as well and is
decided on after the restore. What the store was about to publish is published once more then, and known again.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tarfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import orjson

from retrain import __version__
from retrain.app.holding import hold, is_held
from retrain.app.keeping.backup_files import (
    FORMAT,
    HEAD,
    RECORDS,
    STORE,
    STREAM,
    File,
    Log,
    Manifest,
    Sink,
    remove,
    written,
)
from retrain.bus import embedded
from retrain.bus.embedded import config_file
from retrain.bus.snapshot import Head, reach, save, stream_of
from retrain.errors import ConfigError, Refused, Transient

PARTS = ("artifacts", "volumes", "manifests", "runs")
"""Directories of the data directory that may be part of a back-up. `manifests` is always."""
USUAL = ("artifacts", "volumes", "manifests")
OUTSIDE = (
    "the bus is a NATS server of its own, which Retrain does not back up: take the rest with --store-only, and the "
    "stream after it (in this order) with `nats stream backup {stream} DIR`"
)
_COUNTED = ("events", "firings", "runs", "promotions")
_TEMPORARY = {"artifacts": frozenset({"tmp", "records.db", "records.db-wal", "records.db-shm"})}

Snapshot = Callable[[Callable[[bytes], object]], Awaitable[Head]]
"""What hands out the bytes of the bus's stream."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is backed up. `snapshot` None: the bus is left out. `parts`: some of `PARTS`."""

    data: Path
    snapshot: Snapshot | None
    parts: tuple[str, ...] = USUAL


async def take(wanted: Wanted, sink: Sink, work: Path) -> Manifest:
    """Make a back-up. `work`: a directory for what is under way, made here and gone at the end.

    Raises:
        ConfigError: there is no store.
        Transient: the store or the bus cannot be read now.
    """
    try:
        await anyio.to_thread.run_sync(partial(work.mkdir, mode=0o700))
        created = datetime.now(UTC).isoformat()
        store, facts = await anyio.to_thread.run_sync(_store, wanted.data / STORE, sink, work / STORE)
        files = [store]
        log = None
        if wanted.snapshot is not None:
            log, more = await _bus(wanted.snapshot, sink, work, facts["read"])
            files += more
        gone = 0
        for part in wanted.parts:
            more, missed = await anyio.to_thread.run_sync(partial(_part, wanted.data, part, sink, work))
            files, gone = files + more, gone + missed
        manifest = Manifest(
            format=FORMAT,
            created=created,
            retrain=__version__,
            data=str(wanted.data),
            log=log,
            parts=wanted.parts,
            files=tuple(files),
            gone=gone,
            **facts,
        )
        await anyio.to_thread.run_sync(sink.finish, written(manifest))
        return manifest
    finally:
        remove(work)


def _store(path: Path, sink: Sink, copy: Path) -> tuple[File, dict[str, Any]]:
    """One moment of the store, while others write to it; what the manifest says of it."""
    copy_database(path, copy)
    with closing(sqlite3.connect(copy)) as connection:
        facts = _facts_of(connection)
    return sink.take(STORE, copy), facts


def _facts_of(connection: sqlite3.Connection) -> dict[str, Any]:
    read = connection.execute("SELECT position FROM cursors WHERE name = 'sensors'").fetchone()
    counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in _COUNTED}  # noqa: S608 - our names
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return {"schema_revision": revision, "read": read[0] if read else 0, "counts": counts}


def copy_database(path: Path, to: Path) -> None:
    """One moment of an SQLite database as a new file, without the room of what was deleted. Readers and writers of it
    go on meanwhile.

    Raises:
        Transient: it cannot be read now.
    """
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None)) as connection:
            # Counts for the copy: an older store becomes one whose room can be given back.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("VACUUM INTO ?", (str(to),))
        to.chmod(0o600)
    except sqlite3.Error as error:
        raise Transient(f"{path}: cannot be copied now: {error}") from error


async def _bus(snapshot: Snapshot, sink: Sink, work: Path, read: int) -> tuple[Log, list[File]]:
    stream, told = work / "stream", work / "head"
    with stream.open("xb") as file:
        head = await snapshot(file.write)
    told.write_bytes(orjson.dumps(head))
    state = head["state"]
    first, last = (state["first_seq"], state["last_seq"])
    if last < read:
        raise Transient(f"the bus says that its log ends at {last}, and the store has read up to {read}: try again")
    files = [
        await anyio.to_thread.run_sync(sink.take, STREAM, stream),
        await anyio.to_thread.run_sync(sink.take, HEAD, told),
    ]
    return Log(stream=head["config"]["name"], first=first, last=last), files


def _part(data: Path, part: str, sink: Sink, work: Path) -> tuple[list[File], int]:
    """One directory; and how many files of it went while it was read."""
    home = data / part
    if not home.is_dir():
        return [], 0
    files: list[File] = []
    if part == "artifacts" and (home / RECORDS).is_file():
        # The table before the contents: what it names is there then, and what comes later is too much and does no harm.
        copy_database(home / RECORDS, work / RECORDS)
        files.append(sink.take(RECORDS, work / RECORDS))
    packed, left_out, gone = work / f"{part}.tar", _TEMPORARY.get(part, frozenset[str]()), 0
    with tarfile.open(packed, "w") as tar:
        for folder, folders, names in os.walk(home):
            if folder == str(home):
                folders[:] = sorted(set(folders) - left_out)
                names = sorted(set(names) - left_out)
            for name in [*names, *folders]:
                path = Path(folder) / name
                try:
                    tar.add(path, str(path.relative_to(data)), recursive=False)
                except FileNotFoundError:
                    gone += 1
    return [*files, sink.take(packed.name, packed)], gone


# --- where the bus is ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def snapshot_of(data: Path) -> AsyncGenerator[Snapshot]:
    """The snapshot of the embedded bus of a data directory, whether a platform runs on it or not.

    Raises:
        Refused: the platform there uses a bus of its own.
        BusError: the bus cannot be reached.
    """
    if not (data / "bus" / "jetstream").is_dir():
        raise Refused(f"{data}: has no bus; " + OUTSIDE.format(stream="RETRAIN"))
    if is_held(data):
        url, token = address_of_bus(data / "bus")
        async with reach(url, token) as connection:
            yield partial(save, connection, await stream_of(connection))
        return
    with hold(data):
        async with embedded(data / "bus") as server, reach(server.url, server.token.get_secret_value()) as connection:
            yield partial(save, connection, await stream_of(connection))


def address_of_bus(folder: Path) -> tuple[str, str]:
    """The URL and the token of the embedded server that runs on a directory.

    Raises:
        ConfigError: its configuration cannot be read.
    """
    try:
        text = config_file(folder).read_text()
        listen = re.search(r'^listen: "([^"]+)"$', text, re.MULTILINE)
        token = re.search(r'^authorization \{ token: "([^"]+)" \}$', text, re.MULTILINE)
        if listen is None or token is None:
            raise ConfigError(f"{config_file(folder)}: is not as Retrain writes it")
    except OSError as error:
        raise ConfigError(f"{config_file(folder)}: cannot be read: {error.strerror}") from error
    return f"nats://{listen[1]}", token[1]
