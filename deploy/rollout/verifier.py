"""The loop that looks at what has been committed: does the cluster follow, and is it healthy there?

What it found so far is in the promotion's `verification`, so that a restart goes on where the last look ended.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import anyio
import structlog
from anyio.abc import TaskStatus
from sqlalchemy import Connection

from deploy.attempt import Place
from deploy.rollout import aftermath, asking, judge, subjects
from deploy.rollout.check import Finding, Subject
from deploy.rollout.judge import Looked
from deploy.rollout.spec import Built, build
from deploy.rollout.tools import Nothing, Outside
from deploy.rollout.tracing import Tracing
from deploy.rollout.verdict import Verified
from deploy.spec import PromotionDocument
from retrain import faults
from retrain.clock import Clock
from retrain.errors import ConfigError, Transient
from retrain.events import JsonValue
from retrain.store import Store, promotions, verifications
from retrain.store.promotions import PromotionRow

OpenOutside = Callable[[], AbstractAsyncContextManager[Outside]]
log = structlog.get_logger()

TOPIC = "verifications"
AT_ONCE = 16
"""Promotions that are looked at at the same time."""
POLL_S = 1.0
"""How often to look for promotions that are due, or that another process wrote."""
LEASE = timedelta(seconds=60)
NEVER = timedelta(days=36500)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look came to."""

    checks: Sequence[Built]
    looked: Looked
    verified: Verified


