"""Random interleavings of what happens to one deployment branch, over real git: who goes on when is a seed's choice.

Three replicas of the platform work on one store, each with a cache of its own; people propose, approve, hold, release,
roll back and commit by hand. Each part stops at every git command that reaches the branch, before and after it; one of
them goes on at a time, so that a seed plays the same story again. A replica may also die where it stops.
"""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.from_thread
from anyio.abc import TaskGroup

from deploy import Promoter, PromotionDocument, PromotionRequest, Settings, submit, succession
from deploy.attempt import Place
from deploy.git import Git
from deploy.rollout import aftermath
from deploy.rollout.verdict import Outcome, Verified
from retrain.clock import FakeClock
from retrain.errors import Forbidden, Refused
from retrain.identity import Principal
from retrain.store import Store, promotions
from retrain.store.promotions import PromotionRow
from tests.integration.promotion_world import MODEL, candidate, git

PATH = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
ENVIRONMENTS = ("staging", "production")
FILES = {name: f"overlays/{name}/model.yaml" for name in ENVIRONMENTS}
ADA = Principal("ada", frozenset({"admin"}), verified=True)
STOPS = ("fetch", "fast-import", "push")
"""The git commands that one waits before and after: the branch is read, a commit is made, the branch is moved."""
REPLICAS = 3


class Killed(BaseException):
    """What a replica that dies at its stop sees: nothing after it happens any more."""


