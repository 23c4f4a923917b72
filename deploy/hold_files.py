"""Holds as Git shows them: a file beside the record of each target, for whoever reads the repository.

The store decides, also while the repository is away; the file follows by commits of its own. What ought to be there is
compared with what is, so it may be done again, by anybody, after any crash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import anyio
import anyio.to_thread
import orjson
import structlog
from sqlalchemy import Connection

from deploy import trailers
from deploy.attempt import Place
from deploy.git import Author, Race
from deploy.names import one_line
from deploy.spec import PromotionDocument
from retrain import faults
from retrain.clock import Clock
from retrain.errors import RetrainError, Transient
from retrain.events import JsonValue
from retrain.store import Store, leases, promotions
from retrain.store.promotions import Hold

log = structlog.get_logger()

SCHEMA = "retrain.dev/promotion-hold/v1"
TOPIC = "promotion holds"
LEASE = "promotion hold files"
LEASE_S = 120.0
POLL_S = 5.0
AGAIN_S = 30.0
"""Seconds after which what went wrong is tried again."""

Shown = Mapping[str, JsonValue] | None
"""A hold as the file has it: reason, actor, since; None: nothing holds."""


@dataclass(frozen=True, slots=True)
class Target:
    """One environment whose holds are shown, and what holds it."""

    document: PromotionDocument
    hold: Hold | None

    @property
    def name(self) -> str:
        """`production/digits`, as in trailers."""
        return f"{self.document.spec.environment}/{self.document.name}"


@dataclass(slots=True)
class HoldFiles:
    """The loop. `owner`: as the promoter's, the same over restarts."""

    store: Store
    documents: Callable[[], Mapping[str, PromotionDocument]]
    place: Place
    clock: Clock
    limiter: anyio.CapacityLimiter
    owner: str
    _done: dict[str, Shown] = field(default_factory=dict[str, Shown])
    _trouble: dict[str, tuple[str, datetime]] = field(default_factory=dict[str, tuple[str, datetime]])

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            for target in await self._due():
                await self._settle(target)
            await self.store.signals.wait(TOPIC, POLL_S)

    async def _due(self) -> list[Target]:
        shown = [one for document in self.documents().values() for one in _with_files(document)]
        if not shown:
            return []
        try:
            targets = await self.store.write(partial(self._look, shown=shown))
        except Transient as error:
            log.warning("promotion.holds_unread", error=str(error))
            return []
        return [one for one in targets if self._is_due(one)]

    def _look(self, connection: Connection, shown: list[PromotionDocument]) -> list[Target]:
        now = self.clock.now()
        if not leases.take(connection, [LEASE], self.owner, now, now + timedelta(seconds=LEASE_S)):
            return []
        return [Target(one, promotions.holding(connection, one.name, one.spec.environment)) for one in shown]

    def _is_due(self, target: Target) -> bool:
        if target.name in self._done and self._done[target.name] == shown_of(target.hold):
            return False
        failed = self._trouble.get(target.name)
        return failed is None or failed[1] <= self.clock.now()

    async def _settle(self, target: Target) -> None:
        """Bring one file up to date. Whatever goes wrong stays with it, and is tried again."""
        try:
            commit = await anyio.to_thread.run_sync(show, self.place, target, self.clock.now(), limiter=self.limiter)
        except Race:
            return  # at the next look
        except RetrainError as error:
            self._note(target, str(error))
            return
        self._trouble.pop(target.name, None)
        self._done[target.name] = shown_of(target.hold)
        if commit is not None:
            log.info("promotion.hold_shown", target=target.name, held=target.hold is not None, commit=commit)

    def _note(self, target: Target, problem: str) -> None:
        before = self._trouble.get(target.name)
        if before is None or before[0] != problem:
            log.warning("promotion.hold_not_shown", target=target.name, error=problem)
        self._trouble[target.name] = (problem, self.clock.now() + timedelta(seconds=AGAIN_S))


def show(place: Place, target: Target, now: datetime) -> str | None:
    """Make the file say what holds; the commit, or None where it says so already. Blocking.

    Raises:
        Race: the branch moved; look again.
        Refused, Transient, Permanent: as `attempt.run`.
    """
    document, file = target.document, file_of(target.document)
    repository, branch = place.repository(document), document.spec.repo.branch
    with repository.locked():
        base = repository.fetch(branch)
        there = repository.read(base, (), optional=file)[file]
        if read(there) == shown_of(target.hold):
            return None
        writer = document.spec.commit
        # The hold's own time, so that a commit that was made before a crash is made again as the same.
        at = target.hold.created if target.hold else now
        author = Author(writer.name, writer.email, int(at.timestamp()))
        commit = repository.commit(base, {file: written(target)}, message(target), author)
        faults.point("promotion.before_hold_push")
        repository.push(base, commit, branch)
        faults.point("promotion.after_hold_push")
        return commit


def file_of(document: PromotionDocument) -> str:
    """The path of the file, of one environment: the record's, with another end."""
    return f"{document.record_file.removesuffix('.json')}.hold.json"


def shown_of(hold: Hold | None) -> Shown:
    """A hold as the file has it."""
    if hold is None:
        return None
    return {"reason": one_line(hold.reason), "actor": one_line(hold.actor), "since": hold.created.isoformat()}


def written(target: Target) -> bytes:
    """The file's bytes."""
    spec = target.document.spec
    body = {
        "schema": SCHEMA,
        "promotion": target.document.name,
        "environment": spec.environment,
        "hold": shown_of(target.hold),
    }
    return orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def read(body: bytes | None) -> Shown:
    """What a file says; what is none of ours says that nothing holds, and is written anew."""
    try:
        found = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return found.get("hold") if isinstance(found, dict) else {}


def message(target: Target) -> str:
    """The commit's message. What people said stands in one line of it, and begins no trailer."""
    name, environment = target.document.name, target.document.spec.environment
    hold = target.hold
    said = f"hold({name}): {environment}" if hold else f"release({name}): {environment}"
    text = f"{said}\n\n  {one_line(hold.reason, 500)}" if hold and one_line(hold.reason) else said
    fields = {"Retrain-Hold": target.name if hold else None, "Retrain-Release": None if hold else target.name}
    return trailers.message(text, {**fields, "Retrain-Actor": hold.actor if hold else None})


def _with_files(document: PromotionDocument) -> list[PromotionDocument]:
    return [document.at(name) for name in document.environments] if document.spec.commit.holds else []
