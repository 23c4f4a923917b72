"""A real Gitea as an `Outside` of the contract suite, with a person `ada` who reviews."""

from __future__ import annotations

import urllib.error
from base64 import b64encode
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import anyio

from deploy.forges import PullRequestSpec
from tests.contract.forge_world import Secrets
from tests.servers.forge_servers import USER, Gitea

ADA = "ada"
SCOPES = ("write:repository", "write:issue")


_KNOWN: dict[tuple[str, str], str] = {}
"""Tokens by server and user: each takes a login with a password, which is meant to be slow."""


@dataclass
class GiteaOutside:
    """A repository of its own on the server."""

    gitea: Gitea
    repository: str
    spec: PullRequestSpec
    secrets: Secrets
    ada: Gitea = field(repr=False)

    async def call(self, method: str, path: str, body: Any = None, who: Gitea | None = None) -> Any:
        path = f"/repos/{self.repository}{path}"
        return await anyio.to_thread.run_sync(partial((who or self.gitea).call, method, path, body))

    async def maybe(self, method: str, path: str, body: Any = None) -> Any:
        """None where the server says no."""
        try:
            return await self.call(method, path, body)
        except urllib.error.HTTPError as error:
            error.close()
            return None

    async def push(self, branch: str, file: str, text: str, message: str = "ours") -> str:
        return await self.commit(branch, file, text, message)

    async def commit(self, branch: str, file: str, text: str, message: str, who: Gitea | None = None) -> str:
        """Write a file on a branch, which is made from main where it is not there."""
        there = await self.tip(branch)
        body: dict[str, Any] = {"content": b64encode(text.encode()).decode(), "message": message}
        body |= {"branch": branch} if there else {"branch": "main", "new_branch": branch}
        if known := await self.maybe("GET", f"/contents/{file}?ref={quote(branch if there else 'main')}"):
            body["sha"] = known["sha"]
        made = await self.call("PUT" if "sha" in body else "POST", f"/contents/{file}", body, who)
        return made["commit"]["sha"]

    async def approve(self, number: int, sha: str, yes: bool = True) -> str:
        body = {"event": "APPROVED" if yes else "REQUEST_CHANGES", "body": "looked at it", "commit_id": sha}
        await self.call("POST", f"/pulls/{number}/reviews", body, self.ada)
        return ADA

    async def close(self, number: int) -> None:
        await self.call("PATCH", f"/pulls/{number}", {"state": "closed"}, self.ada)

    async def tip(self, branch: str) -> str | None:
        found = await self.maybe("GET", f"/branches/{quote(branch)}")
        return found["commit"]["id"] if found else None

    async def message(self, sha: str) -> str:
        return (await self.call("GET", f"/git/commits/{sha}"))["commit"]["message"]


def person(gitea: Gitea, name: str) -> Gitea:
    """A user of the server with a token; the same one for the same name."""
    if (gitea.url, name) in _KNOWN:
        return Gitea(gitea.server, _KNOWN[gitea.url, name])
    try:
        user = {"username": name, "email": f"{name}@example.org", "password": "secret-password-1"}
        Gitea(gitea.server).call("POST", "/admin/users", {**user, "must_change_password": False})
    except urllib.error.HTTPError as error:
        error.close()  # he is there already
    _KNOWN[gitea.url, name] = token(gitea, name)
    return Gitea(gitea.server, _KNOWN[gitea.url, name])


def token(gitea: Gitea, name: str, *scopes: str) -> str:
    """A new token of a user: with what the platform needs, or with these scopes alone."""
    wanted = {"name": uuid4().hex, "scopes": scopes or SCOPES}
    return Gitea(gitea.server).call("POST", f"/users/{name}/tokens?sudo={name}", wanted)["sha1"]


def outside(gitea: Gitea, **more: Any) -> GiteaOutside:
    """A new repository with one commit, in which ada may write."""
    repository = gitea.repository(f"f-{uuid4().hex[:12]}")
    ada = person(gitea, ADA)
    gitea.call("PUT", f"/repos/{repository}/collaborators/{ADA}", {"permission": "write"})
    spec = {
        "forge": "gitea",
        "url": f"{gitea.url}/api/v1",
        "repository": repository,
        "token": {"secretKeyRef": {"name": "forge", "key": "token"}},
        **more,
    }
    if (gitea.url, USER) not in _KNOWN:
        _KNOWN[gitea.url, USER] = token(gitea, USER)
    secrets = Secrets({("forge", "token"): _KNOWN[gitea.url, USER]})
    return GiteaOutside(gitea, repository, PullRequestSpec.model_validate(spec), secrets, ada)


__all__ = ["ADA", "USER", "GiteaOutside", "outside", "person", "token"]
