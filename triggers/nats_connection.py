"""One connection to a NATS server, for the `nats` trigger. Imported when the first such firing acts.

A message is done when the server has it: a stream's acknowledgement where the subject belongs to one, else a PONG to a
PING behind it. The client's own reconnecting is off: it sends again what it buffered, and never says what was lost.
"""

from __future__ import annotations

import importlib.util
import random
import re
import ssl
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import anyio
import orjson
import structlog
from nats.aio.client import Client, RawCredentials
from nats.errors import AuthorizationError, NoRespondersError, SecureConnWantedError
from nats.errors import Error as NatsError

from retrain.errors import Permanent, Transient
from retrain.events import JsonValue
from triggers.nats_message import NatsMessage, NatsServer

KNOWN_S = 60.0
"""Seconds for which a subject's stream, or that there is none, is believed."""
ASK_S = 2.0
"""Seconds to wait for JetStream to name a subject's stream; a login that may not ask gets no answer."""
MAX_SUBJECTS = 10_000
CLOSING_S = 1.0
PENDING = 64 * 1024 * 1024

_DENIED = re.compile(r'permissions violation for publish to "([^"]*)"', re.IGNORECASE)

log = structlog.get_logger()


class SecureClient(Client):
    """A client that says who it is over TLS only. The library goes on in plain text where the server offers no TLS."""

    def _connect_command(self) -> bytes:
        if not self._server_info.get("tls_required"):
            raise SecureConnWantedError
        return super()._connect_command()


class NatsConnection:
    """Publishes over one client. Get one from `dial`."""

    def __init__(self, server: NatsServer, answer_s: float) -> None:
        self._client = Client() if server.tls is None else SecureClient()
        self._server = server
        self._answer_s = answer_s
        self._denied: Counter[str] = Counter()
        self._streams: dict[str, tuple[bool, float]] = {}
        self._flushing = anyio.Lock()
        self._published = 0
        self._flushed = 0
        self._waiting: set[anyio.CancelScope] = set()

    @property
    def lost(self) -> bool:
        return not self._client.is_connected

    async def open(self, url: str, dial_s: float, login: dict[str, Any]) -> None:
        options: dict[str, Any] = login
        if self._server.tls is not None:
            options = login | {"tls": self._server.tls, "tls_hostname": urlsplit(url).hostname}
        await self._client.connect(
            url,
            name="retrain",
            error_cb=self._heard,
            disconnected_cb=self._broken,
            closed_cb=self._broken,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=max(1, int(dial_s)),
            ping_interval=10,
            pending_size=PENDING,
            **options,
        )

    async def aclose(self) -> None:
        # A client that got no further than half of a handshake may never end its closing.
        with anyio.move_on_after(CLOSING_S, shield=True), suppress(NatsError, OSError, AssertionError):
            await self._client.close()

    async def publish(self, message: NatsMessage) -> dict[str, JsonValue]:
        """Publish, and wait until the server has it. `{"subject", "bytes"}`, of a stream also `{"stream", "sequence"}`.

        Raises:
            Permanent: the message is too large, the login may not publish it, or the stream refuses it.
            Transient: the server is away, or the stream takes nothing now.
        """
        size = len(message.payload)
        if size > self._client.max_payload:
            limit = self._client.max_payload
            raise Permanent(f"the nats payload has {size} bytes, and the server takes {limit}; send a reference")
        said: dict[str, JsonValue] = {"subject": message.subject, "bytes": size}
        try:
            with self._until_broken() as scope:
                stored = await self._publish(message)
        except (NatsError, OSError, TimeoutError) as error:
            raise Transient(f"nats {self._server.where}: {reason(error)}") from error
        if scope.cancelled_caught:
            raise Transient(f"nats {self._server.where}: the connection broke before the server had the message")
        self._check_denied(message.subject)
        return said | stored

    def _check_denied(self, subject: str) -> None:
        """Whether the server has said no to it. Every no is for one message, and comes before its PONG."""
        if self._denied[subject.lower()] > 0:
            self._denied[subject.lower()] -= 1
            raise Permanent(f"nats: this login may not publish to {subject!r}")

    @contextmanager
    def _until_broken(self) -> Generator[anyio.CancelScope]:
        """Stop waiting when the connection breaks: the client alone would wait out its time."""
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                yield scope
            finally:
                self._waiting.discard(scope)

    async def _publish(self, message: NatsMessage) -> dict[str, JsonValue]:
        if await self._has_stream(message.subject):
            return await self._store(message)
        await self._send(message)
        return {}

    async def _send(self, message: NatsMessage) -> None:
        await self._client.publish(message.subject, message.payload, headers={"Nats-Msg-Id": message.firing})
        self._published += 1
        mine = self._published
        # One PING stands for everything before it: whoever waited for the lock mostly finds its own done.
        async with self._flushing:
            if self._flushed >= mine:
                return
            until = self._published
            await self._client.flush(timeout=max(1, int(self._answer_s)))
            self._flushed = until

    async def _store(self, message: NatsMessage) -> dict[str, JsonValue]:
        headers = {"Nats-Msg-Id": message.firing}
        try:
            reply = await self._client.request(message.subject, message.payload, self._answer_s, headers=headers)
        except NoRespondersError:
            self._streams.pop(message.subject, None)
            raise
        except TimeoutError:
            self._check_denied(message.subject)
            self._streams.pop(message.subject, None)
            raise
        return _acknowledged(message, _parsed(reply.data))

    async def _has_stream(self, subject: str) -> bool:
        now = anyio.current_time()
        known = self._streams.get(subject)
        if known is None or known[1] < now:
            if len(self._streams) >= MAX_SUBJECTS:
                self._streams.clear()
            known = self._streams[subject] = (await self._ask(subject), now + KNOWN_S)
        return known[0]

    async def _ask(self, subject: str) -> bool:
        question = orjson.dumps({"subject": subject})
        try:
            reply = await self._client.request("$JS.API.STREAM.NAMES", question, ASK_S)
        except (NoRespondersError, TimeoutError):
            return False  # no JetStream there, or not for this login
        return bool(_parsed(reply.data).get("streams"))

    async def _broken(self) -> None:
        for scope in tuple(self._waiting):
            scope.cancel()

    async def _heard(self, error: Exception) -> None:
        if found := _DENIED.search(str(error)):
            if not found[1].startswith("$js."):
                self._denied[found[1].lower()] += 1
        else:
            log.info("trigger.nats_error", server=self._server.where, error=reason(error))


