"""Runs of one process, in memory: what `retrain run` is without a data directory of its own. No store; a run lives as
long as its call, and so do locks, memos, objects and the runs that it starts beside it."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import anyio

from pipelines.agents.objects import Body, ConfigMaps
from pipelines.agents.objects_memory import MemoryObjects
from pipelines.agents.opening import AgentSettings, AgentTools, open_agents
from pipelines.agents.port import OWNED_LABEL, PARENT_LABEL, PARENT_NODE, Owner
from pipelines.artifacts.opening import open_artifacts
from pipelines.core import engine
from pipelines.core.engine import Decision, Run
from pipelines.core.happenings import Stop
from pipelines.core.plan import Catalog
from pipelines.host.drive import Drive, Hands, step_run_of
from pipelines.host.fitting import check_machine
from pipelines.host.given import given_objects
from pipelines.host.keepers_memory import MemoryKeepers
from pipelines.host.remembered import artifact_check
from pipelines.host.requests import WHOLE, Request
from pipelines.host.verbs import verbs_of
from pipelines.local.executor import Limits, open_executor
from pipelines.local.foreground import to_workflow
from pipelines.local.leaf import Surroundings
from pipelines.local.sign import Sign
from retrain.clock import Clock
from retrain.errors import ConfigError, NotFound, Refused

Watch = Callable[[Decision], None]
MAX_DEPTH = 16
"""How deep runs that make runs may be."""


@dataclass(slots=True)
class _Course:
    """A run in hand. `changed` is set, and made anew, with every decision."""

    run: Run
    depth: int = 0
    parent: str = ""
    drive: Drive | None = None
    changed: Sign = field(default_factory=Sign)

    def tell(self) -> None:
        sign, self.changed = self.changed, Sign()
        sign.set()

    @property
    def labels(self) -> Mapping[str, Any]:
        return (self.run.plan.manifest.get("metadata") or {}).get("labels") or {}


class MemoryHost:
    """Drives runs, several at once if it is asked to. Get one from `open_memory_host`."""

    _hands: Hands

    def __init__(self, around: Surroundings, limits: Limits, catalog: Catalog) -> None:
        self._around = around
        self._limits = limits
        self._catalog = catalog
        self._courses: dict[str, _Course] = {}
        self._children = count(1)

    def take(self, hands: Hands) -> None:
        """These do what its runs ask for. Before the first run; agents, who are among them, need the host first."""
        self._hands = hands

    async def run(self, manifest: Mapping[str, Any], name: str, run_id: str, watch: Watch) -> Run:
        """Run a workflow to its end; `watch` sees every decision.

        Raises:
            ConfigError: it is not valid, or this machine cannot run it; nothing was started.
        """
        return await self._drive(self._begin(manifest, name, run_id), watch)

    def ask(self, name: str, request: Request) -> None:
        """Ask a run to end, to start nothing more, or to go on.

        Raises:
            NotFound: none of this name is in hand.
        """
        course = self._courses.get(name)
        if course is None or course.drive is None:
            raise NotFound(f"there is no Workflow {name!r}")
        course.drive.ask(request)

    def _begin(self, manifest: Mapping[str, Any], name: str, run_id: str) -> _Course:
        if name in self._courses:
            raise Refused(f"there is a Workflow {name!r} already")
        now = self._hands.clock.now()
        maps = ChainMap(ConfigMaps(self._around.references), self._catalog.config_maps)  # pyright: ignore[reportArgumentType] - only read
        catalog = replace(self._catalog, config_maps=maps)
        run = engine.begin(manifest, name=name, uid=run_id, created=now, templates=catalog)
        check_machine(run.plan, self._around, self._limits)
        course = self._courses[name] = _Course(run)
        return course

    async def _drive(self, course: _Course, watch: Watch | None) -> Run:
        async def save(decision: Decision, requests: Sequence[int]) -> None:
            del requests
            if watch is not None:
                watch(decision)
            course.tell()

        step_run = step_run_of(course.run, course.run.plan.uid, self._around)
        course.drive = Drive(course.run, step_run, self._hands, save, parks=False)
        run = (await course.drive.go()).run
        course.tell()
        if run.strategy:
            await self.stop_owned(run.plan.uid)
        return run

    # --- child runs -------------------------------------------------------------------------------------------------

    async def submit(self, manifest: Mapping[str, Any], name: str, owner: Owner) -> None:
        there = self._courses.get(name)
        if there is not None:
            if there.parent == owner.run_id and _maker(there.run.plan.manifest) == owner.node_id:
                return
            raise Refused(f"there is a Workflow {name!r} already, and {owner.name} has not made it")
        parent = self._courses.get(owner.name)
        depth = (parent.depth if parent else 0) + 1
        if depth > MAX_DEPTH:
            raise ConfigError(f"runs that make runs are {MAX_DEPTH} deep at most; {name!r} would be deeper")
        body = {**manifest, "metadata": {**(manifest.get("metadata") or {}), "name": name}}
        course = self._begin(body, name, f"{owner.run_id}-{next(self._children)}")
        course.depth, course.parent = depth, owner.run_id
        self._hands.group.start_soon(self._drive, course, None)

    async def get(self, name: str) -> Mapping[str, Any] | None:
        course = self._courses.get(name)
        return None if course is None else to_workflow(course.run)

    async def wait_change(self, name: str, at_most_s: float) -> None:
        if course := self._courses.get(name):
            with anyio.move_on_after(at_most_s):
                await course.changed.wait()

    async def change(self, name: str, spec: Mapping[str, Any]) -> None:
        course = self._courses.get(name)
        if course is None:
            raise NotFound(f"there is no Workflow {name!r}")
        if course.run.ended:
            raise Refused(f"{name} is over ({course.run.phase})")
        for verb in verbs_of(spec):
            self.ask(name, WHOLE[verb])

    async def delete(self, name: str) -> bool:
        course = self._courses.get(name)
        if course is None:
            return False
        while not course.run.ended:
            self.ask(name, Stop("Terminate"))
            await course.changed.wait()
        self._courses.pop(name, None)
        return True

    async def stop_owned(self, run_id: str) -> None:
        for name, course in list(self._courses.items()):
            owned = course.labels.get(PARENT_LABEL) == run_id and course.labels.get(OWNED_LABEL) == "true"
            if owned and not course.run.ended:
                self.ask(name, Stop())


@asynccontextmanager
async def open_memory_host(
    around: Surroundings,
    clock: Clock,
    limits: Limits,
    catalog: Catalog,
    documents: Iterable[Body] = (),
    settings: AgentSettings | None = None,
) -> AsyncGenerator[MemoryHost]:
    """A host; leaving the block ends its processes. `documents`: ConfigMaps, Secrets, claims and templates that steps
    find as objects."""
    objects = MemoryObjects(given_objects(documents, around.references))
    around = replace(around, references=objects.references)
    artifacts = open_artifacts(around.data, objects.references)
    config_maps = ConfigMaps(objects.references)
    keepers = MemoryKeepers(clock, artifact_check(artifacts), lambda: config_maps)
    host = MemoryHost(around, limits, catalog)
    made = AgentTools(objects, host, artifacts, clock, settings or AgentSettings())
    async with AsyncExitStack() as stack:
        agents = await stack.enter_async_context(open_agents(made))
        executor = await stack.enter_async_context(open_executor(around, clock, limits, artifacts, agents))
        group = await stack.enter_async_context(anyio.create_task_group())
        host.take(Hands(executor, keepers, clock, group))
        yield host
        group.cancel_scope.cancel()


def _maker(manifest: Mapping[str, Any]) -> str:
    return str(((manifest.get("metadata") or {}).get("annotations") or {}).get(PARENT_NODE, ""))
