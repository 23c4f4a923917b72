"""The loop that brings promotions from the store to a commit, and what people may ask of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
import structlog
from anyio.abc import TaskStatus
from sqlalchemy import Connection

from deploy import attempt, proposals
from deploy.attempt import Place
from deploy.derive import Derived
from deploy.git import Race
from deploy.names import one_line
from deploy.outcomes import Ending, emit
from deploy.plan import plan
from deploy.spec import PromotionDocument
from retrain.clock import Clock, SystemClock
from retrain.errors import ConfigError, NotFound, Permanent, Refused, Transient
from retrain.events import JsonValue
from retrain.store import Store, promotions
from retrain.store.promotions import Hold, PromotionRow

T = TypeVar("T")
log = structlog.get_logger()

TOPIC = "promotions"
AT_ONCE = 4
"""Promotions worked on at the same time. Those of one repository take turns."""
POLL_S = 1.0
"""How often to look for promotions that are due again, or that another process wrote."""
RACES = 20
"""Lost races before a promotion waits like after any other trouble."""
LONGEST_S = 300.0
PROBE_S = 15.0


@dataclass(frozen=True, slots=True)
class Settings:
    """`owner` is the same over restarts of one process, and another for each process. Times in seconds."""

    owner: str = "promoter"
    lease_s: float = 60.0
    first_wait_s: float = 2.0


class Promoter:
    """Works off the store's promotions. Build it, then `await run()` in a task group; the rest may be called any time.

    `environment` is what git may see of the process's own (see `git.PASSED_ON`); `root` is where relative
    repository paths start; caches lie under `data`.
    """

    def __init__(
        self,
        store: Store,
        documents: Mapping[str, PromotionDocument],
        place: Place,
        *,
        clock: Clock | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.documents = dict(documents)
        self._store = store
        self._place = place
        self._clock = clock or SystemClock()
        self._settings = settings or Settings()
        self._active: set[str] = set()
        self._trouble: dict[str, str] = {}
        # Waiting for a repository's turn takes a task, not a thread.
        self._turns: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        self._limiter = anyio.CapacityLimiter(AT_ONCE + 4)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled. Git commands in hand are killed then; what they did is found again by the next run."""
        await self._store.write(lambda c: promotions.release(c, self._settings.owner))
        async with anyio.create_task_group() as group:
            group.start_soon(self._stop_git)
            group.start_soon(self._renew)
            group.start_soon(self._probe)
            task_status.started()
            while True:
                rows = await self._claim()
                for row in rows:
                    group.start_soon(self._settle, row)
                if not rows:
                    await self._store.signals.wait(TOPIC, POLL_S)

    def state(self) -> dict[str, JsonValue]:
        """For readiness: each promotion's repository, and what is wrong with it."""
        return {
            name: {"ready": name not in self._trouble, "reason": self._trouble.get(name, "")} for name in self.documents
        }

    async def plan(self, document: PromotionDocument, candidate: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """What a promotion would change and what its gates say. Nothing changes.

        Raises:
            ConfigError, Refused: it could not be made.
            Transient, Permanent: the repository is away, or says no.
        """
        return await plan(self._place, document, candidate, self._clock)

    async def rollback(self, name: str, *, reason: str = "", actor: str = "") -> str:
        """Go back to what was live before, by a new commit, and hold the target; the id of the promotion that does it.

        Raises:
            NotFound: no promotion has that name.
            Refused: nothing is on record to go back to.
            Transient, Permanent: the repository is away, or says no.
        """
        document = self._document(name)
        record = await self._in_thread(partial(attempt.current, self._place, document))
        if record is None or record.live is None or not record.wayBack:
            raise Refused(f"{name}: there is nothing on record to go back to in {document.spec.environment}")
        digest = record.live.digest
        now = self._clock.now()
        row = PromotionRow(
            id="",
            intent_key=proposals.intent_key(document, digest, "rollback"),
            name=name,
            environment=document.spec.environment,
            candidate={"digest": digest, "uri": record.live.uri, "reason": one_line(reason), "actor": one_line(actor)},
            created=now,
            updated=now,
            next_attempt=now,
            action="rollback",
        )
        hold = Hold(name, document.spec.environment, reason or f"rolled back from {digest}", actor, now)

        def work(connection: Connection) -> str:
            # The hold comes first: nothing may be promoted between the wish and the commit.
            promotions.hold(connection, hold)
            return proposals.propose(connection, row)

        promotion_id = await self._store.write(work)
        self._store.signals.notify(TOPIC)
        return promotion_id

    async def hold(self, name: str, *, reason: str = "", actor: str = "") -> None:
        """Keep automation from promoting until `release`.

        Raises:
            NotFound: no promotion has that name.
        """
        document = self._document(name)
        hold = Hold(name, document.spec.environment, reason, actor, self._clock.now())
        await self._store.write(lambda c: promotions.hold(c, hold))

    async def release(self, name: str) -> bool:
        """Let automation promote again; False if nothing held it.

        Raises:
            NotFound: no promotion has that name.
        """
        document = self._document(name)
        return await self._store.write(lambda c: promotions.release_hold(c, name, document.spec.environment))

    def _document(self, name: str) -> PromotionDocument:
        document = self.documents.get(name)
        if document is None:
            raise NotFound(f"no promotion is named {name!r}; there are {', '.join(sorted(self.documents)) or 'none'}")
        return document

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
            self._place.git.close()

    async def _probe(self) -> None:
        """Say early what is wrong with a repository, and notice when it is well again."""
        while True:
            for name, document in list(self.documents.items()):
                try:
                    await self._in_thread(self._place.repository(document).probe)
                    self._trouble.pop(name, None)
                except (Transient, Permanent) as error:
                    self._note_trouble(name, error)
            if not self._trouble:
                return
            await anyio.sleep(PROBE_S)

    def _note_trouble(self, name: str, error: Exception) -> None:
        if self._trouble.get(name) != str(error):
            log.warning("promotion.repository_away", promotion=name, error=str(error))
        self._trouble[name] = str(error)

    async def _settle(self, row: PromotionRow) -> None:
        """Bring one promotion to its end, or to its next attempt. Whatever goes wrong stays with this one."""
        with anyio.CancelScope(shield=True):
            try:
                await self._conclude(row)
            except Transient as error:  # the store itself: the lease runs out, and somebody takes it up again
                log.warning("promotion.unsaved", promotion_id=row.id, error=str(error))
            finally:
                self._active.discard(row.id)
                self._store.signals.notify(TOPIC)

    async def _conclude(self, row: PromotionRow) -> None:
        try:
            await self._advance(row)
        except Transient as error:
            self._note_trouble(row.name, error)
            await self._later(row, error)
        except (Refused, NotFound) as error:
            await self._end(row, Ending("refused", str(error)))
        except (Permanent, ConfigError) as error:
            await self._end(row, Ending("failed", str(error)))
        except Exception as error:
            log.exception("promotion.crashed", promotion_id=row.id)
            await self._end(row, Ending("failed", f"{type(error).__name__}: {error}"))

    async def _advance(self, row: PromotionRow) -> None:
        document = self.documents.get(row.name)
        if document is None or document.spec.environment != row.environment:
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
        async with self._turns[document.spec.repo.url]:
            if refusal := await self._store.write(partial(self._begin, row=row)):
                await self._end(row, refusal)
                return
            work = partial(attempt.run, self._place, document, proposals.intent(row), partial(self._before_push, row))
            base, commit, derived = await self._in_thread(work)
        self._trouble.pop(row.name, None)
        match derived.outcome:
            case "commit" | "landed":
                await self._end(row, Ending("committed", derived.reason, base, commit, derived))
            case "noop" | "refused":
                if derived.outcome == "noop" or derived.reason:
                    await self._end(row, Ending(derived.outcome, derived.reason, base, None, derived))

    def _begin(self, connection: Connection, row: PromotionRow) -> Ending | None:
        """Enter `gating`; what stops the promotion instead, if something does."""
        hold = promotions.holding(connection, row.name, row.environment)
        # A commit that may have been pushed before a crash is looked for even under a hold.
        if hold is not None and row.action == "promote" and row.commit_sha is None:
            return held(hold)
        if row.commit_sha is None:
            promotions.save(connection, self._settings.owner, row.id, self._clock.now(), state="gating")
        return None

    def _before_push(self, row: PromotionRow, derived: Derived, base: str, commit: str) -> bool:
        """Write down what is about to be pushed (from the worker thread); False if it must not be."""

        def work(connection: Connection) -> Ending | bool | None:
            hold = promotions.holding(connection, row.name, row.environment)
            if hold is not None and row.action == "promote":
                return held(hold)
            return promotions.save(
                connection,
                self._settings.owner,
                row.id,
                self._clock.now(),
                state="committing",
                base_sha=base,
                commit_sha=commit,
                gates=derived.gates,
                changes=derived.changes,
                diff=derived.diff,
            )

        answer = anyio.from_thread.run(self._store.write, work)
        if isinstance(answer, Ending):
            raise Refused(answer.reason)
        if not answer:
            log.warning("promotion.lease_lost", promotion_id=row.id)
        return bool(answer)

    async def _later(self, row: PromotionRow, error: Transient) -> None:
        now = self._clock.now()
        wait = min(LONGEST_S, self._settings.first_wait_s * 2 ** min(row.attempts, 10))
        wait *= 0.5 + _spread(row.id, row.attempts) / 2
        waiting = {
            "reason": str(error),
            "next_attempt": now + timedelta(seconds=wait),
            "owner": None,
            "lease_until": None,
        }
        await self._store.write(lambda c: promotions.save(c, self._settings.owner, row.id, now, **waiting))
        log.info("promotion.waits", promotion_id=row.id, seconds=round(wait, 1), reason=str(error))

    async def _end(self, row: PromotionRow, ending: Ending) -> None:
        now = self._clock.now()
        await self._store.write(lambda c: emit(c, self._settings.owner, row, ending, now))
        self._store.signals.notify("outbox")
        log.info("promotion.ended", promotion_id=row.id, state=ending.state, commit=ending.commit, reason=ending.reason)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


def held(hold: Hold) -> Ending:
    """What a promotion that meets a hold comes to."""
    why = f" ({hold.reason})" if hold.reason else ""
    return Ending("refused", f"held by {hold.actor or 'somebody'} since {hold.created:%Y-%m-%dT%H:%M:%SZ}{why}")


def _spread(promotion_id: str, tries: int) -> float:
    """A number from 0 to 1 that differs between promotions: those that met once should not meet again."""
    return int.from_bytes(sha256(f"{promotion_id}:{tries}".encode()).digest()[:4]) / 2**32
