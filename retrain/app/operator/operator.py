"""Keeps the platform at what a cluster's objects say, and tells the objects how they fare.

As `projects/reload.py` does with files, but object by object: one that is wrong leaves its last good version running,
and the others untouched. An API server that is away is waited for; meanwhile all runs on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any

import anyio
import anyio.to_thread
import structlog
from anyio.abc import TaskStatus

from retrain.app.operator import ports, stories
from retrain.app.operator.fired import Fired
from retrain.app.operator.following import Follower
from retrain.app.operator.judging import judge
from retrain.app.operator.kept import Kept
from retrain.app.operator.looking import Now, View, facts_of
from retrain.app.operator.naming import Names
from retrain.app.operator.said import Said
from retrain.app.operator.statuses import Facts, worded
from retrain.app.operator.telling import Teller
from retrain.app.operator.values import Values, named_in
from retrain.app.operator.watched import Key, Object, Watched, watched_of
from retrain.app.operator.world import Outlook, World
from retrain.app.parts import PartState
from retrain.app.projects import plugins
from retrain.app.projects.project import Project
from retrain.app.projects.reload import Take
from retrain.clock import Clock
from retrain.errors import RetrainError
from retrain.kube import Cluster
from retrain.store import Store

log = structlog.get_logger()

QUIET_S = 0.2
"""Seconds without a change before what has changed is taken: whoever applies several objects is given the time."""
SOON_S = 2.0
"""Seconds after which changes are taken although more of them come."""
ANEW_S = 30.0
"""Seconds between two readings of the Secrets and ConfigMaps that documents name."""
TELL_S = 1.0
AGAIN_S = 2.0
"""Seconds until a project that could not be taken is tried again."""

Refusals = Callable[[Project], Mapping[str, str]]
"""Documents of a project that cannot be run, by their places, with the reason. Blocking."""
Settle = Callable[[Sequence[Object]], Awaitable[Sequence[Said]]]
"""Brings what belongs to some objects (all of a kind) to what they say; what is to be said of them."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What of a cluster is watched: one namespace, or all where it is ""."""

    namespace: str

    @property
    def all(self) -> bool:
        return not self.namespace


@dataclass(frozen=True, slots=True)
class Platform:
    """Whom an operator works for: the running platform, as far as it needs it."""

    open_cluster: Callable[[], Awaitable[Cluster]]
    take: Take
    refusals: Refusals
    view: View


