"""One connection of a source to a NATS server of somebody else's. Imported when a source connects.

The client's own reconnecting is off: it hides that messages were missed. Whoever reads here is told that the connection
broke, says so in its state, and dials again.
"""

from __future__ import annotations

import random
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import anyio
from nats.aio.client import Client, RawCredentials
from nats.aio.msg import Msg
from nats.errors import AuthorizationError, SecureConnWantedError, SlowConsumerError
from nats.errors import Error as NatsError

from eventsources.fields import BasicAuth
from eventsources.port import SourceContext
from eventsources.queues.nats import PORT, SCHEMES, Nats, NatsAuth, urls_of
from eventsources.queues.nats_message import NatsMessage
from eventsources.tls import client_context
from retrain.errors import ConfigError, Transient

DIAL_S = 5
CLOSING_S = 1.0
PENDING_MESSAGES, PENDING_BYTES = 65_536, 64 * 1024 * 1024
"""What the client holds for one subscription; what comes when it is full, it drops, and says so."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect and as whom."""

    urls: tuple[str, ...] = field(repr=False)
    login: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    tls: ssl.SSLContext | None = None

    @property
    def where(self) -> str:
        """The servers, without their logins."""
        return ", ".join(f"{url.hostname}:{url.port or PORT}" for url in map(urlsplit, self.urls))


class SecureClient(Client):
    """A client that says who it is over TLS only. The library goes on in plain text where the server offers no TLS."""

    def _connect_command(self) -> bytes:
        if not self._server_info.get("tls_required"):
            raise SecureConnWantedError
        return super()._connect_command()


class Link:
    """An open connection. `dropped` counts messages that the client had no room for."""

    def __init__(self, server: Server) -> None:
        self.client = Client() if server.tls is None else SecureClient()
        self.where = server.where
        self.dropped = 0
        self._server = server
        self._broken = anyio.Event()
        self._said = "the connection broke"

    async def open(self, url: str) -> None:
        options = dict(self._server.login)
        if self._server.tls is not None:
            options |= {"tls": self._server.tls, "tls_hostname": urlsplit(url).hostname}
        await self.client.connect(
            url,
            name="retrain",
            error_cb=self._heard,
            disconnected_cb=self._break,
            closed_cb=self._break,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=DIAL_S,
            ping_interval=10,
            **options,
        )

    async def aclose(self) -> None:
        # A client that got no further than half of a handshake may never end its closing.
        with anyio.move_on_after(CLOSING_S, shield=True), suppress(NatsError, OSError, AssertionError):
            await self.client.close()

    async def broken(self) -> None:
        """Returns never.

        Raises:
            Transient: as soon as the connection is gone.
        """
        await self._broken.wait()
        raise Transient(f"nats {self.where}: {self._said}")

    async def _break(self) -> None:
        self._broken.set()

    async def _heard(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            self.dropped += 1
            return
        self._said = reason(error)
        if "permissions violation" in self._said.lower():
            self._broken.set()  # the subscription is none, and no message would ever come


class Box:
    """Messages of one subscription, to be taken in batches. Full, it holds the client back."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._messages: deque[NatsMessage] = deque()
        self._came = anyio.Event()
        self._room = anyio.Event()

    def __len__(self) -> int:
        return len(self._messages)

    async def put(self, message: Msg) -> None:
        while len(self._messages) >= self._most:
            self._room = anyio.Event()
            await self._room.wait()
        headers = message.headers or {}
        self._messages.append(NatsMessage(message.subject, message.reply, message.data, dict(headers)))
        self._came.set()

    async def take(self, most: int) -> list[NatsMessage]:
        """What has come, in its order; waits for the first one."""
        await self._came.wait()
        taken = [self._messages.popleft() for _ in range(min(most, len(self._messages)))]
        if not self._messages:
            self._came = anyio.Event()
        self._room.set()
        return taken

    def empty(self) -> list[NatsMessage]:
        """All that is left, when nobody takes any more."""
        left = list(self._messages)
        self._messages.clear()
        return left


@asynccontextmanager
async def dial(server: Server) -> AsyncGenerator[Link]:
    """A connection to one of the servers, whichever answers.

    Raises:
        Transient: none answers, the login is refused, or TLS is wanted and not offered. While it is open: it broke.
    """
    last: Exception = OSError("no server")
    for url in random.sample(server.urls, len(server.urls)):
        link = Link(server)
        try:
            await link.open(url)
        except (NatsError, OSError, TimeoutError) as error:
            await link.aclose()
            last = error
        except BaseException:
            await link.aclose()
            raise
        else:
            try:
                yield link
            finally:
                await link.aclose()
            return
    raise Transient(f"nats {server.where}: {reason(last)}") from last


async def while_open(link: Link, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` until it ends or the connection breaks.

    Raises:
        Transient: the connection broke, or the server refuses something.
    """
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(link.broken)
            await work()
            tasks.cancel_scope.cancel()
    except* (NatsError, OSError, TimeoutError) as errors:
        first = next(iter(_leaves(errors)))
        raise Transient(f"nats {link.where}: {reason(first)}") from first


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    return [
        leaf for one in group.exceptions for leaf in (_leaves(one) if isinstance(one, BaseExceptionGroup) else [one])
    ]


def server_of(url: str, auth: NatsAuth | None, tls: Any, context: SourceContext) -> Server:
    """Where to connect, with its secrets read now.

    Raises:
        NotFound: a secret is not there yet.
        ConfigError: what a secret holds is of no use.
    """
    urls = urls_of(url)
    for one in map(urlsplit, urls):
        context.status.conceal(one.password or one.username or "")
    secured = client_context(tls, context)
    if secured is None and any(SCHEMES[urlsplit(one).scheme] for one in urls):
        secured = ssl.create_default_context()
    return Server(urls, _login(auth or NatsAuth(), context), secured)


def server(spec: Nats, context: SourceContext) -> Server:
    """The same for a source on core NATS."""
    return server_of(spec.url, spec.auth, spec.tls, context)


def _login(auth: NatsAuth, context: SourceContext) -> dict[str, Any]:
    if auth.credential is not None:
        text = context.read(auth.credential)
        if "BEGIN NATS USER JWT" not in text:
            raise ConfigError("auth.credential is no credentials file of NATS")
        return {"user_credentials": RawCredentials(text)}
    if auth.nkey is not None:
        return {"nkeys_seed_str": context.read(auth.nkey).strip()}
    if auth.token is not None:
        return {"token": context.read(auth.token)}
    basic = auth.basic or BasicAuth()
    return {"user": context.read(basic.username), "password": context.read(basic.password)} if auth.basic else {}


def reason(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, AuthorizationError) or "authorization violation" in str(error).lower():
        return "the server refused the login"
    if isinstance(error, SecureConnWantedError):
        return "TLS is wanted, and the server offers none"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.verify_message}"
    if isinstance(error, ConnectionRefusedError):
        return "nobody answers"
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__
