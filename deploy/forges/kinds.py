"""Which forges there are, and how one is reached."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from deploy.forges import bitbucket, gitea, github, gitlab
from deploy.forges.github_app import App, AppLogin
from deploy.forges.http import PAUSES_S, Authorize, JsonClient, Login
from deploy.forges.port import Forge
from deploy.forges.spec import ForgeName, GithubApp, PullRequestSpec
from deploy.git.access import Vault, trust
from retrain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of forge. `api`: its API's address where users need not write one. `header`: how a token is sent."""

    build: Callable[[JsonClient, str], Forge]
    api: str | None
    header: Callable[[str], Mapping[str, str]]
    headers: Mapping[str, str] = field(default_factory=dict)


def _bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


KINDS: Mapping[ForgeName, Kind] = {
    "bitbucket": Kind(bitbucket.Bitbucket, bitbucket.API, _bearer),
    "gitea": Kind(gitea.Gitea, None, lambda token: {"Authorization": f"token {token}"}),
    "github": Kind(github.GitHub, github.API, _bearer, github.HEADERS),
    "gitlab": Kind(gitlab.GitLab, gitlab.API, lambda token: {"PRIVATE-TOKEN": token}),
}


@asynccontextmanager
async def open_forge(
    spec: PullRequestSpec, vault: Vault, pauses_s: tuple[float, ...] = PAUSES_S
) -> AsyncGenerator[Forge]:
    """The repository's forge, for as long as the block runs. Nothing is asked of it yet.

    Raises:
        ConfigError: the CA is none.
        Transient: its secret is not there.
    """
    kind = KINDS[spec.forge]
    base = spec.url or kind.api
    assert base is not None  # the spec asks for one where the kind has none
    tls = trust(spec.caCert, vault, "caCert")
    if spec.githubApp is None:
        authorize = _by_token(spec, kind, vault)
    else:
        authorize = _by_app(spec.githubApp, lambda login: JsonClient(base, login, tls, pauses_s), kind, vault)
    forge = kind.build(JsonClient(base, authorize, tls, pauses_s), spec.repository)
    try:
        yield forge
    finally:
        await forge.aclose()


def _by_token(spec: PullRequestSpec, kind: Kind, vault: Vault) -> Authorize:
    token = spec.token
    assert token is not None  # the spec asks for one where there is no App

    async def authorize() -> Login:
        # Read for each request: a token may be changed while the platform runs.
        value = vault.read(token)
        if any(ord(sign) < 33 or ord(sign) > 126 for sign in value):
            raise ConfigError(f"{token}: holds no token of visible ASCII signs")
        if spec.username is None:
            return Login({**kind.headers, **kind.header(value)}, (value,))
        basic = b64encode(f"{spec.username}:{value}".encode()).decode()
        return Login({**kind.headers, "Authorization": f"Basic {basic}"}, (value, basic))

    return authorize


def _by_app(app: GithubApp, connect: Callable[[Authorize], JsonClient], kind: Kind, vault: Vault) -> Authorize:
    key = app.privateKey

    def connected(login: Callable[[], Login]) -> JsonClient:
        async def own() -> Login:
            return login()

        return connect(own)

    made = App(app.appID, app.installationID, lambda: vault.read(key))
    return AppLogin(made, connected, kind.headers)
