"""The `http` trigger over TLS: the receiver is checked, and sees who we are where it asks."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from retrain.errors import Permanent, Transient
from tests.servers.acting import a_firing, act, opened, tools
from tests.servers.certificates import Authority

pytestmark = pytest.mark.integration

NAMES = {f"{field}Secret": {"name": "tls", "key": key} for field, key in (("clientCert", "cert"), ("clientKey", "key"))}
CA = {"caCertSecret": {"name": "tls", "key": "ca"}}


@asynccontextmanager
async def receiving(folder: Path, authority: Authority, *, asks: bool = False) -> AsyncIterator[tuple[str, list[Any]]]:
    """An HTTPS receiver; its URL, and the connections that came."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign().write(folder, "server"))
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=authority.cert)
    came: list[Any] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        came.append((request.transport, request.transport.get_extra_info("peercert")))
        return web.Response(text="ok")

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/", came
    finally:
        await runner.cleanup()


def post(url: str, **more: Any) -> dict[str, Any]:
    return {"kind": "http", "url": url} | more


async def test_the_receiver_is_checked_against_the_given_authority(tmp_path: Path) -> None:
    authority = Authority()
    given = tools({"tls": {"ca": authority.cert}, "other": {"ca": Authority().cert}})
    async with receiving(tmp_path, authority) as (url, came):
        good = await act(post(url, tls=CA), given)
        assert await act(post(url, tls={"insecureSkipVerify": True}), given)
        for tls in ({"caCertSecret": {"name": "other", "key": "ca"}}, {"enabled": True}, None):
            with pytest.raises(Permanent, match="CERTIFICATE_VERIFY_FAILED"):
                await act(post(url, tls=tls), given)

    assert good == {"status": 200, "body": "ok"}
    assert len(came) == 2


async def test_a_name_that_the_certificate_does_not_have_is_refused(tmp_path: Path) -> None:
    authority = Authority()
    async with receiving(tmp_path, authority) as (url, came):
        with pytest.raises(Permanent, match="CERTIFICATE_VERIFY_FAILED"):
            await act(post(url.replace("127.0.0.1", "localhost"), tls=CA), tools({"tls": {"ca": authority.cert}}))

    assert came == []


async def test_a_receiver_that_asks_sees_our_certificate_and_the_connection_is_kept(tmp_path: Path) -> None:
    authority = Authority()
    mine = authority.sign("retrain")
    given = tools({"tls": {"ca": authority.cert, "cert": mine.cert, "key": mine.key}})
    async with receiving(tmp_path, authority, asks=True) as (url, came), opened("http", given) as trigger:
        for n in range(3):
            await trigger.fire(a_firing(post(url, tls=CA | NAMES), n), 1)
        with pytest.raises(Transient):
            await trigger.fire(a_firing(post(url, tls=CA)), 1)

    assert [dict(one[0] for one in cert["subject"])["commonName"] for _, cert in came] == ["retrain"] * 3
    assert len({transport for transport, _ in came}) == 1


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ({"caCertSecret": {"name": "tls", "key": "none"}}, "no secret 'tls' with a key 'none'"),
        ({"caCertSecret": {"name": "tls", "key": "junk"}}, "caCertSecret holds no certificate"),
        ({"clientCertSecret": {"name": "tls", "key": "junk"}}, "go together"),
        (
            {f"client{part}Secret": {"name": "tls", "key": "junk"} for part in ("Cert", "Key")},
            "are no certificate with",
        ),
        ({"caCertSecret": "junk"}, "must name a secret"),
        ({"ciphers": "weak"}, "http.tls.ciphers is not supported"),
        ("yes", "http.tls must be an object"),
    ],
)
async def test_tls_that_cannot_be_is_final_and_shows_no_secret(tls: Any, said: str) -> None:
    with pytest.raises(Permanent, match=said) as caught:
        await act(post("https://127.0.0.1:9/", tls=tls), tools({"tls": {"junk": "junk-48151623"}}))

    assert "48151623" not in str(caught.value)
