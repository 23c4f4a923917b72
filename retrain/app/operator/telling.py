"""Writes statuses and Kubernetes Events: on a change only, each object now and then, and few at a time.

A status is applied by the server's own merge, on the status subresource: who else writes there keeps what is theirs. An
API server that is away is waited for, and then told how things stand by then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import anyio
import structlog

from retrain.app.operator.statuses import Facts, Status, status_of
from retrain.app.operator.stories import Book, Story, Told, counted, event_of
from retrain.app.operator.watched import BY_KIND, Key, Object
from retrain.errors import NotFound, RetrainError
from retrain.kube import Cluster, Denied, path_of

log = structlog.get_logger()

EACH = timedelta(seconds=3)
"""Between two statuses of one object, and between two counts of one Event."""
AT_ONCE = 4
MANY = 100
"""Writes of one round; more wait for the next."""
T = TypeVar("T")
V = TypeVar("V")
_NEVER = datetime.min.replace(tzinfo=UTC)

Which = tuple[Key, str, str]


@dataclass(slots=True)
class _Written:
    status: Status
    at: datetime
    uid: str


@dataclass(slots=True)
class Teller:
    """What was told to the cluster."""

    open_cluster: Callable[[], Awaitable[Cluster]]
    book: Book
    _troubles: dict[str, str] = field(default_factory=dict[str, str])
    _written: dict[Key, _Written] = field(default_factory=dict[Key, _Written])
    _counted: dict[Which, datetime] = field(default_factory=dict[Which, datetime])

    @property
    def trouble(self) -> str | None:
        """Why something cannot be told now."""
        return next((self._troubles[what] for what in sorted(self._troubles)), None)

    async def tell(self, facts: Mapping[Key, Facts], now: datetime) -> None:
        """Write what has changed, as far as it is time for it."""
        known = {key: one.standing.newest.uid for key, one in facts.items()}
        # An object may be made anew under its name between two rounds: nobody has told that one anything.
        self._written = {key: one for key, one in self._written.items() if known.get(key) == one.uid}
        due = [(key, status) for key, one in facts.items() if (status := self._due(key, one, now)) is not None]
        statuses = in_turn(due, {key: one.at for key, one in self._written.items()})
        events = [(which, one) for which, one in self.book.unwritten() if which[0] in facts and self._ripe(which, now)]
        if not statuses and not events:
            return
        try:
            cluster = await self.open_cluster()
        except RetrainError as error:
            self._note("the cluster", error)
            return
        self._note("the cluster", None)
        limit = anyio.CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as group:
            for key, status in statuses[:MANY]:
                found = facts[key].standing.newest.found
                work = partial(self._write_status, cluster, found, status, now)
                group.start_soon(self._kept, limit, f"statuses of {key.resource}", work)
            for which, told in in_turn(events, self._counted)[:MANY]:
                found = facts[which[0]].standing.newest.found
                work = partial(self._write_event, cluster, found, which, told, now)
                group.start_soon(self._kept, limit, "events", work)

    def add(self, stories: list[Story], now: datetime) -> None:
        """Events to tell."""
        for story in stories:
            if not self.book.tell(story, now):
                log.info("operator.event_dropped", object=str(story.key), reason=story.reason, message=story.message)
        self.book.forget(now)
        self._counted = {which: at for which, at in self._counted.items() if which in self.book.told}

    def _due(self, key: Key, facts: Facts, now: datetime) -> Status | None:
        status = status_of(facts, now)
        known = self._written.get(key)
        before = known.status if known is not None else facts.standing.newest.found.get("status")
        if before is not None and _bare(before) == _bare(status):
            return None
        return None if known is not None and now - known.at < EACH else status

    def _ripe(self, which: Which, now: datetime) -> bool:
        return which not in self._counted or now - self._counted[which] >= EACH

    async def _write_status(self, cluster: Cluster, found: Object, status: Status, now: datetime) -> None:
        key, watched = Key.of(found), BY_KIND[found["apiVersion"], found["kind"]]
        metadata = {"name": key.name, "namespace": key.namespace}
        body = {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": metadata, "status": status}
        # Remembered first: what is refused is not sent again at once.
        self._written[key] = _Written(status, now, str(found["metadata"].get("uid", "")))
        try:
            await cluster.patch(watched.path(key.namespace, key.name, "status"), body, "apply", force=True)
        except NotFound:
            pass  # deleted meanwhile
        except RetrainError:
            self._written[key].status = {}
            raise

    async def _write_event(self, cluster: Cluster, found: Object, which: Which, told: Told, now: datetime) -> None:
        namespace = which[0].namespace
        path = path_of("", "v1", "events", namespace)
        self._counted[which] = now
        try:
            if told.written:
                await cluster.patch(f"{path}/{told.name}", counted(told))
            else:
                await cluster.create(path, event_of(found, which[0], which[1], told))
        except NotFound:
            pass  # the server has forgotten it, or its namespace is gone
        self.book.written(which, told)

    async def _kept(self, limit: anyio.CapacityLimiter, what: str, write: Callable[[], Awaitable[None]]) -> None:
        async with limit:
            try:
                await write()
            except RetrainError as error:
                self._note(what, error)
            else:
                self._note(what, None)

    def _note(self, what: str, error: RetrainError | None) -> None:
        if error is None:
            self._troubles.pop(what, None)
            return
        trouble = _words(what, error)
        if trouble != self._troubles.get(what):
            log.warning("operator.cannot_tell", reason=trouble)
        self._troubles[what] = trouble


def in_turn(waiting: Iterable[tuple[T, V]], told: Mapping[T, datetime]) -> list[tuple[T, V]]:
    """What was told longest ago first, and what never was before that: where more changes than a round can tell, each
    has its turn. Pure."""

    def since(one: tuple[T, V]) -> datetime:
        return told.get(one[0], _NEVER)

    return sorted(waiting, key=since)


def _words(what: str, error: RetrainError) -> str:
    if isinstance(error, Denied) and error.verb:
        return f"{what}: the right to {error.verb} {error.resource} is lacking"
    return f"{what}: {error}"


def _bare(status: Mapping[str, Any]) -> Status:
    """Without the times of conditions: they say nothing new."""
    conditions = [{**one, "lastTransitionTime": ""} for one in status.get("conditions") or ()]
    return {**status, "conditions": conditions}
