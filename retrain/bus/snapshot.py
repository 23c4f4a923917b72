"""The whole stream as one stream of bytes, and back: JetStream's own snapshots.

The server says what the stream is (its head), then sends its files in chunks, each of which waits for our word. What
was acknowledged before the head was said is in it; events go on flowing meanwhile. The bytes are S2-compressed tar,
which only a NATS server need understand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError

from retrain.bus.connection import ApiError, Connection
from retrain.bus.subjects import ALL
from retrain.errors import BusError

CHUNK = 256 * 1024
PATIENCE_S = 60.0
"""Seconds without a sign of life from the server after which it is given up."""

Head = dict[str, Any]
"""`config` and `state` of the stream, as JetStream says them."""


async def save(connection: Connection, stream: str, write: Callable[[bytes], object]) -> Head:
    """Hand the stream's bytes to `write`; its head.

    Raises:
        BusError: it broke off, and what was written is worth nothing.
    """
    client = connection.client
    inbox = client.new_inbox()
    chunks = await client.subscribe(inbox)
    try:
        body = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": CHUNK}
        head = await connection.request(f"$JS.API.STREAM.SNAPSHOT.{stream}", body, PATIENCE_S)
        while chunk := await _next(chunks, connection):
            await asyncio.to_thread(write, chunk.data)
            if chunk.reply:  # not every one wants a word
                await client.publish(chunk.reply)
        return {"config": head["config"], "state": head["state"]}
    except (NatsError, OSError) as error:
        raise BusError(f"the snapshot of {stream} broke off: {error}") from error
    finally:
        if not client.is_closed:
            await chunks.unsubscribe()


async def _next(chunks: Any, connection: Connection) -> Msg | None:
    """The next chunk; None at the end."""
    waiting = asyncio.create_task(chunks.next_msg(timeout=PATIENCE_S))
    try:
        with connection.watch(waiting.cancel):
            message: Msg = await waiting
    except NatsTimeoutError as error:
        raise BusError(f"no more of the snapshot came within {PATIENCE_S:g} s") from error
    except asyncio.CancelledError:
        waiting.cancel()
        if connection.lost:
            raise BusError("the connection broke in the middle of the snapshot") from None
        raise
    if message.data:
        return message
    status = (message.headers or {}).get("Status", "")
    if status not in {"", "204"}:
        raise BusError(f"the server ended the snapshot: {status} {(message.headers or {}).get('Description', '')}")
    return None


async def load(client: Client, stream: str, head: Head, chunks: Iterable[bytes]) -> Head:
    """Make the stream again from what `save` has written, where there is none of that name; its head.

    Raises:
        BusError: the server does not take it.
    """
    subject = f"$JS.API.STREAM.RESTORE.{stream}"
    try:
        begun = await _ask(client, subject, orjson.dumps({"config": head["config"], "state": head["state"]}))
        to: str = begun["deliver_subject"]
        for chunk in chunks:
            if (await client.request(to, chunk, PATIENCE_S)).data:
                break  # an error: the last answer says it whole
        return await _ask(client, to, b"")
    except (NatsError, OSError, TimeoutError) as error:
        raise BusError(f"the stream {stream} cannot be restored: {error or type(error).__name__}") from error


@asynccontextmanager
async def reach(url: str, token: str) -> AsyncGenerator[Connection]:
    """A connection to a server whose streams are looked at and not touched.

    Raises:
        BusError: it cannot be reached.
    """
    client = Client()
    connection = Connection(client)

    async def lost() -> None:
        connection.mark_lost()

    try:
        await client.connect([url], name="retrain-backup", token=token, allow_reconnect=False, closed_cb=lost)
    except (NatsError, OSError, TimeoutError) as error:
        raise BusError(f"{url}: cannot be reached: {error or type(error).__name__}") from error
    try:
        yield connection
    finally:
        await client.close()


async def stream_of(connection: Connection) -> str:
    """The name of the stream that holds our events.

    Raises:
        BusError: there is none.
    """
    answer = await connection.request("$JS.API.STREAM.NAMES", {"subject": ALL}, PATIENCE_S)
    names: list[str] = answer.get("streams") or []
    if not names:
        raise BusError("the server has no stream of events")
    return names[0]


async def _ask(client: Client, subject: str, body: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = orjson.loads((await client.request(subject, body, PATIENCE_S)).data)
    if "error" in answer:
        raise ApiError(answer["error"])
    return answer
