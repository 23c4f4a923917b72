"""TLS before a server that has none, with a certificate of an authority of the test's own."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

from tests.servers.certificates import Authority

GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


@dataclass(frozen=True)
class Front:
    """Where it listens, and the authority (PEM) that clients have to trust."""

    url: str
    ca: str


@asynccontextmanager
async def tls_front(port: int, folder: Path) -> AsyncIterator[Front]:
    """A front on loopback for as long as the block runs."""
    authority = Authority()
    cert, key = authority.sign().write(folder, "front")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port_here = plain.listeners[0].extra(SocketAttribute.local_port)
    listener = TLSListener(plain, context, standard_compatible=False)

    async def serve(client: ByteStream) -> None:
        async with client, await anyio.connect_tcp("127.0.0.1", port) as server, anyio.create_task_group() as group:
            group.start_soon(_pass, client, server, group.cancel_scope)
            await _pass(server, client, group.cancel_scope)

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield Front(f"https://127.0.0.1:{port_here}", authority.cert)
        group.cancel_scope.cancel()


async def _pass(source: ByteStream, sink: ByteStream, scope: anyio.CancelScope) -> None:
    try:
        while True:
            await sink.send(await source.receive())
    except GONE:
        scope.cancel()
