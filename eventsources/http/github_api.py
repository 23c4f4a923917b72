"""GitHub's API, as far as webhooks need it. Source: https://docs.github.com/en/rest/repos/webhooks"""

from __future__ import annotations

import base64
from typing import Any

import orjson

from eventsources.http.api_client import ApiClient, part
from eventsources.http.forge import object_of, objects
from eventsources.http.github import BASE, App, Github
from eventsources.http.hooks import Hook
from eventsources.port import SourceContext
from retrain.errors import ConfigError, NotFound
from retrain.events import JsonValue

VERSION = {"X-GitHub-Api-Version": "2022-11-28"}
PAGE, PAGES = 100, 10
TOKEN_S = 540
"""Seconds that an App's own token is good for; GitHub takes ten minutes at most."""


class GithubApi:
    """A `Forge`. A target is `orgs/NAME` or `repos/OWNER/NAME`."""

    def __init__(self, spec: Github, client: ApiClient, url: str, secret: str) -> None:
        self._client = client
        config: dict[str, JsonValue] = {"url": url, "insecure_ssl": "1" if spec.insecure else "0"}
        config["content_type"] = spec.content_type or "json"
        self._events = sorted(spec.events)
        self._active = spec.active is not False
        self._settings: dict[str, JsonValue] = {"active": self._active, "events": self._events, "config": config}
        if secret:
            config["secret"] = secret

    @classmethod
    async def connect(cls, spec: Github, context: SourceContext, url: str) -> GithubApi:
        """A client with what the manifest's secrets hold now.

        Raises:
            NotFound: a secret is not there. ConfigError: the App's key is none, or GitHub does not want it.
        """
        base = spec.github_base_url or BASE
        if spec.api_token is not None:
            token = context.read(spec.api_token)
        else:
            assert spec.github_app is not None
            token = await _installed(base, spec.github_app, context)
        client = ApiClient(base, {**VERSION, "Authorization": f"Bearer {token}"})
        return cls(spec, client, url, context.read(spec.webhook_secret))

    async def close(self) -> None:
        await self._client.close()

    async def hooks(self, target: str) -> list[Hook]:
        found: list[dict[str, Any]] = []
        for page in range(1, PAGES + 1):
            query = {"per_page": str(PAGE), "page": str(page)}
            answer, _ = await self._client.ask("GET", f"{_path(target)}/hooks", query=query)
            found += objects(answer)
            if len(objects(answer)) < PAGE:
                break
        return [self._hook(one) for one in found]

    async def create(self, target: str) -> str:
        answer, _ = await self._client.ask("POST", f"{_path(target)}/hooks", {"name": "web", **self._settings})
        return str(object_of(answer).get("id", ""))

    async def update(self, target: str, hook_id: str) -> str:
        await self._client.ask("PATCH", f"{_path(target)}/hooks/{part(hook_id)}", self._settings)
        return hook_id

    async def delete(self, target: str, hook_id: str) -> None:
        try:
            await self._client.ask("DELETE", f"{_path(target)}/hooks/{part(hook_id)}")
        except NotFound:
            return  # somebody else removed it

    def _hook(self, one: dict[str, Any]) -> Hook:
        config = one.get("config") or {}
        right = sorted(one.get("events") or []) == self._events and one.get("active") is self._active
        return Hook(str(one.get("id", "")), str(config.get("url", "")), right)


def _path(target: str) -> str:
    return "/" + "/".join(part(one) for one in target.split("/"))


async def _installed(base: str, app: App, context: SourceContext) -> str:
    """A token of the App's installation, good for an hour."""
    client = ApiClient(base, {**VERSION, "Authorization": f"Bearer {_own_token(app, context)}"})
    try:
        answer, _ = await client.ask("POST", f"/app/installations/{app.installation_id}/access_tokens")
    finally:
        await client.close()
    token = object_of(answer).get("token")
    if not isinstance(token, str):
        raise ConfigError(f"{base} gives no token for installation {app.installation_id}")
    context.status.conceal(token)
    return token


def _own_token(app: App, context: SourceContext) -> str:
    """A JSON Web Token by which the App says who it is, signed with its key (RS256)."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        key = serialization.load_pem_private_key(context.read(app.private_key).encode(), None)
    except (ValueError, TypeError) as error:
        raise ConfigError("githubApp.privateKey holds no private key in PEM without a passphrase") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigError("githubApp.privateKey is no RSA key")
    now = int(context.clock.now().timestamp())
    claims = {"iat": now - 60, "exp": now + TOKEN_S - 60, "iss": str(app.app_id)}
    signed = b".".join(_base64(orjson.dumps(one)) for one in ({"alg": "RS256", "typ": "JWT"}, claims))
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return (signed + b"." + _base64(signature)).decode()


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
