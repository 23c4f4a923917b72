"""One connection of a source to a Redis server. Imported when a source connects.

The library's own trying again is off: it hides that messages were missed. Whoever reads here says that the connection
broke, and dials again.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from eventsources.fields import TLS
from eventsources.port import SourceContext
from eventsources.queues.redis import place
from eventsources.tls import client_context
from retrain.errors import ConfigError, RetrainError, Transient
from retrain.manifests.argo import KeySelector

DIAL_S = 5.0
ANSWER_S = 15.0
"""Seconds for an answer, beyond what a command itself waits."""

CLOSING_S = 1.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect and as whom."""

    host: str
    port: int
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None

    @property
    def where(self) -> str:
        return f"{self.host}:{self.port}"


class _Secured(Connection):
    """A connection with a TLS context of ours."""

    def __init__(self, *, secured: ssl.SSLContext, **more: Any) -> None:
        super().__init__(**more)
        self._secured = secured

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "ssl": self._secured}


class Link:
    """An open connection: one command after the other, or messages that come by themselves."""

    def __init__(self, server: Server) -> None:
        self.where = server.where
        options: dict[str, Any] = {
            "host": server.host,
            "port": server.port,
            "db": server.db,
            "username": server.username or None,
            "password": server.password or None,
            "socket_connect_timeout": DIAL_S,
            "socket_timeout": ANSWER_S,
            "client_name": "retrain",
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }
        if server.tls is None:
            self._connection: Connection = Connection(**options)
        else:
            self._connection = _Secured(secured=server.tls, **options)

    async def open(self) -> None:
        await self._connection.connect()

    async def aclose(self) -> None:
        with anyio.move_on_after(CLOSING_S, shield=True):
            await self._connection.disconnect(nowait=True)

    async def ask(self, *command: str | bytes | int, within_s: float = ANSWER_S) -> Any:
        """The answer to a command. Bytes where Redis has strings.

        Raises:
            ResponseError: the server says no.
        """
        await self.send(*command)
        return await self._connection.read_response(timeout=within_s)

    async def send(self, *command: str | bytes | int) -> None:
        await self._connection.send_command(*command)

    async def hear(self, within_s: float) -> Any:
        """What comes next; waits for it.

        Raises:
            TimeoutError: nothing has come.
        """
        try:
            return await self._connection.read_response(timeout=within_s, disconnect_on_error=False)
        except RedisTimeoutError as error:
            raise TimeoutError from error


@asynccontextmanager
async def dial(server: Server) -> AsyncGenerator[Link]:
    """A connection to the server.

    Raises:
        Transient: nobody answers, the connection broke, or the server says no.
    """
    link = Link(server)
    try:
        await link.open()
        yield link
    except (RedisError, OSError, TimeoutError) as error:
        raise translated(server.where, error) from error
    finally:
        await link.aclose()


def translated(where: str, error: Exception) -> RetrainError:
    """An error of the library as ours, in plain words."""
    if isinstance(error, AuthenticationError) or str(error).startswith(("WRONGPASS", "NOAUTH")):
        return ConfigError(f"redis {where}: the server refused the login")
    if isinstance(error, NoPermissionError):
        return ConfigError(f"redis {where}: this user may not do that: {str(error)[:200]}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Transient(f"redis {where}: the server's certificate is not trusted: {error.verify_message}")
    if isinstance(error, (TimeoutError, RedisTimeoutError)):
        return Transient(f"redis {where}: the server is silent")
    if isinstance(error, ResponseError):
        return Transient(f"redis {where}: {str(error)[:300]}")
    if isinstance(error, (ConnectionRefusedError, RedisConnectionError)) and "111" in str(error):
        return Transient(f"redis {where}: nobody answers")
    return Transient(f"redis {where}: {str(error)[:300] or type(error).__name__}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a source's manifest says of the server."""

    address: str
    db: int
    username: str
    password: KeySelector | None
    tls: TLS | None

    def read(self, context: SourceContext) -> Server:
        """Where to connect and as whom, with its secrets read now.

        Raises:
            NotFound: a secret is not there yet. ConfigError: a certificate is none.
        """
        host, port = place(self.address) or ("", 0)
        password = context.read(self.password)
        return Server(host, port, self.db, self.username, password, client_context(self.tls, context))
