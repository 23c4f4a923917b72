"""A connection to NATS that is made again for ever.

nats-py can reconnect by itself, but gives up for good on some errors, waits a fixed time, and sends what it buffered
while it was away. So each of its clients lives for one connection here, and this module owns what comes after.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import random
from collections.abc import Awaitable, Callable, Generator
from typing import Any
from urllib.parse import urlsplit

import orjson
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from retrain.bus.secured import SecuredClient, context_of, wants_tls
from retrain.bus.settings import BusSettings
from retrain.errors import BusError, ConfigError

log = structlog.get_logger()

LOOK_S = 0.2
"""How often to look whether the client has closed without saying so."""
FIRST_DELAY_S = 0.05
MAX_DELAY_S = 5.0
DIAL_S = 3.0
CLOSE_S = 1.0
PING_S = 10
"""A server that stops answering is noticed after three of these."""

PENDING = 256 * 1024 * 1024
"""More than the publisher ever lets wait, so that writing to a client never blocks."""


class Connection:
    """One client while it is connected. After `lost` nothing will come from it any more."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.lost = False
        self._watchers: set[Callable[[], object]] = set()

    @property
    def max_payload(self) -> int:
        return self.client.max_payload

    @contextlib.contextmanager
    def watch(self, on_lost: Callable[[], object]) -> Generator[None]:
        """Have `on_lost` called once if the connection breaks inside the block (at once if it is broken)."""
        self._watchers.add(on_lost)
        if self.lost:
            on_lost()
        try:
            yield
        finally:
            self._watchers.discard(on_lost)

    def mark_lost(self) -> None:
        if not self.lost:
            self.lost = True
            for on_lost in tuple(self._watchers):
                on_lost()

    async def request(self, subject: str, body: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """One question to JetStream's API and its answer.

        Raises:
            ApiError: JetStream said no.
            BusError: no answer.
        """
        asking = asyncio.create_task(self.client.request(subject, orjson.dumps(body) if body else b"", timeout_s))
        try:
            # The client alone would wait out its time when the connection breaks.
            with self.watch(asking.cancel):
                reply = await asking
            answer: dict[str, Any] = orjson.loads(reply.data)
        except asyncio.CancelledError:
            asking.cancel()
            task = asyncio.current_task()
            if self.lost and not (task and task.cancelling()):
                raise BusError("the connection broke before the server answered") from None
            raise
        except NoRespondersError as error:
            raise BusError("the NATS server has no JetStream, or it is not ready yet") from error
        except (TimeoutError, NatsError, OSError, ValueError) as error:
            raise BusError(f"no answer on {subject}: {error or type(error).__name__}") from error
        if "error" in answer:
            raise ApiError(answer["error"])
        return answer


class ApiError(BusError):
    """JetStream answered with an error; `code` is its `err_code`."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"JetStream: {error.get('description', 'error')} ({error.get('err_code', '?')})")
        self.code = int(error.get("err_code", 0))


class Link:
    """Keeps one connection up. `prepare` is awaited on each new one before it counts as up."""

    def __init__(self, url: str, settings: BusSettings, prepare: Callable[[Connection], Awaitable[None]]) -> None:
        self._servers = _servers(url)
        self._options = _credentials(settings)
        self._settings = settings
        self._secured = wants_tls(self._servers, settings)
        if self._secured:
            context_of(settings)  # what can never work is said at once
        self._prepare = prepare
        self._current: Connection | None = None
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.waiting_for: str | None = f"{self.where}: not connected yet"

    @property
    def where(self) -> str:
        """The servers, without their credentials."""
        return ", ".join(_redacted(server) for server in self._servers)

    @property
    def current(self) -> Connection | None:
        """The connection that is up and prepared, or None."""
        return self._current

    @property
    def closed(self) -> bool:
        return self._closed

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="retrain.bus.link")

    async def connection(self) -> Connection:
        """The connection, waited for as long as it takes.

        Raises:
            BusError: the bus was closed.
        """
        while self._current is None:
            if self._closed:
                raise BusError("the bus is closed")
            await self._up.wait()
        return self._current

    async def connection_within(self, timeout_s: float) -> Connection:
        """The connection.

        Raises:
            BusError: it is not there within the time; the message says what it waits for.
        """
        if self._current is not None:
            return self._current
        try:
            async with asyncio.timeout(timeout_s):
                return await self.connection()
        except TimeoutError:
            raise BusError(f"the bus is away: {self.waiting_for}") from None

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.waiting_for = "the bus is closed"
        self._up.set()
        # Told until it ends: nats-py swallows a cancellation that meets it while it flushes.
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=LOOK_S)

    async def _run(self) -> None:
        attempts = 0
        while True:
            try:
                if await self._hold(attempts):
                    attempts = 0
            except (TimeoutError, NatsError, BusError, ConfigError, OSError) as error:
                attempts += 1
                self._report(error, attempts)
            except Exception as error:
                attempts += 1
                self._report(error, attempts)
                log.exception("bus.link_bug", servers=self.where)
            limit = min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** min(attempts, 10))
            await asyncio.sleep(limit * random.uniform(0.5, 1.0))  # noqa: S311 - spreads clients out, no secret

    def _report(self, error: Exception, attempts: int) -> None:
        self.waiting_for = f"{self.where}: {_reason(error)}"
        if attempts in {1, 10} or attempts % 100 == 0:
            log.warning("bus.connect_failed", servers=self.where, attempts=attempts, reason=_reason(error))

    async def _hold(self, attempts: int) -> bool:
        """Connect, prepare, and stay until the connection is lost. True if it was up."""
        client = SecuredClient() if self._secured else Client()
        connection = Connection(client)
        failed: list[Exception] = []
        down = asyncio.Event()  # of this client alone: one that is closed late must not end the next

        async def on_closed() -> None:
            down.set()

        async def on_error(error: Exception) -> None:
            failed.append(error)

        try:
            try:
                await self._dial(client, on_closed, on_error)
            except NatsError as error:
                why = failed[-1] if failed else error  # "no servers available" says nothing
                raise BusError(_reason(why)) from error
            async with asyncio.timeout(DIAL_S * 4):
                await self._prepare(connection)
            self._announce(connection, attempts)
            failed.clear()
            await _until_closed(client, down)
            self.waiting_for = f"{self.where}: connection lost"
            log.warning("bus.disconnected", servers=self.where, reason=str(failed[-1]) if failed else None)
            return True
        finally:
            self._current = None
            self._up.clear()
            if self._closed:
                self._up.set()
            connection.mark_lost()
            self._remember(client)
            await _leave(client)

    async def _dial(
        self, client: Client, on_closed: Callable[[], Awaitable[None]], on_error: Callable[[Exception], Awaitable[None]]
    ) -> None:
        # A server that accepts and says nothing would hold connect() for its own timeout at each address.
        async with asyncio.timeout(DIAL_S * len(self._servers)):
            await client.connect(
                list(self._servers),
                name="retrain",
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=int(DIAL_S),
                ping_interval=PING_S,
                pending_size=PENDING,
                closed_cb=on_closed,
                error_cb=on_error,
                tls=context_of(self._settings) if self._secured else None,
                **self._options,
            )

    def _announce(self, connection: Connection, attempts: int) -> None:
        self._current = connection
        self.waiting_for = None
        self._up.set()
        version = connection.client.connected_server_version
        server = f"{version.major}.{version.minor}.{version.patch}"
        log.info("bus.connected", servers=self.where, server=server, attempts=attempts + 1)

    def _remember(self, client: Client) -> None:
        """Keep the addresses that a cluster told us, so that any of its members will do next time."""
        for found in client.discovered_servers:
            if found.geturl() not in self._servers:
                self._servers.append(found.geturl())


async def _leave(client: Client) -> None:
    """Close a client. After a refused TLS handshake nats-py waits there for ever: it is not waited for long."""
    closing = asyncio.create_task(client.close())
    try:
        await asyncio.wait([closing], timeout=CLOSE_S)
    finally:
        closing.cancel()
    if closing.done() and not closing.cancelled() and (error := closing.exception()) is not None:
        log.debug("bus.close_failed", reason=_reason(error))


async def _until_closed(client: Client, down: asyncio.Event) -> None:
    """Wait for the client's word that it is closed, and look for ourselves too: when flushing to a server that was
    just killed fails, nats-py is closed and never calls back (its `_close` raises before it comes to that)."""
    while not client.is_closed:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await down.wait()
                return


def _servers(url: str) -> list[str]:
    servers = [part.strip() for part in url.split(",") if part.strip()]
    for server in servers:
        if urlsplit(server).scheme not in {"nats", "tls", "ws", "wss"}:
            raise ConfigError(f"bus url {_redacted(server)!r}: write nats://host:port or tls://host:port")
    if not servers:
        raise ConfigError("bus url: is empty; write nats://host:port")
    return servers


def _redacted(server: str) -> str:
    return server if "@" not in server else f"{server.split('://')[0]}://{server.rsplit('@', 1)[1]}"


def _credentials(settings: BusSettings) -> dict[str, Any]:
    if settings.credentials_file is not None:
        if importlib.util.find_spec("nkeys") is None:
            raise ConfigError("bus credentials_file: needs the package nkeys; install it beside Retrain")
        return {"user_credentials": settings.credentials_file}
    if settings.token is not None:
        return {"token": settings.token.get_secret_value()}
    if settings.user is not None and settings.password is not None:
        return {"user": settings.user, "password": settings.password.get_secret_value()}
    return {}


def _reason(error: BaseException) -> str:
    if "Authorization Violation" in str(error):
        return "the server refused the credentials"
    return str(error) or type(error).__name__