class Operator:
    """The project of a cluster. `settlers`: by kind, who is to be asked with all of its objects whenever they may have
    changed, and now and then."""

    def __init__(self, watch: Watch, store: Store, clock: Clock) -> None:
        self.settlers: dict[str, Settle] = {}
        self._clock = clock
        self._platform: Platform | None = None
        self._names = Names(several=watch.all)
        installed = plugins.installed()
        unseen = frozenset({"unknown-template"}) if watch.all else frozenset[str]()
        self._world = World(lambda found: judge(found, self._names, installed), unseen)
        self._outlook = Outlook(Project(), {}, {})
        self._kept = Kept(store, f"operator:{watch.namespace or '*'}")
        self._values = Values(self._open, self._names.internal)
        self._followers = [Follower(one, watch.namespace, self) for one in watched_of(watch.all)]
        self._told = {one.resource for one in watched_of(watch.all) if one.told}
        self._teller = Teller(self._open, stories.Book(token_hex(4)))
        self._fired = Fired(store, clock.now())
        self._facts: dict[Key, Facts] = {}
        self._said: dict[str, Sequence[Said]] = {}
        self._changed = anyio.Event()
        self._turn = anyio.Lock()
        self._moves: dict[ports.Which, ports.Moves] = {}
        self._untaken: str | None = None
        self._taken = False

    async def restore(self) -> Project:
        """What ran before, to begin with; without the values of Secrets."""
        self._world.restore(await self._kept.load())
        self._outlook = self._world.outlook()
        self._world.took(self._outlook)
        self._values.recall(await self._kept.load_texts())
        return replace(self._outlook.project, config_maps=self._values.items("ConfigMap"))

    def bind(self, platform: Platform) -> None:
        """Before `run`: the platform that this operator works for."""
        self._platform = platform

    @property
    def _bound(self) -> Platform:
        assert self._platform is not None, "bound before it runs"
        return self._platform

    async def _open(self) -> Cluster:
        return await self._bound.open_cluster()

    def moves(self) -> Mapping[ports.Which, ports.Moves]:
        """The ports of EventSources that are served under other numbers."""
        return self._moves

    # --- what the doors ask ------------------------------------------------------------------------------------------

    @property
    def trouble(self) -> str | None:
        """Why what runs is not what the objects say; None if it is."""
        if self._untaken is not None:
            return self._untaken
        wrong = [(key, one) for key, facts in sorted(self._facts.items()) for one in facts.errors[:1]]
        if not wrong:
            return None
        key, finding = wrong[0]
        return f"{key}: {worded(finding)}" + (f" (and {len(wrong) - 1} more objects)" if len(wrong) > 1 else "")

    def states(self) -> list[PartState]:
        """For `/readyz`: what is watched, and what is lacking for that."""
        found = [
            PartState(f"watch of {one.watched.resource}", one.trouble is None, one.trouble)
            for one in self._followers
            if one.watched.needed or not one.lacking
        ]
        found.append(PartState("statuses on the cluster", self._teller.trouble is None, self._teller.trouble))
        lacking = next(iter(sorted(self._values.lacking.values())), None)
        return [*found, PartState("secrets and config maps", lacking is None, lacking)]

    def ask(self) -> None:
        """Read Secrets and ConfigMaps anew, and take what has changed."""
        self._world.reconsider()
        self._changed.set()

    async def reload(self) -> dict[str, Any]:
        """The same, at once; what came of it.

        Raises:
            RetrainError: the project cannot be taken now.
        """
        await self._apply(anew=True)
        notes = [f"{key}: {worded(one)}" for key, facts in sorted(self._facts.items()) for one in facts.errors]
        return {"status": "reloaded", "notes": notes}

    # --- what is seen ------------------------------------------------------------------------------------------------

    def settle(self, watched: Watched, objects: Iterable[Object]) -> None:
        """All objects of a resource."""
        self._note(changed=self._world.settle(watched.resource, objects))

    def see(self, found: Object) -> None:
        """An object that is new, or has changed."""
        self._note(changed=self._world.see(found))

    def lose(self, found: Object) -> None:
        """An object that is gone."""
        self._note(changed=self._world.lose(Key.of(found)))

    def _note(self, *, changed: bool) -> None:
        if changed:
            self._changed.set()

    # --- its work ----------------------------------------------------------------------------------------------------

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Watch, take and tell until cancelled."""
        async with anyio.create_task_group() as group:
            for follower in self._followers:
                group.start_soon(follower.run, self._open)
            task_status.started()
            for follower in self._followers:
                await follower.tried.wait()
            group.start_soon(self._tell_on)
            await self._take_on()

    async def _take_on(self) -> None:
        anew = True
        while True:
            self._changed = anyio.Event()
            try:
                await self._apply(anew=anew)
            except RetrainError as error:
                if str(error) != self._untaken:
                    log.warning("operator.not_taken", error=str(error))
                self._untaken = str(error)
                await anyio.sleep(AGAIN_S)
                continue
            anew = not await self._wait()

    async def _wait(self) -> bool:
        """Until something changes, and a little longer; False: nothing has, but it is time to look at the values."""
        with anyio.move_on_after(ANEW_S):
            await self._changed.wait()
        if not self._changed.is_set():
            return False
        with anyio.move_on_after(SOON_S):
            while self._changed.is_set():
                self._changed = anyio.Event()
                await anyio.sleep(QUIET_S)
        return True

    async def _apply(self, *, anew: bool) -> None:
        """Bring the platform to what the objects say by now.

        Raises:
            RetrainError: it cannot be taken now. As little as possible has changed.
        """
        async with self._turn:
            if anew:
                self._world.reconsider()
            before = self._moves
            # What is remembered of ConfigMaps may be old by now.
            outlook, project, other_values = await self._settled(anew=anew or not self._taken)
            if (
                other_values
                or not self._taken
                or before != self._moves
                or _verdicts(outlook) != _verdicts(self._outlook)
            ):
                await self._bound.take(project)
                self._taken = True
                await self._kept.save(outlook.running)
                await self._kept.save_texts(self._values.texts())
            self._world.took(outlook)
            self._outlook, self._untaken = outlook, None
            await self._settle_others()

    async def _settled(self, *, anew: bool) -> tuple[Outlook, Project, bool]:
        """What is to run, with the values that it names, and whether those are others now. What cannot be run is left
        as it was."""
        other_values = False
        while True:
            outlook = await anyio.to_thread.run_sync(self._world.choose().outlook)
            wanted = named_in((key.namespace, version) for key, version in outlook.running.items())
            other_values |= await self._values.read(wanted, anew=anew)
            secrets, configs = self._values.items("Secret"), self._values.items("ConfigMap")
            self._moves = ports.moved(
                [one.found for one in outlook.running.values() if one.found["kind"] == "EventSource"]
            )
            moves = {
                str(key): self._moves[at] for key in outlook.running if (at := (key.namespace, key.name)) in self._moves
            }
            sources = ports.served(outlook.project.event_sources, moves)
            project = replace(outlook.project, event_sources=sources, secrets=secrets, config_maps=configs)
            refused = await anyio.to_thread.run_sync(self._bound.refusals, project)
            found = [(key, refused[str(key)]) for key in outlook.running if str(key) in refused]
            if not found:
                return outlook, project, other_values
            anew = False
            for key, reason in found:
                # It may have gone or changed meanwhile.
                if key in self._world.standings:
                    self._world.refuse(key, reason)

    async def _settle_others(self) -> None:
        for kind, settle in self.settlers.items():
            try:
                self._said[kind] = await settle(self._world.objects(kind, self._outlook))
            except RetrainError as error:
                log.warning("operator.not_settled", kind=kind, error=str(error))

    # --- telling -----------------------------------------------------------------------------------------------------

    async def _tell_on(self) -> None:
        while True:
            try:
                await self._tell()
            except RetrainError as error:
                log.warning("operator.cannot_look", error=str(error))
            await anyio.sleep(TELL_S)

    async def _tell(self) -> None:
        now = self._clock.now()
        said = [one for several in self._said.values() for one in several]
        told = Now(self._world, self._outlook, self._values.lacking, said)
        names = {self._names.internal(key.name, key.namespace): key for key in self._outlook.running if _fires(key)}
        ended = await self._fired.look(names)
        facts = await facts_of(told, self._bound.view, self._names, self._fired)
        # What is taken in a moment is told then; what cannot be taken is told now.
        waits = self._untaken is not None
        facts = {key: one for key, one in facts.items() if key.resource in self._told and (waits or not one.pending)}
        found = [story for key, one in facts.items() for story in self._stories(key, one)]
        fired = (stories.of_firing(names[one.sensor], one) for one in ended if one.sensor in names)
        found += [one for one in fired if one is not None]
        self._teller.add(found, now)
        self._facts = facts
        await self._teller.tell(facts, now)

    def _stories(self, key: Key, now: Facts) -> Iterable[stories.Story]:
        before = self._facts.get(key)
        if before is None and _told_before(now):
            before = replace(now, sources=(), conditions=now.conditions)
        yield from stories.of_versions(key, before, now)
        yield from stories.of_sources(key, before.sources if before is not None else (), now.sources)
        yield from stories.of_said(key, before.conditions if before is not None else (), now.conditions)


def _told_before(facts: Facts) -> bool:
    """Whether an earlier process has told how this version of an object fares."""
    status: Mapping[str, Any] = facts.standing.newest.found.get("status") or {}
    runs = facts.runs.generation if facts.runs is not None else None
    same = status.get("observedGeneration") == facts.standing.newest.generation
    return same and status.get("runningGeneration") == runs and bool(status.get("errors")) == bool(facts.errors)


def _verdicts(outlook: Outlook) -> dict[Key, int]:
    """What changes when something else is to run: an object's verdict lasts as long as what its user has written."""
    return {key: id(version.verdict) for key, version in outlook.running.items()}


def _fires(key: Key) -> bool:
    return key.resource.startswith("sensors.")