async def dial(server: NatsServer, dial_s: float, answer_s: float) -> NatsConnection:
    """Connect to one of the servers, whichever answers.

    Raises:
        Permanent: the login is refused, or TLS is wanted and not offered.
        Transient: none of them answers.
    """
    login = _login(server)
    last: Exception = OSError("no server")
    for url in random.sample(server.urls, len(server.urls)):
        connection = NatsConnection(server, answer_s)
        try:
            await connection.open(url, dial_s, login)
        except BaseException as error:
            await connection.aclose()
            if not isinstance(error, NatsError | OSError | TimeoutError):
                raise
            if refusal := _refusal(error):
                raise Permanent(f"nats {server.where}: {refusal}") from error
            last = error
        else:
            return connection
    raise Transient(f"nats {server.where}: {reason(last)}") from last


def _login(server: NatsServer) -> dict[str, Any]:
    if server.seed or server.credential:
        if importlib.util.find_spec("nkeys") is None:
            raise Permanent("nats.auth: nkey and credential need the package nkeys; install it beside Retrain")
        if server.credential:
            return {"user_credentials": RawCredentials(server.credential)}
        return {"nkeys_seed_str": server.seed}
    if server.token:
        return {"token": server.token}
    return {"user": server.user, "password": server.password} if server.user else {}


def _refusal(error: BaseException) -> str | None:
    if isinstance(error, AuthorizationError) or "authorization violation" in str(error).lower():
        return "the server refused the login"
    if isinstance(error, SecureConnWantedError):
        return "TLS is wanted, and the server offers none"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.verify_message}"
    return None


def reason(error: BaseException) -> str:
    """What went wrong, in one line and without what was sent."""
    if isinstance(error, NoRespondersError):
        return "the subject's stream is gone"
    return str(error) or type(error).__name__


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _acknowledged(message: NatsMessage, answer: dict[str, Any]) -> dict[str, JsonValue]:
    if error := answer.get("error"):
        said = f"nats: the stream of {message.subject!r} refuses: {error.get('description', 'no reason given')}"
        # 503 and its like: no leader, a full disk, a stream at its limit.
        raise (Transient if int(error.get("code", 500)) >= 500 else Permanent)(said)
    if "stream" not in answer:
        raise Transient(f"nats: somebody else than the stream of {message.subject!r} answered")
    stored: dict[str, JsonValue] = {"stream": answer["stream"], "sequence": answer.get("seq")}
    return stored | {"duplicate": True} if answer.get("duplicate") else stored
