"""A provider of OpenID Connect that changes its keys, keeps claims back, lies about itself, or answers without end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

from retrain.app.access.access_settings import Oidc
from retrain.clock import SystemClock
from retrain.errors import ConfigError, Forbidden, Transient
from retrain.web.oidc_provider import NEW_KEYS, Begun, Provider

BEGUN = Begun("state", "nonce", "verifier")


@dataclass
class Acme:
    """What the provider answers. `signs`: the key of its ID tokens, `publishes`: those that it tells of."""

    url: str = ""
    signs: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1"}))
    publishes: list[RSAKey] = field(default_factory=list)
    issuer: str = ""
    said: dict[str, Any] = field(default_factory=lambda: {"preferred_username": "ada", "groups": ["ml"]})
    userinfo: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    long: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.long:
            return web.Response(body=b"x" * 1_000_000)
        return web.json_response(await self._body(request))

    async def _body(self, request: web.Request) -> dict[str, Any]:
        match request.path:
            case "/keys":
                return {"keys": [one.as_dict(private=False) for one in self.publishes]}
            case "/token":
                return {"id_token": self._token(), "access_token": "at"}
            case "/userinfo":
                assert request.headers["authorization"] == "Bearer at"
                return self.userinfo
            case _:
                ends = {"jwks_uri": "keys", "token_endpoint": "token", "authorization_endpoint": "auth"}
                ends["userinfo_endpoint"] = "userinfo"
                places = {name: f"{self.url}/{end}" for name, end in ends.items()}
                return {"issuer": self.issuer or self.url, **places, **self.metadata}

    def _token(self) -> str:
        at = int(SystemClock().now().timestamp())
        good = {"iss": self.url, "aud": "retrain", "sub": "17", "nonce": "nonce", "iat": at, "exp": at + 60}
        return jwt.encode({"alg": "RS256", "kid": self.signs.kid}, {**good, **self.said}, self.signs)


@asynccontextmanager
async def serving(acme: Acme) -> AsyncGenerator[Provider]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", acme.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    acme.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    acme.publishes = acme.publishes or [acme.signs]
    settings = Oidc(issuer=acme.url, client_id="retrain", everybody=("viewer",), name="Acme")
    try:
        yield Provider(settings, "http://127.0.0.1:7300/ui/login/callback", SystemClock(), {}, Path())
    finally:
        await runner.cleanup()


async def test_a_new_key_of_the_provider_is_fetched_when_a_token_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrain.web.oidc_provider.NEW_KEYS", NEW_KEYS * 0)
    acme = Acme()
    async with serving(acme) as provider:
        first = await provider.login("code", None, BEGUN)
        acme.signs = RSAKey.generate_key(2048, {"kid": "2"})
        acme.publishes = [acme.signs]
        second = await provider.login("code", None, BEGUN)
        acme.signs = RSAKey.generate_key(2048, {"kid": "3"})  # which it does not tell of
        with pytest.raises(Forbidden, match="signature"):
            await provider.login("code", None, BEGUN)

    assert first == second
    assert (first.name, first.subject, first.groups) == ("ada", "17", ("ml",))
    assert acme.asked.count("/keys") == 3


async def test_a_flood_of_unknown_keys_asks_the_provider_once() -> None:
    acme = Acme()
    async with serving(acme) as provider:
        await provider.login("code", None, BEGUN)
        acme.signs = RSAKey.generate_key(2048, {"kid": "9"})
        for _ in range(5):
            with pytest.raises(Forbidden):
                await provider.login("code", None, BEGUN)

    assert acme.asked.count("/keys") == 1


async def test_claims_that_the_token_lacks_are_asked_for_and_are_of_the_same_person() -> None:
    acme = Acme(said={"preferred_username": "ada"}, userinfo={"sub": "17", "groups": ["ml"]})
    async with serving(acme) as provider:
        mine = await provider.login("code", None, BEGUN)
        acme.userinfo = {"sub": "18", "groups": ["admins"]}
        others = await provider.login("code", None, BEGUN)

    assert (mine.groups, others.groups) == (("ml",), ())


async def test_a_provider_that_calls_itself_something_else_is_refused() -> None:
    async with serving(Acme(issuer="https://evil.example")) as provider:
        with pytest.raises(ConfigError, match="calls itself"):
            await provider.login("code", None, BEGUN)
    async with serving(Acme(metadata={"token_endpoint": "http://169.254.169.254/token"})) as provider:
        with pytest.raises(ConfigError, match="token_endpoint"):
            await provider.login("code", None, BEGUN)


async def test_a_login_that_another_provider_sends_is_refused() -> None:
    async with serving(Acme()) as provider:
        with pytest.raises(Forbidden, match="another provider"):
            await provider.login("code", "https://evil.example", BEGUN)


async def test_an_answer_that_is_too_long_or_no_json_is_trouble_that_is_told() -> None:
    async with serving(Acme(long=True)) as provider:
        with pytest.raises(Transient, match="Acme"):
            await provider.login("code", None, BEGUN)
        assert not provider.state().ready
        assert provider.state().vital is False
