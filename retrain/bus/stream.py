"""The JetStream stream behind the bus: made, kept as the settings say, and asked for its bounds."""

from __future__ import annotations

from typing import Any

import structlog

from retrain.bus.connection import ApiError, Connection
from retrain.bus.port import Bounds, Usage
from retrain.bus.settings import BusSettings
from retrain.bus.subjects import ALL

log = structlog.get_logger()

STREAM_NOT_FOUND = 10059
SECOND_NS = 1_000_000_000


async def ensure_stream(connection: Connection, settings: BusSettings) -> None:
    """Make the stream, or bring what the settings say into the one that is there. What they do not name stays.

    Raises:
        BusError: JetStream is not there, or refused.
    """
    wanted = _wanted(settings)
    if groups(connection, settings):
        wanted["allow_atomic"] = True
    try:
        info = await _ask(connection, "INFO", settings, {})
    except ApiError as error:
        if error.code != STREAM_NOT_FOUND:
            raise
        await _ask(connection, "CREATE", settings, {**wanted, "num_replicas": settings.replicas})
        log.info("bus.stream_created", stream=settings.stream)
        return
    config: dict[str, Any] = info["config"]
    changed = {name: value for name, value in wanted.items() if config.get(name) != value}
    if changed:
        await _ask(connection, "UPDATE", settings, {**config, **changed})
        log.info("bus.stream_updated", stream=settings.stream, changed=sorted(changed))


def groups(connection: Connection, settings: BusSettings) -> bool:
    """Whether events go in atomic batches: each acknowledgement waits for the disk, and the server knows how."""
    version = connection.client.connected_server_version
    return settings.sync == "always" and (version.major, version.minor) >= (2, 12)


async def bounds(connection: Connection, settings: BusSettings) -> Bounds:
    """Where the stream begins and ends."""
    state: dict[str, int] = (await _ask(connection, "INFO", settings, {}))["state"]
    last = state["last_seq"]
    return Bounds(state["first_seq"] if state["messages"] else last + 1, last)


async def usage(connection: Connection, settings: BusSettings) -> Usage:
    """How much the stream holds, and which server keeps it."""
    state: dict[str, int] = (await _ask(connection, "INFO", settings, {}))["state"]
    version = connection.client.connected_server_version
    server = f"NATS {version.major}.{version.minor}.{version.patch}"
    return Usage(state["messages"], state["bytes"], server)


async def _ask(connection: Connection, verb: str, settings: BusSettings, body: dict[str, Any]) -> dict[str, Any]:
    subject = f"$JS.API.STREAM.{verb}.{settings.stream}"
    return await connection.request(subject, body, settings.read_timeout_s)


def _wanted(settings: BusSettings) -> dict[str, Any]:
    return {
        "name": settings.stream,
        "subjects": [ALL],
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_msgs": -1,
        "max_age": int(settings.max_age_s * SECOND_NS),
        "duplicate_window": int(settings.duplicate_window_s * SECOND_NS),
        "allow_direct": True,
    }
