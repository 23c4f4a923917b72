"""The loop that brings promotions from the store to a commit, and what people may ask of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
import structlog
from anyio.abc import TaskStatus
from sqlalchemy import Connection

from deploy import asked, attempt, barrier, follower, gates, hold_files
from deploy.attempt import Place
from deploy.barrier import Pushing
from deploy.beginning import begin
from deploy.clearance import Clearance
from deploy.derive import Derived, Intent
from deploy.desk import Desk
from deploy.forges import RateLimited
from deploy.gates import Tools
from deploy.git import Race
from deploy.git.access import Vault
from deploy.health import Health
from deploy.hold_files import HoldFiles
from deploy.outcomes import Ending, emit
from deploy.people import People
from deploy.plan import plan
from deploy.pulling import Puller, Task, Unjudged, tidy
from deploy.registry import marker
from deploy.rollout import canary, verifier
from deploy.rollout.verifier import OpenOutside, Verifier
from deploy.spec import PromotionDocument
from deploy.timings import Timings
from retrain.clock import Clock, SystemClock
from retrain.errors import ConfigError, NotFound, Permanent, Refused, Transient
from retrain.events import JsonValue
from retrain.identity import nobody_known
from retrain.store import Store, promotions
from retrain.store.promotions import PromotionRow
from retrain.store.traces import trace_ids
from retrain.telemetry.bound import bound
from retrain.telemetry.ids import span_id

T = TypeVar("T")
OpenTools = Callable[[], AbstractAsyncContextManager[Tools]]
log = structlog.get_logger()

TOPIC = "promotions"
AT_ONCE = 4
"""Promotions worked on at the same time. Those of one repository take turns."""
POLL_S = 1.0
"""How often to look for promotions that are due again, or that another process wrote."""
RACES = 20
"""Lost races before a promotion waits like after any other trouble."""
UNJUDGED = 20
"""Times in a row that a gate may be in error before its promotion is refused."""
LONGEST_S = 300.0


@dataclass(frozen=True, slots=True)
class Settings:
    """`owner` is the same over restarts of one process, and another for each process. Times in seconds.

    `forge_s`: between two looks at an open pull request.
    """

    owner: str = "promoter"
    lease_s: float = 60.0
    first_wait_s: float = 2.0
    forge_s: float = 30.0


class Promoter:
    """Works off the store's promotions. Build it, then `await run()` in a task group; the rest may be called any time.

    `environment` is what git may see of the process's own (see `git.PASSED_ON`); `root` is where relative
    repository paths start; caches lie under `data`. `tools`: what gates ask with; `outside`: what checks
    after a commit do. Both are held while it runs.
    """

    def __init__(  # noqa: PLR0913 - what it is built from, handed in by name
        self,
        store: Store,
        documents: Mapping[str, PromotionDocument],
        place: Place,
        *,
        clock: Clock | None = None,
        settings: Settings | None = None,
        tools: OpenTools | None = None,
        outside: OpenOutside | None = None,
    ) -> None:
        self.documents = dict(documents)
        self._store = store
        self._place = place
        self._clock = clock or SystemClock()
        self._settings = settings or Settings()
        self._active: set[str] = set()
        self._parked: set[str] = set()
        self._unjudged: dict[str, int] = {}
        self._open_tools = tools
        self._tools: Tools | None = None
        self._stumbles: dict[str, int] = {}
        # Waiting for a repository's turn takes a task, not a thread.
        self._turns: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        self._limiter = anyio.CapacityLimiter(AT_ONCE + 4)
        self._health = Health(lambda: self.documents, place, self._limiter)
        owner = self._settings.owner
        self._marker = marker.Marker(store, lambda: self.documents, place.vault, self._clock, owner)
        self._verifier = Verifier(store, lambda: self.documents, place, self._clock, outside, owner=owner)
        self._hold_files = HoldFiles(store, lambda: self.documents, place, self._clock, self._limiter, owner)
        self._puller = Puller(store, place, self._clock, self._limiter, owner, self._settings.forge_s)
        self.people = People(store, Desk(lambda: self.documents), place, self._clock, self._limiter)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled. Git commands in hand are killed then; what they did is found again by the next run."""
        await self._store.write(lambda c: promotions.release(c, self._settings.owner))
        await self.take(self.documents)  # the project may have changed while nobody ran
        async with AsyncExitStack() as stack:
            if self._open_tools is not None:
                self._tools = await stack.enter_async_context(self._open_tools())
            await self._work(task_status)

    async def _work(self, task_status: TaskStatus[None]) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._stop_git)
            group.start_soon(self._renew)
            group.start_soon(self._health.probe)
            group.start_soon(follower.run, self._store, lambda: self.documents, self._clock)
            group.start_soon(
                tidy.run, self._store, lambda: self.documents, self._place, self._clock, self._settings.owner
            )
            group.start_soon(self._marker.run)
            group.start_soon(self._verifier.run)
            group.start_soon(self._hold_files.run)
            task_status.started()
            while True:
                rows = await self._claim()
                for row in rows:
                    group.start_soon(self._settle, row)
                if not rows:
                    await self._store.signals.wait(TOPIC, POLL_S)

    async def take(self, documents: Mapping[str, PromotionDocument]) -> None:
        """Go by these documents from now on. What waits is looked at again: they may say otherwise."""
        self.documents = dict(documents)
        now = self._clock.now()
        await self._store.write(lambda c: promotions.look_again(c, now))
        self._store.signals.notify(TOPIC)

    @property
    def vault(self) -> Vault:
        """Reads the secrets that Promotions name, as they are now."""
        return self._place.vault

    def state(self) -> dict[str, JsonValue]:
        """For readiness: each promotion's repository, and what is wrong with it."""
        trouble = {**self._verifier.state(), **self._health.trouble}
        return {name: {"ready": name not in trouble, "reason": trouble.get(name, "")} for name in self.documents}

    async def plan(
        self, document: PromotionDocument, candidate: Mapping[str, JsonValue], environment: str | None = None
    ) -> dict[str, JsonValue]:
        """What a promotion would change and what its gates say. Nothing changes.

        Raises:
            ConfigError, Refused: it could not be made.
            Transient, Permanent: the repository is away, or says no.
        """
        return await plan(self._place, document, candidate, self._clock, environment)

    async def rollback(self, name: str, *, reason: str = "", actor: str = "") -> str:
        """Go back to what was live before. As `people.rollback`, for whoever sits at this machine."""
        return await self.people.rollback(name, reason=reason, by=nobody_known(actor or "somebody"))

    async def hold(self, name: str, *, reason: str = "", actor: str = "") -> None:
        """Keep automation from promoting until `release`. As `people.hold`, for whoever sits at this machine."""
        await self.people.hold(name, reason=reason, by=nobody_known(actor or "somebody"))

    async def release(self, name: str) -> bool:
        """Let automation promote again; False if nothing held it. As `people.release`."""
        return await self.people.release(name, by=nobody_known("somebody"))

    async def _claim(self) -> list[PromotionRow]:
        free = AT_ONCE - len(self._active)
        if free <= 0:
            return []
        now = self._clock.now()
        until = now + timedelta(seconds=self._settings.lease_s)
        owner = self._settings.owner
        rows = await self._store.write(lambda c: promotions.claim(c, owner, now, until, free))
        # A lease of our own that ran out while we work on it is still ours to finish.
        rows = [row for row in rows if row.id not in self._active]
        self._active |= {row.id for row in rows}
        return rows

    async def _renew(self) -> None:
        while True:
            await anyio.sleep(self._settings.lease_s / 3)
            if ids := list(self._active):
                until = self._clock.now() + timedelta(seconds=self._settings.lease_s)
                await self._store.write(partial(self._extend, ids=ids, until=until))

    def _extend(self, connection: Connection, ids: list[str], until: datetime) -> None:
        promotions.renew(connection, self._settings.owner, ids, until)

    async def _stop_git(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self._puller.close()
            self._place.git.close()

    async def _settle(self, row: PromotionRow) -> None:
        """Bring one promotion to its end, or to its next attempt. Whatever goes wrong stays with this one."""
        with anyio.CancelScope(shield=True):
            try:
                with bound(trace_id=await self._trace_of(row), span_id=span_id("promotion", row.id)):
                    await self._conclude(row)
                # Not before: one that people make due meanwhile would be taken up by the work that is about to end.
                self._active.discard(row.id)
                if row.id in self._parked:
                    await self._store.write(lambda c: promotions.let_go(c, self._settings.owner, row.id))
            except Transient as error:  # the store itself: the lease runs out, and somebody takes it up again
                log.warning("promotion.unsaved", promotion_id=row.id, error=str(error))
            finally:
                self._active.discard(row.id)
                self._parked.discard(row.id)
                for topic in (TOPIC, follower.TOPIC, marker.TOPIC, tidy.TOPIC, verifier.TOPIC, hold_files.TOPIC):
                    self._store.signals.notify(topic)

    async def _trace_of(self, row: PromotionRow) -> str:
        found = await self._store.read(lambda c: trace_ids(c, [("promotion", row.id)]))
        return found["promotion", row.id].id

    async def _conclude(self, row: PromotionRow) -> None:
        try:
            await self._advance(row)
        except Transient as error:
            self._health.note(row.name, error)
            await self._later(row, error)
        except _Over as over:
            await self._end(row, over.ending)
        except (Refused, NotFound) as error:
            await self._end(row, Ending("refused", str(error)))
        except (Permanent, ConfigError) as error:
            await self._end(row, Ending("failed", str(error)))
        except Exception as error:
            log.exception("promotion.crashed", promotion_id=row.id)
            await self._end(row, Ending("failed", f"{type(error).__name__}: {error}"))

    async def _advance(self, row: PromotionRow) -> None:
        document = self.documents.get(row.name)
        if document is None or row.environment not in document.environments:
            raise ConfigError(f"no Promotion is named {row.name!r} for {row.environment!r} any more")
        for tries in range(RACES):
            try:
                await self._try_once(row, document)
                return
            except Race as race:
                log.info("promotion.race_lost", promotion_id=row.id, tries=tries + 1, reason=str(race))
            await anyio.sleep(_spread(row.id, tries) * 0.05 * (tries + 1))
        raise Transient(f"lost {RACES} races for {document.spec.repo.branch} of {document.spec.repo.url}")

    async def _try_once(self, row: PromotionRow, document: PromotionDocument) -> None:
        target = document.at(row.environment)
        start = partial(begin, document=document, row=row, owner=self._settings.owner, now=self._clock.now())
        wish = await self._store.write(start)
        if isinstance(wish, Ending):
            await self._end(row, wish)
            return
        # Where a canary has begun by pushes, it ends by pushes.
        if target.spec.pullRequest is not None and not wish.step:
            await self._pull(row, document, wish)
            return
        times = Timings(self._clock)
        wish = await self._asked(target, wish)
        times.asked = wish.given.at or row.created
        async with self._turns[document.spec.repo.url]:
            before_push = partial(self._before_push, row, document, times)
            base, commit, derived = await self._in_thread(partial(attempt.run, self._place, target, wish, before_push))
        self._health.well(row.name)
        times.note("pushed" if "pushing" in times.known else "judged")
        match derived.outcome:
            case "commit":
                looks = canary.begin(document, row, self._clock.now())
                await self._end(row, Ending("committed", derived.reason, base, commit, derived, looks, times.known))
            case "landed":  # a push that nobody saw the end of: when it began is written down
                looks = canary.begin(document, row, self._clock.now())
                await self._end(row, Ending("committed", derived.reason, base, commit, derived, looks))
            case "noop" | "refused":
                if derived.outcome == "noop" or derived.reason:
                    ending = Ending(derived.outcome, derived.reason, base, None, derived, timings=times.known)
                    await self._end(row, ending)
            case "unjudged":
                await self._judge_later(row, Ending("refused", derived.reason, base, None, derived))

    async def _pull(self, row: PromotionRow, document: PromotionDocument, wish: Intent) -> None:
        """One look at its pull request."""
        asked_of = partial(self._asked, document.at(row.environment))
        turn = self._turns[document.spec.repo.url]
        outcome = await self._puller.look(Task(row, document, wish, asked_of), turn)
        self._health.well(row.name)
        self._stumbles.pop(row.id, None)
        match outcome:
            case Ending():
                committed = outcome.state == "committed"
                looks = canary.begin(document, row, self._clock.now()) if committed else None
                await self._end(row, replace(outcome, verification=looks))
            case Unjudged():
                await self._judge_later(row, outcome.ending)
            case "parked":
                self._parked.add(row.id)
            case "lost":
                log.warning("promotion.lease_lost", promotion_id=row.id)

    async def _asked(self, target: PromotionDocument, wish: Intent) -> Intent:
        """The wish with what its gates have asked others."""
        # What was judged for a canary's first step holds for its next ones.
        if wish.step or not asked.needs_asking(target, wish):
            return wish
        if self._tools is None:
            raise ConfigError("a gate of this promotion asks others, and here is nothing to ask with")
        return await asked.ask(self._place, target, wish, self._tools, wish.given.at)

    async def _judge_later(self, row: PromotionRow, ending: Ending) -> None:
        """Ask the gates again after a while, in the end no more: an error is no pass, however often it comes."""
        assert ending.derived is not None
        waits_for_answer = gates.overall(ending.derived.verdicts) == "pending"
        self._unjudged[row.id] = 0 if waits_for_answer else self._unjudged.get(row.id, 0) + 1
        if self._unjudged[row.id] < UNJUDGED:
            await self._later(row, Transient(ending.reason), gates=ending.derived.gates)
            return
        del self._unjudged[row.id]
        await self._end(row, ending)

    def _before_push(
        self,
        row: PromotionRow,
        document: PromotionDocument,
        times: Timings,
        derived: Derived,
        base: str,
        commit: str,
    ) -> bool:
        """Write down what is about to be pushed (from the worker thread); False if it must not be.

        Raises:
            Race: approvals came or went meanwhile; derive again.
        """
        seen = barrier.look_behind(self._place, document, row.environment, base) if row.action == "promote" else []
        times.note("judged")
        times.note("pushing")
        pushing = Pushing(self._settings.owner, row, document, derived, base, commit, times.asked, seen, times.known)
        answer = anyio.from_thread.run(self._store.write, partial(barrier.ask, pushing=pushing, now=self._clock.now()))
        match answer:
            case "go":
                return True
            case "again":
                raise Race(f"the approvals of {row.id} have changed meanwhile")
            case "lost":
                log.warning("promotion.lease_lost", promotion_id=row.id)
            case Ending():
                raise _Over(answer)
            case Clearance():
                self._parked.add(row.id)
                anyio.from_thread.run_sync(self._store.signals.notify, "outbox")
                log.info("promotion.awaits", promotion_id=row.id, reason=answer.reason)
        return False

    async def _later(self, row: PromotionRow, error: Transient, **more: Any) -> None:
        now = self._clock.now()
        # An open pull request is looked at often: how often says nothing of what is wrong.
        tries = self._stumbles[row.id] = self._stumbles.get(row.id, 0) + 1
        tries = row.attempts if row.pull is None else tries
        wait = min(LONGEST_S, self._settings.first_wait_s * 2 ** min(tries, 10))
        wait *= 0.5 + _spread(row.id, tries) / 2
        wait = max(wait, error.after_s if isinstance(error, RateLimited) else 0.0)
        waiting: dict[str, Any] = {
            "reason": str(error),
            "next_attempt": now + timedelta(seconds=wait),
            "owner": None,
            "lease_until": None,
            **more,
        }
        await self._store.write(lambda c: promotions.save(c, self._settings.owner, row.id, now, **waiting))
        log.info("promotion.waits", promotion_id=row.id, seconds=round(wait, 1), reason=str(error))

    async def _end(self, row: PromotionRow, ending: Ending) -> None:
        now = self._clock.now()
        self._stumbles.pop(row.id, None)
        await self._store.write(lambda c: emit(c, self._settings.owner, row, ending, now))
        self._store.signals.notify("outbox")
        log.info("promotion.ended", promotion_id=row.id, state=ending.state, commit=ending.commit, reason=ending.reason)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


class _Over(Exception):
    """What the last word before the push ended a promotion with."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending


def _spread(promotion_id: str, tries: int) -> float:
    """A number from 0 to 1 that differs between promotions: those that met once should not meet again."""
    return int.from_bytes(sha256(f"{promotion_id}:{tries}".encode()).digest()[:4]) / 2**32