class Part:
    """A replica, or a person at the terminal: works on one thing at a time, from stop to stop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.at: str | None = None
        self.busy = False
        self.doomed = False
        self._go = anyio.Event()
        self._still = anyio.Event()

    def stop(self, where: str) -> None:
        """Wait for one's turn, from the worker thread."""
        anyio.from_thread.run(self._wait, where)

    async def _wait(self, where: str) -> None:
        self.at, self._go = where, anyio.Event()
        self._still.set()
        await self._go.wait()
        self.at = None
        if self.doomed:
            raise Killed

    async def begin(self, group: TaskGroup, work: Callable[[], Awaitable[object]]) -> None:
        """Start something, and wait until it stops for the first time or is over."""
        self.busy, self._still = True, anyio.Event()
        group.start_soon(self._do, work)
        await self._still.wait()

    async def step(self, *, die: bool = False) -> None:
        """Go on to the next stop or to the end; `die`: no further."""
        self._still, self.doomed = anyio.Event(), die
        self._go.set()
        await self._still.wait()

    async def _do(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except (Refused, Killed):
            pass
        finally:
            self.busy = self.doomed = False
            self._still.set()


class Stepped(Git):
    """Git that stops at its commands."""

    part: Part | None = None

    def _finish(self, command: list[str], *more: Any) -> tuple[int, bytes, bytes]:
        verb = next((word for word in command if word in STOPS), None)
        if verb is None or self.part is None:
            return super()._finish(command, *more)
        self.part.stop(f"before {verb}")
        done = super()._finish(command, *more)
        if verb != "fast-import":
            self.part.stop(f"after {verb}")
        return done


class Branch:
    """The deployment repository as somebody sees it who is no part of the platform."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        git(path, "init", "-q", "--bare")
        git(path, "config", "receive.autogc", "false")
        self.human({FILES[name]: MODEL.encode() for name in ENVIRONMENTS} | {"README.md": b"hello\n"}, first=True)
        self._reader = subprocess.Popen(
            ["git", "-C", str(path), "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def close(self) -> None:
        self._reader.communicate()

    def read(self, name: str) -> bytes | None:
        """An object by name, such as `main:README.md`; None where there is none."""
        asked, said = self._reader.stdin, self._reader.stdout
        assert asked is not None
        assert said is not None
        asked.write(f"{name}\n".encode())
        asked.flush()
        header = said.readline().split()
        return said.read(int(header[2]) + 1)[:-1] if len(header) == 3 else None

    def human(self, files: dict[str, bytes], *, first: bool = False) -> str:
        """A commit by hand on top of what is there; its SHA."""
        parts = [b"commit refs/heads/main\nmark :1\ncommitter Human <h@x> 1 +0000\ndata 7\nby hand\n"]
        parts += [] if first else [b"from refs/heads/main^0\n"]
        parts += [b"M 100644 inline %s\ndata %d\n%s\n" % (n.encode(), len(b), b) for n, b in files.items()]
        stream = b"".join([*parts, b"\nget-mark :1\ndone\n"])
        command = ["git", "-C", str(self.path), "fast-import", "--done", "--quiet", "--date-format=raw"]
        return subprocess.run(command, input=stream, check=True, capture_output=True).stdout.decode().strip()


@dataclass
class Seen:
    """What an approval was given for, as the one who gave it saw it."""

    old: Any
    expires: Any


Deed = Callable[["Play"], Awaitable[None]]


@dataclass
class Play:
    """One branch's story. `pushing`: called as a promotion is about to be pushed, with its row.

    `proposed`: how good each model is, by digest; `hands`: the commits of people; `held`: environments that somebody
    rolled back and nobody has released since; `told`: what happened, for messages.
    """

    store: Store
    branch: Branch
    document: PromotionDocument
    folder: Path
    random: Random
    pushing: Callable[[Play, PromotionRow], Awaitable[None]]
    clock: FakeClock = field(default_factory=FakeClock)
    proposed: dict[str, float] = field(default_factory=dict)
    hands: list[str] = field(default_factory=list)
    seen: dict[str, list[Seen]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parts = [Part(f"replica{number}") for number in range(REPLICAS)]
        self.person = Part("person")
        self.promoters = {part.name: self._promoter(part) for part in (*self.parts, self.person)}
        self.working: dict[str, str] = {}

    def _promoter(self, part: Part) -> Promoter:
        runner = Stepped(self.folder / part.name / "home", PATH)
        runner.part = part
        place = Place(runner, self.folder / part.name, self.folder)
        settings = Settings(owner=part.name, lease_s=1e6)
        return Promoter(self.store, {"digits": self.document}, place, clock=self.clock, settings=settings)

    # --- who goes on -------------------------------------------------------------------------------------------------

    async def round(self, group: TaskGroup, deeds: list[Deed]) -> None:
        """Let these things happen while the platform works, in an order that the seed chooses; then let it finish."""
        waiting = list(deeds)
        while True:
            self.clock.advance(self.random.choice((1, 1, 1, 60)))
            choices: list[Callable[[], Awaitable[None]]] = [
                lambda part=part: self._step(part) for part in (*self.parts, self.person) if part.at
            ]
            if waiting:
                deed = waiting[0]
                choices += [lambda: self._deed(group, waiting.pop(0))] * (1 if deed is not roll_back else 2)
            choices += [lambda part=part: self._claim(group, part) for part in self.parts if not part.busy]
            if not waiting and not any(part.busy for part in (*self.parts, self.person)) and not await self._due():
                return
            await self.random.choice(choices)()

    async def _due(self) -> bool:
        now = self.clock.now()
        rows = await self.store.read(lambda c: promotions.listing(c, promotions.PromotionFilter(), limit=1000).items)
        return any(row.state in promotions.OPEN and row.next_attempt <= now for row in rows)

    async def _deed(self, group: TaskGroup, deed: Deed) -> None:
        if deed is roll_back:
            if not self.person.busy:
                self.tell("roll back")
                await self.person.begin(group, lambda: roll_back(self))
            return
        await deed(self)

    async def _claim(self, group: TaskGroup, part: Part) -> None:
        now = self.clock.now()
        until = now + timedelta(days=365)
        rows = await self.store.write(lambda c: promotions.claim(c, part.name, now, until, limit=1))
        for row in rows:
            self.tell(f"{part.name} takes {row.id} ({row.action} to {row.environment})")
            self.working[part.name] = row.id
            settle = self.promoters[part.name]._settle  # pyright: ignore[reportPrivateUsage]
            await part.begin(group, partial(settle, row))
            await self._look(part)

    async def _step(self, part: Part) -> None:
        # Most there where the branch has moved and the store does not know.
        die = part is not self.person and self.random.random() < (0.15 if part.at == "after push" else 0.02)
        self.tell(f"{part.name} {'dies' if die else 'goes on'} {part.at}")
        await part.step(die=die)
        if die:
            self.promoters[part.name] = self._promoter(part)
            await self.store.write(lambda c: promotions.release(c, part.name))
            if self.random.random() < 0.3:
                await hold(self)
        await self._look(part)

    async def _look(self, part: Part) -> None:
        """Right after the last word before the push: nothing else has moved since."""
        if part.at == "before push":
            row = await self.store.read(lambda c: promotions.get(c, self.working[part.name]))
            assert row is not None
            self.tell(f"{row.id} goes out to {row.environment} on {row.base_sha}")
            await self.pushing(self, row)

    async def end(self) -> None:
        """Let all that is on its way die, wherever it is."""
        for part in (*self.parts, self.person):
            while part.at:
                await part.step(die=True)

    def tell(self, what: str) -> None:
        self.told.append(what)


# --- what people do ----------------------------------------------------------------------------------------------


async def propose(play: Play) -> None:
    """A new model, mostly better than those before; seldom straight to production."""
    number = len(play.proposed) + 1
    body = candidate(f"m{number}", round(0.9 + 1e-5 * (number + play.random.randint(-2, 2)), 6))
    body["digest"] = f"sha256:{number:064x}"
    play.proposed[body["digest"]] = body["evaluation"]["metrics"]["accuracy"]
    where = "production" if play.random.random() < 0.15 else "staging"
    request = PromotionRequest("digits", body, f"f-{number}", environment=where)
    made = await play.store.write(lambda c: submit(c, play.document, request, play.clock.now()))
    play.tell(f"{made} is proposed to {where}: {body['digest'][-4:]} {body['evaluation']['metrics']}")


async def next_environment(play: Play) -> None:
    """What the follower does."""
    await play.store.write(lambda c: succession.advance(c, [play.document], play.clock.now()))


async def approve(play: Play) -> None:
    """Somebody looks at what waits, and says yes to that."""
    rows = await play.store.read(lambda c: promotions.awaiting(c, "digits"))
    if not rows:
        return
    # Mostly the newest: an older one is soon superseded.
    row = max(rows, key=lambda one: one.created) if play.random.random() < 0.7 else play.random.choice(rows)
    try:
        await play.promoters["person"].people.approve(row.id, by=ADA, reason="yes", subject=row.subject or "")
    except (Refused, Forbidden):
        return
    changes: Any = row.changes
    expires = play.clock.now() + timedelta(minutes=20)
    play.seen.setdefault(row.id, []).append(Seen(changes[0]["old"], expires))
    play.tell(f"{row.id} is approved")


async def verdict(play: Play) -> None:
    """What the verifier comes to, of one commit that is being verified."""
    rows = await play.store.read(lambda c: promotions.listing(c, promotions.PromotionFilter(), limit=1000).items)
    rows = [row for row in rows if row.state == "committed" and row.verification]
    if not rows:
        return
    row = play.random.choice(rows)
    outcome: Outcome = play.random.choice(("passed", "passed", "failed", "failed", "error", "timeout"))
    word = Verified(outcome, "as the seed says")
    await play.store.write(lambda c: aftermath.settle(c, play.document, row, word, play.clock.now()))
    play.tell(f"the verification of {row.id} ({row.action} to {row.environment}) says {outcome}")
    after = await play.store.read(lambda c: promotions.listing(c, promotions.PromotionFilter(), limit=1000).items)
    if any(one.candidate.get("promotion") == row.id for one in after):
        play.held.add(row.environment)  # what is taken back stays so until somebody says otherwise


async def human(play: Play) -> None:
    """A commit by hand: beside the manifest, in it, or of the value itself."""
    number = len(play.hands)
    kind = play.random.choice(("beside", "inside", "inside", "inside", "value"))
    file = FILES[play.random.choice(ENVIRONMENTS)]
    old = play.branch.read(f"main:{file}") or b""
    match kind:
        case "beside":
            files = {"README.md": b"hello %d\n" % number}
        case "inside":
            files = {file: b"# note %d\n" % number + old}
        case _:
            files = {file: old.replace(b"s3://models/digits/", b"s3://hand/%d/" % number)}
    play.hands.append(play.branch.human(files))
    play.tell(f"a human commits {kind} {file}")


async def roll_back(play: Play) -> None:
    """Somebody wants what was live before."""
    where = play.random.choice(ENVIRONMENTS)
    await play.promoters["person"].people.rollback("digits", environment=where, by=ADA, reason="odd")
    play.held.add(where)


async def hold(play: Play) -> None:
    """Somebody stops everything for one environment."""
    where = play.random.choice(ENVIRONMENTS)
    await play.promoters["person"].people.hold("digits", environment=where, by=ADA, reason="wait")
    play.tell(f"{where} is held")


async def release(play: Play) -> None:
    """Somebody lets it go on, where no rollback is on its way."""
    for where in ENVIRONMENTS:
        with suppress(Refused):
            await play.promoters["person"].people.release("digits", environment=where, by=ADA)
            play.held.discard(where)
            play.tell(f"{where} is released")
