"""TLS as manifests ask for it, against a server that demands it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from eventsources.fields import TLS
from eventsources.tls import client_context, files
from retrain.errors import ConfigError, NotFound
from tests.servers.certificates import Authority, Pair
from tests.unit.test_sources_ground import context

KEYS = {"caCertSecret": "ca", "clientCertSecret": "cert", "clientKeySecret": "key"}


class Pems:
    """PEM texts as secrets, one key each."""

    def __init__(self, **pems: str) -> None:
        self.pems = pems

    def secret(self, name: str, key: str) -> str:
        try:
            return self.pems[key]
        except KeyError:
            raise NotFound(f"no {key}") from None

    def config(self, name: str, key: str) -> str:
        raise NotFound(key)


def tls_of(*names: str, **more: Any) -> TLS:
    return TLS.model_validate({**{name: {"name": "pki", "key": KEYS[name]} for name in names}, **more})


def made(tls: TLS | None, **pems: str) -> ssl.SSLContext | None:
    return client_context(tls, context(secrets=Pems(**pems)))


@asynccontextmanager
async def serving(pair: Pair, folder: Path, clients: Authority | None = None) -> AsyncIterator[int]:
    """A port where a TLS server says hello; with `clients` only to who has a certificate of theirs."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(*pair.write(folder, "server"))
    if clients is not None:
        served.verify_mode = ssl.CERT_REQUIRED
        served.load_verify_locations(cadata=clients.cert)

    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(hello, "127.0.0.1", 0, ssl=served) as server:
        yield server.sockets[0].getsockname()[1]


async def said(port: int, client: ssl.SSLContext | None) -> bytes:
    """What the server says. TLS 1.3 refuses a client after the client believes that all is well: that is nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
    try:
        return await reader.read()
    except (ConnectionError, ssl.SSLError):
        return b""
    finally:
        writer.close()


async def test_a_server_of_ones_own_authority_is_trusted_and_no_other(tmp_path: Path) -> None:
    authority, other = Authority(), Authority()
    async with serving(authority.sign(), tmp_path) as port:
        assert await said(port, made(tls_of("caCertSecret"), ca=authority.cert)) == b"hello"
        with pytest.raises(ssl.SSLCertVerificationError):
            await said(port, made(tls_of("caCertSecret"), ca=other.cert))
        with pytest.raises(ssl.SSLCertVerificationError):
            await said(port, made(tls_of(enabled=True)))
        assert await said(port, made(tls_of(insecureSkipVerify=True))) == b"hello"


async def test_a_client_shows_its_certificate(tmp_path: Path) -> None:
    authority = Authority()
    mine = authority.sign("me")
    whole = tls_of("caCertSecret", "clientCertSecret", "clientKeySecret")
    async with serving(authority.sign(), tmp_path, clients=authority) as port:
        assert await said(port, made(whole, ca=authority.cert, cert=mine.cert, key=mine.key)) == b"hello"
        assert await said(port, made(tls_of("caCertSecret"), ca=authority.cert)) == b""


async def test_a_certificate_may_be_for_another_name_than_the_address(tmp_path: Path) -> None:
    authority = Authority()
    async with serving(authority.sign("broker.example"), tmp_path) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await said(port, made(tls_of("caCertSecret"), ca=authority.cert))
        named = tls_of("caCertSecret", serverName="broker.example")
        assert await said(port, made(named, ca=authority.cert)) == b"hello"


@pytest.mark.parametrize(
    ("tls", "pems"),
    [
        (tls_of("caCertSecret"), {"ca": "hunter22"}),
        (tls_of("clientCertSecret", "clientKeySecret"), {"cert": "hunter22", "key": "hunter22"}),
    ],
)
def test_what_is_no_certificate_is_said_without_showing_it(tls: TLS, pems: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="PEM") as caught:
        made(tls, **pems)
    assert "hunter22" not in str(caught.value)


def test_without_tls_there_is_no_context_and_a_missing_secret_is_said() -> None:
    assert made(None) is None
    with pytest.raises(NotFound):
        made(tls_of("caCertSecret"))


def test_files_are_private_and_gone_afterwards() -> None:
    with files(tls_of("caCertSecret"), context(secrets=Pems(ca="a certificate"))) as paths:
        assert paths.ca is not None
        assert paths.ca.read_text() == "a certificate\n"
        assert (paths.ca.stat().st_mode & 0o777, paths.ca.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert (paths.cert, paths.key) == (None, None)
        kept = paths.ca

    assert not kept.parent.exists()
