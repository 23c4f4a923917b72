"""TLS to the servers of a bus: whom a connection trusts, and what it shows of itself."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError

from retrain.bus.settings import BusSettings
from retrain.errors import ConfigError

SECURED = frozenset({"tls", "wss"})


def wants_tls(servers: list[str], settings: BusSettings) -> bool:
    """Whether nothing may be said to these servers in the clear."""
    return settings.secured or any(urlsplit(server).scheme in SECURED for server in servers)


def context_of(settings: BusSettings) -> ssl.SSLContext:
    """What a connection trusts (`ca_file`, else what this machine trusts) and shows of itself.

    Made for each connection, since files are renewed.

    Raises:
        ConfigError: a file is not there, or is no certificate or key.
    """
    with _named("ca_file", settings.ca_file):
        context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.cert_file is not None:
        with _named("cert_file and key_file", settings.cert_file):
            # A key that wants a password would ask for it at the terminal.
            context.load_cert_chain(settings.cert_file, settings.key_file, lambda: b"")
    return context


@contextmanager
def _named(names: str, file: Path | None) -> Generator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise ConfigError(f"bus {names}: {file} is no PEM that can be used: {error.reason or error}") from error
    except OSError as error:
        raise ConfigError(f"bus {names}: {error.filename or file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"bus {names}: {file}: {error}") from error


class SecuredClient(Client):
    """A client that says nothing, and shows no password, to a server that does not insist on TLS."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        # nats-py takes TLS where the server wants it: whoever sits in between could say that it does not.
        by_itself = self._current_server is not None and self._current_server.uri.scheme == "wss"
        if initial_connection and not (by_itself or info.get("tls_required")):
            raise NatsError("the server does not insist on TLS, which this bus is to have")
        await super()._process_info(info, initial_connection)
