"""A forge in memory that answers over HTTP, in the shapes of one that cannot be had here; and what its people do there.

`Outside` is what the contract suite does behind the platform's back. A real Gitea has it too (forge_gitea.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from deploy.forges import PullRequestSpec
from deploy.git.access import Vault
from retrain.errors import NotFound
from tests.servers.launch import free_port

TOKEN = "token-of-the-platform-7f3a"
BOT = "retrain-bot"
EMAIL = "retrain@example.org"


@dataclass
class Secrets:
    """Secrets that a test may change meanwhile."""

    values: dict[tuple[str, str], str] = field(default_factory=lambda: {("forge", "token"): TOKEN})

    def secret(self, name: str, key: str) -> str:
        if (name, key) not in self.values:
            raise NotFound(f"no secret {name!r} with key {key!r}")
        return self.values[name, key]

    @property
    def vault(self) -> Vault:
        return Vault(self, {}, Path("/nonexistent"))


class Outside(Protocol):
    """What other people, and git, do to the repository."""

    spec: PullRequestSpec
    secrets: Secrets

    async def push(self, branch: str, file: str, text: str, message: str = "ours") -> str:
        """A commit on a branch; the branch is made from main where it is not there. Its SHA."""
        ...

    async def approve(self, number: int, sha: str, yes: bool = True) -> str:
        """Somebody reviews; who."""
        ...

    async def close(self, number: int) -> None: ...

    async def tip(self, branch: str) -> str | None: ...

    async def message(self, sha: str) -> str: ...


@dataclass
class Commit:
    sha: str
    message: str
    email: str
    parents: tuple[str, ...]
    files: Mapping[str, str]


@dataclass
class Review:
    who: str
    yes: bool
    at: datetime
    sha: str


@dataclass
class Pull:
    number: int
    head: str
    base: str
    title: str
    body: str
    head_sha: str
    state: str = "open"
    merge_sha: str | None = None
    reviews: list[Review] = field(default_factory=list)
    pushes: list[tuple[datetime, str]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


class Said(Exception):
    """An answer that is no success: status and words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


@dataclass
class World:
    """One repository. Every change takes a second, so that moments tell what was first."""

    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    people: tuple[str, ...] = ("ada", "grace")
    now: datetime = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def __post_init__(self) -> None:
        self.branches["main"] = self.commit((), {"README": "hello"}, "first", "root@example.org")

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def commit(self, parents: tuple[str, ...], files: Mapping[str, str], message: str, email: str = EMAIL) -> str:
        sha = hashlib.sha1(f"{parents} {sorted(files.items())} {message} {len(self.commits)}".encode()).hexdigest()
        self.commits[sha] = Commit(sha, message, email, parents, dict(files))
        return sha

    def push(self, branch: str, file: str, text: str, message: str) -> str:
        tip = self.branches.get(branch, self.branches["main"])
        return self.move(branch, self.commit((tip,), {**self.commits[tip].files, file: text}, message))

    def move(self, branch: str, sha: str) -> str:
        self.branches[branch] = sha
        for pull in self.pulls.values():
            if pull.head == branch and pull.state == "open":
                pull.head_sha = sha
                pull.pushes.append((self.tick(), sha))
        return sha

    def open(self, head: str, base: str, title: str, body: str) -> Pull:
        sha = self.branches[head]
        number = len(self.pulls) + 1
        self.pulls[number] = Pull(number, head, base, title, body, sha, pushes=[(self.tick(), sha)])
        return self.pulls[number]

    def opened(self, head: str, base: str) -> Pull | None:
        return next((p for p in self.pulls.values() if (p.head, p.base, p.state) == (head, base, "open")), None)

    def _past(self, sha: str) -> list[str]:
        found, todo = [], [sha]
        while todo:
            one = todo.pop(0)
            found.append(one)
            todo += self.commits[one].parents
        return found

    def conflicts(self, pull: Pull) -> bool:
        ours, theirs = self._past(pull.head_sha), self._past(self.branches[pull.base])
        root = self.commits[next(sha for sha in ours if sha in theirs)].files
        changed = [
            {name for name, text in self.commits[tip].files.items() if root.get(name) != text}
            for tip in (pull.head_sha, self.branches[pull.base])
        ]
        return bool(changed[0] & changed[1])

    def merge(self, pull: Pull, method: str, message: str, delete: bool) -> str:
        base, head = self.branches[pull.base], self.commits[pull.head_sha]
        files = {**self.commits[base].files, **head.files}
        parents = (base, head.sha) if method == "merge" else (base,)
        text = head.message if method == "rebase" else message
        pull.state, pull.merge_sha = "merged", self.commit(parents, files, text)
        self.branches[pull.base] = pull.merge_sha
        if delete:
            self.branches.pop(pull.head, None)
        return pull.merge_sha


@dataclass
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]


Reply = tuple[int, Any]


class Shape(Protocol):
    """How one forge says it."""

    world: World

    def answer(self, request: Request) -> Reply:
        """The status and the JSON; `Said` for what is no success."""
        ...

    def logged_in(self, headers: Mapping[str, str]) -> bool: ...


@dataclass
class ShapeOutside:
    """An `Outside` over a `World`; `asked` is every request, `next_answers` are given before any of the shape's own."""

    spec: PullRequestSpec
    shape: Shape
    secrets: Secrets = field(default_factory=Secrets)
    asked: list[Request] = field(default_factory=list)
    next_answers: list[web.Response] = field(default_factory=list)

    @property
    def world(self) -> World:
        return self.shape.world

    async def push(self, branch: str, file: str, text: str, message: str = "ours") -> str:
        return self.world.push(branch, file, text, message)

    async def approve(self, number: int, sha: str, yes: bool = True) -> str:
        self.world.pulls[number].reviews.append(Review("ada", yes, self.world.tick(), sha))
        return "ada"

    async def close(self, number: int) -> None:
        self.world.pulls[number].state = "closed"

    async def tip(self, branch: str) -> str | None:
        return self.world.branches.get(branch)

    async def message(self, sha: str) -> str:
        return self.world.commits[sha].message

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        path = request.raw_path.partition("?")[0]
        asked = Request(request.method, path, dict(request.query), body, dict(request.headers))
        self.asked.append(asked)
        if self.next_answers:
            return self.next_answers.pop(0)
        try:
            if not self.shape.logged_in(asked.headers):
                raise Said(401, "Bad credentials")
            status, found = self.shape.answer(asked)
        except Said as said:
            return web.json_response({"message": said.words}, status=said.status)
        return web.Response(status=204) if found is None else web.json_response(found, status=status)


@asynccontextmanager
async def shaped(spec: Mapping[str, Any], shape: Shape) -> AsyncIterator[ShapeOutside]:
    """The shape behind a server on loopback."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    token = {"token": {"secretKeyRef": {"name": "forge", "key": "token"}}}
    outside = ShapeOutside(PullRequestSpec.model_validate({**token, **spec, "url": url}), shape)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", outside.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield outside
    finally:
        await runner.cleanup()


def stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
