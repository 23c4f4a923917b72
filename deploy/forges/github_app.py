"""Tokens of a GitHub App's installation: good for an hour, and made anew before they end.

Source: https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio
import orjson

from deploy.forges.http import JsonClient, Login
from deploy.forges.reading import text, time
from retrain.errors import ConfigError, Transient

EARLY = timedelta(minutes=5)
"""A token is not used in its last minutes: a call that takes long must not outlive it."""


@dataclass(frozen=True, slots=True)
class App:
    """The App and one installation of it, by their numbers. `key` gives the private key in PEM."""

    app_id: int
    installation_id: int
    key: Callable[[], str] = field(repr=False)


def own_token(app: App, now: datetime) -> str:
    """The JSON Web Token by which the App says who it is (RS256), good for nine minutes.

    Raises:
        ConfigError: the key is none, or not RSA.
    """
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        key = serialization.load_pem_private_key(app.key().encode(), None)
    except (ValueError, TypeError):
        raise ConfigError("githubApp.privateKey holds no private key in PEM without a passphrase") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigError("githubApp.privateKey is no RSA key")
    seconds = int(now.timestamp())
    # A minute back: GitHub refuses what its own clock calls the future.
    claims = {"iat": seconds - 60, "exp": seconds + 480, "iss": str(app.app_id)}
    signed = b".".join(_part(orjson.dumps(one)) for one in ({"alg": "RS256", "typ": "JWT"}, claims))
    return (signed + b"." + _part(key.sign(signed, padding.PKCS1v15(), hashes.SHA256()))).decode()


def _part(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")


class AppLogin:
    """Logs in as the installation. One token at a time, however many ask."""

    def __init__(
        self,
        app: App,
        connect: Callable[[Callable[[], Login]], JsonClient],
        headers: Mapping[str, str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`connect` makes a client that logs in with what the function gives: for the one call that makes tokens."""
        self._app = app
        self._connect = connect
        self._headers = headers
        self._now = now
        self._lock = anyio.Lock()
        self._token = ""
        self._until = datetime.min.replace(tzinfo=UTC)

    async def __call__(self) -> Login:
        async with self._lock:
            if self._now() >= self._until:
                await self._renew()
            return self._login(self._token)

    async def _renew(self) -> None:
        own = self._login(own_token(self._app, self._now()))
        client = self._connect(lambda: own)
        try:
            path = f"/app/installations/{self._app.installation_id:d}/access_tokens"
            answer = await client.ask("POST", path)
        finally:
            await client.aclose()
        token = text(answer.body, "token")
        if not token:
            raise Transient(f"{client.base} gives no token for installation {self._app.installation_id}")
        ends = time(answer.body, "expires_at") or self._now() + timedelta(hours=1)
        self._token, self._until = token, ends - EARLY

    def _login(self, token: str) -> Login:
        return Login({**self._headers, "Authorization": f"Bearer {token}"}, (token,))
