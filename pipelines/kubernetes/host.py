"""What a platform does on a cluster: it has those runs created there that nobody else creates, does to them what they
are asked, and mirrors what comes of them.

One watch for each kind and namespace where there are open runs of ours, or were not long ago; never one for each run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain, repeat

import anyio
from anyio.abc import TaskGroup, TaskStatus

from pipelines.kubernetes.creating import Creator, OpenCluster
from pipelines.kubernetes.looking import Looker
from pipelines.kubernetes.obeying import Obedience
from pipelines.kubernetes.receiving import Receiver
from pipelines.kubernetes.requests import ClusterRequests
from pipelines.kubernetes.submitting import Submitter
from pipelines.kubernetes.watching import Watcher
from retrain.clock import Clock
from retrain.errors import RetrainError
from retrain.log import get_logger
from retrain.store import Store, elsewhere
from retrain.store.elsewhere import WORKFLOW, Place

TOPIC = "runs/cluster"
POLL_S = 1.0
"""Seconds after which the rows are looked at without a notice: other processes write them too."""
UNHEARD_S = (*[2.0] * 10, 15.0)
"""Seconds after which an object is looked at that nothing was ever heard of; the last for ever. Soon at first: it is
the work of a predecessor that died, whose news may have come before their rows."""

IDLE_S = 600.0
"""Seconds for which a place is still watched where nothing runs any more: namespaces come and go."""

log = get_logger()


@dataclass(frozen=True, slots=True)
class ClusterGround:
    """What the host stands on. `home`: the namespace where workflows go that do not say; it is always watched. Any
    other place no longer than `idle_s` after its last run.
    """

    store: Store
    clock: Clock
    cluster: OpenCluster
    creator: Creator
    home: Callable[[], Awaitable[str]] | None = None
    idle_s: float = IDLE_S


@dataclass(slots=True)
class _Watch:
    """`needed`: when somebody last ran there, by the clock of the event loop."""

    watcher: Watcher
    needed: float
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    async def run(self) -> None:
        with self.scope:
            await self.watcher.run()


class ClusterHost:
    """The runs that a cluster works on, as a part of the platform."""

    name = "cluster"

    def __init__(self, ground: ClusterGround) -> None:
        self._ground = ground
        self._looker = Looker(ground.store, ground.cluster)
        self._receiver = Receiver(ground.store, ground.clock, self._looker)
        self._submitter = Submitter(ground.store, ground.clock, ground.creator)
        self._obedience = Obedience(ground.store, ClusterRequests(ground.store, ground.clock, ground.cluster))
        self._watches: dict[Place, _Watch] = {}
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why the cluster cannot be followed now; None while it can."""
        watching = next((one.watcher.trouble for one in self._watches.values() if one.watcher.trouble), None)
        return self._trouble or watching or self._submitter.trouble or self._obedience.trouble

    @property
    def watched(self) -> frozenset[Place]:
        """Where it looks now."""
        return frozenset(self._watches)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._submitter.run)
            group.start_soon(self._obedience.run)
            group.start_soon(self._look_again)
            task_status.started()
            while True:
                await self._look_for_places(group)
                await self._ground.store.signals.wait(TOPIC, POLL_S)

    async def _look_for_places(self, group: TaskGroup) -> None:
        try:
            for place in await self._ground.store.read(elsewhere.places):
                await self._watch(group, place)
            await self._receiver.meet()
            if self._ground.home is not None:
                await self._watch(group, Place(*WORKFLOW, await self._ground.home()))
            self._leave(anyio.current_time() - self._ground.idle_s)
            self._trouble = None
        except RetrainError as error:
            if self._trouble != str(error):
                log.warning("cluster.trouble", reason=str(error))
            self._trouble = str(error)

    async def _watch(self, group: TaskGroup, place: Place) -> None:
        """Follow a place from now on, if it is not followed yet."""
        now = anyio.current_time()
        if (known := self._watches.get(place)) is not None:
            known.needed = now
            return
        version = await self._receiver.version(place)
        made = self._watches[place] = _Watch(Watcher(place, self._ground.cluster, self._receiver.take, version), now)
        group.start_soon(made.run)
        log.info("cluster.watching", place=str(place), version=version)

    def _leave(self, before: float) -> None:
        """Follow those places no longer where nothing has run since then; where something does, from where it ended."""
        for place, watch in list(self._watches.items()):
            if watch.needed < before:
                watch.scope.cancel()
                del self._watches[place]
                log.info("cluster.left", place=str(place))

    async def _look_again(self) -> None:
        for pause_s in chain(UNHEARD_S, repeat(UNHEARD_S[-1])):
            await anyio.sleep(pause_s)
            before = self._ground.clock.now() - timedelta(seconds=pause_s)
            for place in list(self._watches):
                try:
                    await self._receiver.keep(await self._looker.unheard(place, before))
                except RetrainError as error:  # the place's watch says so in /readyz, if it lasts
                    log.info("cluster.not_looked", place=str(place), reason=str(error))