class Verifier:
    """Works off the store's verifications. Build it, then `await run()` in a task group.

    `documents` are those that run now; `owner` is the same over restarts of one process, and another for each process.
    """

    def __init__(
        self,
        store: Store,
        documents: Callable[[], Mapping[str, PromotionDocument]],
        place: Place,
        clock: Clock,
        outside: OpenOutside | None = None,
        *,
        owner: str = "verifier",
    ) -> None:
        self._store = store
        self._documents = documents
        self._clock = clock
        self._owner = owner
        self._open = outside or _open_nothing
        self._tracing = Tracing(place)
        self._active: set[str] = set()
        self._trouble: dict[str, str] = {}

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Look until cancelled. A look in hand is given up then, and made again by the next run."""
        await self._store.write(lambda c: verifications.release(c, self._owner))
        async with self._open() as outside, anyio.create_task_group() as group:
            group.start_soon(self._renew)
            task_status.started()
            while True:
                rows = await self._claim()
                for row in rows:
                    group.start_soon(self._settle, row, outside)
                if not rows:
                    await self._store.signals.wait(TOPIC, POLL_S)

    def state(self) -> dict[str, str]:
        """For readiness: what keeps a promotion's checks from seeing anything, by the promotion's name."""
        return {name: f"verification: {reason}" for name, reason in self._trouble.items()}

    async def _claim(self) -> list[PromotionRow]:
        free = AT_ONCE - len(self._active)
        if free <= 0:
            return []
        now = self._clock.now()
        try:
            rows = await self._store.write(lambda c: verifications.claim(c, self._owner, now, now + LEASE, free))
        except Transient as error:
            log.warning("verification.unclaimed", error=str(error))
            return []
        # A lease of our own that ran out while we look is still ours to finish.
        rows = [row for row in rows if row.id not in self._active]
        self._active |= {row.id for row in rows}
        return rows

    async def _renew(self) -> None:
        while True:
            await anyio.sleep(LEASE.total_seconds() / 3)
            if ids := list(self._active):
                until = self._clock.now() + LEASE
                try:
                    await self._store.write(partial(promotions.renew, owner=self._owner, ids=ids, lease_until=until))
                except Transient as error:
                    log.warning("verification.unrenewed", error=str(error))

    async def _settle(self, row: PromotionRow, outside: Outside) -> None:
        """One look at one promotion, and what follows from it. Whatever goes wrong stays with this one."""
        try:
            look = await self._look(row, outside)
            with anyio.CancelScope(shield=True):
                await self._save(row, look)
        except Transient as error:  # the store itself: the lease runs out, and somebody looks again
            log.warning("verification.unsaved", promotion_id=row.id, error=str(error))
        except Exception as error:
            log.exception("verification.crashed", promotion_id=row.id)
            self._trouble[row.name] = f"{type(error).__name__}: {error}"
        finally:
            self._active.discard(row.id)
            self._store.signals.notify(TOPIC)

    async def _look(self, row: PromotionRow, outside: Outside) -> Look:
        now = self._clock.now()
        looked = judge.read(row.verification, now)
        document = self._documents().get(row.name)
        try:
            target = document.at(row.environment) if document is not None else None
        except ConfigError:
            target = None
        if document is None or target is None or not target.spec.verify:
            return Look((), looked, Verified("superseded", "its manifest says no more that it is to be verified"))
        newer = await self._store.read(lambda c: promotions.latest(c, row.name, row.environment))
        if newer is not None and newer.id != row.id:
            return Look((), looked, Verified("superseded", f"{newer.id} came into the branch after it"))
        try:
            checks = build(target.spec.verify)
        except ConfigError as error:
            return Look((), looked, Verified("error", str(error)))
        restored = await self._tracing.restored(target, row.commit_sha or "") if row.action == "rollback" else None
        subject = subjects.subject(target, row, looked.since, restored)
        found = await self._ask(document, subject, judge.due(checks, looked, now), looked, outside)
        at = self._clock.now()
        after = judge.learn(checks, looked, found, at)
        return Look(checks, after, judge.conclude(checks, after, at))

    async def _ask(
        self, document: PromotionDocument, subject: Subject, due: Sequence[Built], looked: Looked, outside: Outside
    ) -> dict[str, Finding]:
        """What the checks that are due find, asked at the same time."""
        tools = self._tracing.tools(document, subject.commit, outside)
        found: dict[str, Finding] = {}

        async def one(check: Built) -> None:
            note = looked.notes.get(check.name)
            memory = note.memory if note is not None else {}
            answer = await asking.ask(check, subject, memory, tools)
            found[check.name] = asking.judge(check, subject, answer, memory, self._clock.now())

        async with anyio.create_task_group() as group:
            for check in due:
                group.start_soon(one, check)
        return found

    async def _save(self, row: PromotionRow, look: Look) -> None:
        now = self._clock.now()
        saved = await self._store.write(partial(self._written, row=row, look=look, now=now))
        if not saved:
            log.info("verification.moved_on", promotion_id=row.id)
            self._trouble.pop(row.name, None)
            return
        faults.point("verification.after_save")
        self._note(row, look.verified)
        if look.verified.outcome != "pending":
            log.info(
                "verification.ended", promotion_id=row.id, outcome=look.verified.outcome, reason=look.verified.reason
            )
            for topic in aftermath.WAKES:
                self._store.signals.notify(topic)

    def _written(self, connection: Connection, row: PromotionRow, look: Look, now: datetime) -> bool:
        """Save what was found, and in the same transaction what it leads to; False if the promotion has moved on."""
        fresh = promotions.get(connection, row.id)
        # Somebody may have begun it anew (a retry), or committed its next step, while we looked.
        if fresh is None or fresh.commit_sha != row.commit_sha or not _same(fresh, row):
            return False
        verified = look.verified
        upcoming = _next(look, now)
        seen = judge.write(look.looked, verified, upcoming)
        free: dict[str, JsonValue] = {"owner": None, "lease_until": None, "verification": seen}
        owner, was = self._owner, (verifications.STATE,)
        if not promotions.save(connection, owner, row.id, now, was=was, next_attempt=upcoming, **free):
            return False
        if verified.outcome not in {"pending", "superseded"}:
            document = self._documents()[row.name]
            settled = promotions.get(connection, row.id)
            assert settled is not None
            aftermath.settle(connection, document, settled, verified, now)
        return True

    def _note(self, row: PromotionRow, verified: Verified) -> None:
        """Say early what keeps the checks from seeing anything."""
        blind = [f"{one.name}: {one.reason}" for one in verified.checks if one.verdict == "error"]
        if not blind or verified.outcome != "pending":
            self._trouble.pop(row.name, None)
            return
        reason = "; ".join(blind)
        if self._trouble.get(row.name) != reason:
            log.warning("verification.blind", promotion_id=row.id, reason=reason)
        self._trouble[row.name] = reason


def _next(look: Look, now: datetime) -> datetime:
    """When to look again."""
    match look.verified.outcome:
        case "pending":
            return judge.upcoming(look.checks, look.looked, now)
        case "superseded":
            return now + NEVER
        case _:
            return now


@asynccontextmanager
async def _open_nothing() -> AsyncGenerator[Outside]:
    yield Nothing()


def _same(fresh: PromotionRow, row: PromotionRow) -> bool:
    """Whether it is still the verification that was claimed."""
    mine, theirs = row.verification, fresh.verification
    if not isinstance(mine, dict) or not isinstance(theirs, dict):
        return False
    return theirs.get("outcome") == "pending" and mine.get("since") == theirs.get("since")
