"""At the start: which bus the cluster's EventBus means. Asked once; a running platform stays on its bus.

While the cluster is away a platform goes on with the bus that it had: its own at once; another one is waited for, since
what is in it must not be passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import orjson
import structlog

from retrain.app.operator.buses import Bus, InUse, Key, chosen, settings_of
from retrain.app.operator.watched import ARGO, Object
from retrain.bus.settings import BusSettings
from retrain.errors import ConfigError, NotFound, RetrainError
from retrain.kube import Cluster, Denied, path_of

log = structlog.get_logger()

FILE = "bus-of-the-cluster.json"
"""In the data directory: the bus that was used last, without its credentials."""
PEM = "bus-of-the-cluster"
"""A folder there: its certificates and key."""
PATIENCE_S = 10.0
AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The settings to open the bus with, and what is known of it."""

    settings: BusSettings
    in_use: InUse


async def choose(server: Cluster, namespace: str, data: Path, settings: BusSettings) -> Choice:
    """The bus to run on. `namespace`: the one that is watched, "" for all.

    Raises:
        ConfigError: the credentials of the bus that is named cannot be used.
    """
    if settings.url is not None:
        return Choice(settings, InUse(Bus(settings.url), by_setting=True))
    known = await anyio.to_thread.run_sync(_known, data / FILE)
    while True:
        try:
            with anyio.fail_after(PATIENCE_S):
                made = await _asked(server, namespace, data / PEM, settings)
            await anyio.to_thread.run_sync(_remember, data / FILE, made.in_use.bus)
            return made
        except (TimeoutError, RetrainError) as error:
            if isinstance(error, ConfigError) and not isinstance(error, Denied):
                raise
            if known.own:
                log.warning("bus.cluster_not_asked", reason=str(error), used="the platform's own")
                return Choice(settings, InUse())
            log.warning("bus.waiting_for_cluster", reason=str(error) or "no answer")
        await anyio.sleep(AGAIN_S)


async def _asked(server: Cluster, namespace: str, folder: Path, settings: BusSettings) -> Choice:
    found = await _buses(server, namespace)
    bus = chosen(found)
    if bus.own:
        return Choice(settings, InUse(bus))
    home = _home(found, bus)
    access = await _secret(server, home, bus.access) if bus.access else None
    named = {"ca_file": bus.ca, "cert_file": bus.cert, "key_file": bus.private}
    texts = {name: await _secret(server, home, key) for name, key in named.items() if key is not None}
    files = await anyio.to_thread.run_sync(_keep, folder, texts)
    return Choice(settings_of(bus, access, files, settings), InUse(bus))


async def _buses(server: Cluster, namespace: str) -> list[Object]:
    path = path_of(ARGO, "v1alpha1", "eventbus", namespace)
    try:
        return [one async for page, _ in server.pages(path, {}) for one in page]
    except NotFound:
        return []  # the CRD is not there yet


def _home(found: list[Object], bus: Bus) -> str:
    """The namespace of the EventBus that names a bus: its Secret is there, too."""
    return next(str(one["metadata"]["namespace"]) for one in found if chosen([one]) == bus)


async def _secret(server: Cluster, namespace: str, wanted: Key) -> str:
    from base64 import b64decode

    found = await server.get(path_of("", "v1", "secrets", namespace, wanted.secret))
    data: Mapping[str, Any] = found.get("data") or {}
    if wanted.key not in data:
        message = f"the secret {wanted.secret!r} in {namespace} has no key {wanted.key!r}, which the EventBus names"
        raise NotFound(message)
    return b64decode(str(data[wanted.key])).decode()


def _keep(folder: Path, texts: Mapping[str, str]) -> dict[str, Path]:
    """Write what connections read as files, for this user alone; the paths."""
    if texts:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = {name: folder / f"{name}.pem" for name in texts}
    for name, file in files.items():
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(texts[name])
    return files


def _known(file: Path) -> Bus:
    try:
        said: dict[str, Any] = orjson.loads(file.read_bytes())
        keys = {name: Key(**said[name]) for name in ("access", "ca", "cert", "private") if said.get(name)}
        return Bus(said["url"], **keys, insecure=bool(said.get("insecure")))
    except (OSError, orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return Bus()


def _remember(file: Path, bus: Bus) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".new")
    beside.touch(mode=0o600)  # an address may hold credentials
    beside.write_bytes(orjson.dumps(asdict(bus)))
    beside.replace(file)
