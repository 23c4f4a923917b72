"""Files that a running platform makes of itself and hands out: back-ups and support bundles."""

from __future__ import annotations

import os
import shutil
import time
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

import anyio.to_thread
import orjson

from retrain.app.keeping import bundle as support
from retrain.app.keeping.backup import OUTSIDE, Wanted, take
from retrain.app.keeping.backup_files import opened, remove
from retrain.app.keeping.checkup import checkup
from retrain.app.keeping.health import health
from retrain.app.services import Services
from retrain.bus import NatsBus
from retrain.errors import Refused
from retrain.identity import Principal
from retrain.store import audit
from retrain.store.audit import Deed

OUTGOING = "outgoing"
"""In the data directory: what is being made and sent."""
STALE_S = 86_400.0
"""Seconds after which what lies there is left over from a process that died."""

_busy: set[Path] = set()
"""Data directories of which a back-up is being made in this process."""


async def backup(services: Services, who: Principal, parts: tuple[str, ...], *, store_only: bool, packed: bool) -> Path:
    """A back-up as one tar; whoever sends it deletes it. That `who` has it is in the audit.

    Raises:
        Refused: another one is being made, there is no room for it, or the bus is not ours to back up.
        Transient: the store or the bus cannot be read now.
    """
    snapshot = None if store_only else _snapshot(services)
    if services.data in _busy:
        raise Refused("another back-up is being made; try again when it is done")
    _busy.add(services.data)
    try:
        target = await anyio.to_thread.run_sync(_place, services, ".tar.gz" if packed else ".tar")
        await _note(services, who, "backup.create", {"parts": list(parts), "storeOnly": store_only})
        with opened(target) as sink:
            await take(Wanted(services.data, snapshot, parts), sink, target.with_suffix(".work"))
        return target
    finally:
        _busy.discard(services.data)


def _snapshot(services: Services) -> Any:
    bus = services.settings.bus
    if bus.url is not None or not isinstance(services.bus, NatsBus):
        raise Refused(OUTSIDE.format(stream=bus.stream))
    return services.bus.snapshot


def _place(services: Services, ending: str) -> Path:
    """A name for the file, where there is room for it."""
    folder = services.data / OUTGOING
    folder.mkdir(mode=0o700, exist_ok=True)
    for left in folder.iterdir():
        if time.time() - left.stat().st_mtime > STALE_S:
            remove(left)
    # The store is there twice for a moment, as a copy and in the tar.
    needed = 2 * services.store.path.stat().st_size + _size(services.data / "bus")
    if (free := shutil.disk_usage(folder).free) < needed:
        raise Refused(
            f"{folder}: has {free >> 20} MiB free, a back-up may need {needed >> 20}: run it where there is room"
        )
    return folder / f"backup-{token_hex(8)}{ending}"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def bundle(services: Services, who: Principal, *, metrics: bytes, payloads: bool) -> bytes:
    """A support bundle as tar.gz. `metrics`: the page of metrics. That `who` has it is in the audit.

    Raises:
        Refused: a secret would be in it.
        Transient: the store cannot be read now.
    """
    checks = [one.to_json() for one in await checkup(services)]
    told = {
        "metrics.txt": metrics,
        "checks.json": orjson.dumps(checks, option=orjson.OPT_INDENT_2),
        "health.json": orjson.dumps(await health(services), option=orjson.OPT_INDENT_2),
        "sources.json": orjson.dumps(_sources(services), option=orjson.OPT_INDENT_2),
    }
    sources = support.Sources(
        services.settings, services.manifests(), services.data, dict(os.environ), told, payloads=payloads
    )
    await _note(services, who, "support.bundle", {"payloads": payloads})
    files = await services.store.read(partial(support.gather, sources=sources))
    return await anyio.to_thread.run_sync(support.packed, files)


async def _note(services: Services, who: Principal, action: str, what: dict[str, Any]) -> None:
    deed = Deed(services.clock.now(), who.name, who.verified, action, "platform", after=what, origin=who.origin)
    await services.store.write(lambda c: audit.record(c, deed))


def _sources(services: Services) -> list[dict[str, Any]]:
    """Sources without what their errors say: that may quote payloads."""
    return [{name: one for name, one in row.items() if name not in {"lastError", "note"}} for row in services.sources()]
