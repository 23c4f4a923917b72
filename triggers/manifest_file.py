"""The manifest of a firing: a file with one line for each of its events, for windows that are too large for arguments.

A line is a JSON object: `id`, `source`, `subject`, `time`, `key` (of the object that it tells of, where it tells of
one) and `data` (or `data_base64`). The file is there, whole, before the action that names it is carried out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote_plus

import anyio.to_thread
import orjson
from sqlalchemy import Connection

from retrain.errors import Permanent, Transient
from retrain.events import Event, JsonValue
from retrain.store import Store, events
from triggers.port import Firing

CHUNK = 500
"""Events in memory at once."""


async def write_manifest(store: Store, data: Path | None, firing: Firing) -> None:
    """Write the file that the firing names; nothing happens if it is there.

    Raises:
        Permanent: it names no file below the data directory, or one of its events is not in the store any more.
        Transient: the disk or the store takes nothing now.
    """
    if firing.manifest is None:
        return
    path = place_manifest(data, firing.manifest)
    if await anyio.to_thread.run_sync(path.exists):
        return
    part = path.with_name(f".{path.name}.{firing.id}.part")
    try:
        await anyio.to_thread.run_sync(_begin, part)
        for start in range(0, len(firing.events), CHUNK):
            keys = firing.events[start : start + CHUNK]
            lines = await store.read(partial(_lines_of, keys))
            await anyio.to_thread.run_sync(_append, part, lines)
        await anyio.to_thread.run_sync(_finish, part, path)
    except OSError as error:
        raise Transient(f"the manifest cannot be written: {error.strerror or error}") from error


def place_manifest(data: Path | None, name: str) -> Path:
    """Where a manifest lies: below the data directory, whatever its name says.

    Raises:
        Permanent: it would lie elsewhere, or the platform has no data directory.
    """
    if data is None:
        raise Permanent("the action names a manifest, but this platform has no data directory")
    root = Path(os.path.realpath(data))
    if "\0" in name:
        raise Permanent("the manifest's path holds a NUL character")
    path = Path(os.path.realpath(root / name))
    if not path.is_relative_to(root) or path == root:
        raise Permanent(f"the manifest {name!r} lies outside of the platform's data directory")
    return path


def line_of(event: Event) -> bytes:
    """One event as a line of a manifest."""
    body = event.to_dict()
    line: dict[str, JsonValue] = {"id": event.id, "source": event.source, "subject": event.subject}
    line["time"] = body.get("time")
    line["key"] = object_key(event.data)
    line |= {name: body[name] for name in ("data", "data_base64") if name in body}
    return orjson.dumps(line) + b"\n"


def object_key(data: JsonValue | bytes) -> str | None:
    """The key of the object that an event of S3's shape tells of, decoded; None for any other event."""
    if not isinstance(data, Mapping):
        return None
    for records in _records(cast("Mapping[str, Any]", data)):
        if isinstance(records, Sequence) and not isinstance(records, str | bytes) and records:
            first: Any = records[0]
            for name in ("s3", "object", "key"):
                first = cast("Mapping[str, Any]", first).get(name) if isinstance(first, Mapping) else None
            if isinstance(first, str):
                return unquote_plus(first)
    return None


def _records(data: Mapping[str, Any]) -> Iterator[Any]:
    yield data.get("notification")
    yield data.get("Records")
    body = data.get("body")
    if isinstance(body, Mapping):
        yield cast("Mapping[str, Any]", body).get("Records")


def _lines_of(keys: Sequence[str], connection: Connection) -> list[bytes]:
    found = events.get_many(connection, keys)
    missing = [key for key in keys if key not in found]
    if missing:
        raise Permanent(f"event {missing[0]} of the manifest is not in the store any more")
    return [line_of(found[key]) for key in keys]


def _begin(part: Path) -> None:
    part.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    part.write_bytes(b"")


def _append(part: Path, lines: Iterable[bytes]) -> None:
    with part.open("ab") as file:
        file.writelines(lines)


def _finish(part: Path, path: Path) -> None:
    # On disk before it has its name: whoever sees the name sees the whole file, also after a power cut.
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.rename(path)
