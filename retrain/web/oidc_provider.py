"""A provider of OpenID Connect as we speak to it: what it says of itself, its keys, and a code for an ID token.

Each answer is bounded in time and size, and no redirect is followed. What it says of itself is asked for once an hour,
its keys when a token names one that is not known.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode

import aiohttp
import anyio.to_thread
import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from retrain.app.access.access_settings import Oidc, SecretPlace, plain_url
from retrain.app.guarded_http import bounded
from retrain.app.parts import PartState
from retrain.clock import Clock
from retrain.errors import ConfigError, Forbidden, Permanent, Transient
from retrain.web.oidc_claims import Expected, Login, login_of, signed_claims

Json = Mapping[str, Any]
TIMEOUT = aiohttp.ClientTimeout(total=10, connect=5)
MOST = 512 * 1024
"""Bytes of one answer."""
KEPT = timedelta(hours=1)
NEW_KEYS = timedelta(seconds=30)
"""How often keys are asked for again because a token names one that is not known."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A login that was begun: what comes back must fit."""

    state: str
    nonce: str
    verifier: str


@dataclass(slots=True)
class _Known:
    metadata: Json
    keys: KeySet
    until: datetime
    keys_since: datetime


class Provider:
    """One provider. `redirect`: where logins come back to; `environment`: where its secret may be."""

    def __init__(self, settings: Oidc, redirect: str, clock: Clock, environment: Mapping[str, str], root: Path) -> None:
        self.settings = settings
        self._redirect = redirect
        self._clock = clock
        self._environment = environment
        self._root = root
        self._known: _Known | None = None
        self._trouble: str | None = None

    def state(self) -> PartState:
        """How the last try to speak to it went. Whoever is logged in needs it for nothing."""
        return PartState("login", self._trouble is None, self._trouble)

    async def address(self, begun: Begun, challenge: str) -> str:
        """Where the browser goes to log in."""
        known = await self._look()
        words = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self._redirect,
            "scope": " ".join(self.settings.scopes),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = str(known.metadata["authorization_endpoint"])
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(words)}"

    async def login(self, code: str, issuer: str | None, begun: Begun) -> Login:
        """Who has come back with this code. `issuer`: who says that it sends them (RFC 9207).

        Raises:
            Forbidden: the provider, or what it says, says no.
            Transient: it cannot be reached.
        """
        known = await self._look()
        names_itself = known.metadata.get("authorization_response_iss_parameter_supported") is True
        if (issuer is not None or names_itself) and issuer != self.settings.issuer:
            raise Forbidden("the login comes from another provider than the one it was begun with; begin again")
        answer = await self._exchange(str(known.metadata["token_endpoint"]), code, begun.verifier)
        claims = await self._claims(str(answer.get("id_token") or ""), begun.nonce)
        missing = {self.settings.name_claim, self.settings.groups_claim} - claims.keys()
        if missing and "userinfo_endpoint" in known.metadata and answer.get("access_token"):
            said = await self._userinfo(str(known.metadata["userinfo_endpoint"]), str(answer["access_token"]))
            # Of somebody else nothing counts: OpenID Connect Core, 5.3.2.
            claims = {**said, **claims} if said.get("sub") == claims["sub"] else claims
        return login_of(claims, self.settings.name_claim, self.settings.groups_claim)

    async def _claims(self, id_token: str, nonce: str) -> dict[str, Any]:
        expected = Expected(self.settings.issuer, self.settings.client_id, nonce)
        known = await self._look()
        if _key_of(id_token) not in {None, *(one.kid for one in known.keys.keys)}:
            known = await self._rotated(known)
        return signed_claims(id_token, known.keys, expected, self._clock.now())

    async def _look(self) -> _Known:
        if self._known is None or self._clock.now() >= self._known.until:
            issuer = self.settings.issuer
            found = await self._ask("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            metadata = _checked(found, issuer)
            now = self._clock.now()
            self._known = _Known(metadata, await self._keys(metadata), now + KEPT, now)
        return self._known

    async def _rotated(self, known: _Known) -> _Known:
        if self._clock.now() - known.keys_since >= NEW_KEYS:
            known.keys_since = self._clock.now()
            known.keys = await self._keys(known.metadata)
        return known

    async def _keys(self, metadata: Json) -> KeySet:
        answer = await self._ask("GET", str(metadata["jwks_uri"]))
        listed = answer.get("keys")
        # A key of both sides is none that proves who has signed.
        fine = [one for one in listed or () if isinstance(one, dict) and one.get("kty") in {"RSA", "EC", "OKP"}]
        fine = [one for one in fine if one.get("use", "sig") == "sig"]
        try:
            return KeySet.import_key_set(cast("Any", {"keys": fine}))
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise self._in_trouble(f"its keys cannot be read ({type(error).__name__})") from None

    async def _exchange(self, endpoint: str, code: str, verifier: str) -> Json:
        words = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "client_id": self.settings.client_id,
            "code_verifier": verifier,
        }
        headers: dict[str, str] = {}
        if self.settings.client_secret is not None:
            secret = await anyio.to_thread.run_sync(self._secret, self.settings.client_secret)
            pair = f"{quote(self.settings.client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        return await self._ask("POST", endpoint, words, headers)

    async def _userinfo(self, endpoint: str, access_token: str) -> Json:
        return await self._ask("GET", endpoint, headers={"Authorization": f"Bearer {access_token}"})

    async def _ask(
        self, method: str, url: str, form: Json | None = None, headers: Mapping[str, str] | None = None
    ) -> Json:
        """The JSON object that it answers."""
        sent = {"Accept": "application/json", "User-Agent": "retrain", **(headers or {})}
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False) as session,
                session.request(
                    method, url, data=form, headers=sent, allow_redirects=False, ssl=await self._trust()
                ) as answer,
            ):
                status, body = answer.status, await bounded(answer, MOST)
        except (aiohttp.ClientError, OSError, TimeoutError, Permanent) as error:
            raise self._in_trouble(f"it does not answer ({type(error).__name__})") from None
        if status >= 500 or status < 200 or 300 <= status < 400:
            raise self._in_trouble(f"it answers {status}")
        return self._read(status, body, form is not None)

    def _read(self, status: int, body: bytes, exchanging: bool) -> Json:
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise self._in_trouble("what it answers is no JSON object")
        if status >= 400:
            if exchanging and found.get("error") == "invalid_grant":
                raise Forbidden(f"{self.settings.name} does not take the login's code any more; begin again")
            raise self._in_trouble(f"it answers {status} ({str(found.get('error', ''))[:60]!r})")
        self._trouble = None
        return found

    async def _trust(self) -> ssl.SSLContext | bool:
        if self.settings.ca is None:
            return True
        file = self._root / self.settings.ca
        try:
            return await anyio.to_thread.run_sync(lambda: ssl.create_default_context(cafile=str(file)))
        except OSError as error:
            raise self._in_trouble(f"access.oidc.ca {file} cannot be read: {type(error).__name__}") from None

    def _secret(self, place: SecretPlace) -> str:
        value = self._environment.get(place.env or "", "") if place.env is not None else self._file(place)
        if not (secret := value.removesuffix("\n").removesuffix("\r")):
            raise self._in_trouble(f"access.oidc.client_secret: {place} is not there, or empty")
        return secret

    def _file(self, place: SecretPlace) -> str:
        try:
            return (self._root / str(place.file)).read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def _in_trouble(self, why: str) -> Transient:
        self._trouble = f"{self.settings.name} ({self.settings.issuer}): {why}"
        return Transient(f"nobody can log in at {self.settings.name} now: {why}; try again, or use a token")


def _checked(metadata: Json, issuer: str) -> Json:
    """What the provider says of itself.

    Raises:
        ConfigError: it is another one, or lacks what is needed.
    """
    if metadata.get("issuer") != issuer:
        said = str(metadata.get("issuer"))[:200]
        raise ConfigError(f"access.oidc.issuer is {issuer}, and what answers there calls itself {said!r}: write that")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        try:
            # The endpoint may have a query; the rest must be as ours.
            plain_url(str(metadata.get(name) or "").partition("?")[0])
        except ValueError as error:
            raise ConfigError(f"access.oidc: the provider's {name} {error}") from None
    return metadata


def _key_of(id_token: str) -> str | None:
    """Which key an ID token says that it is signed with."""
    try:
        found = jws.extract_compact(id_token.encode()).headers().get("kid")
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return found if isinstance(found, str) else None
