"""What a host opens once for all its runs: executor, keepers, artifacts, agents and child runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from pipelines.agents.objects import ConfigMaps, Objects
from pipelines.agents.objects_store import open_objects
from pipelines.agents.opening import AgentSettings, AgentTools, open_agents
from pipelines.artifacts import open_artifacts
from pipelines.artifacts.keeper import Keeper
from pipelines.host.child_runs import StoreChildRuns
from pipelines.host.keepers import Keepers
from pipelines.host.keepers_store import open_keepers
from pipelines.host.remembered import artifact_check
from pipelines.host.retention import Forgetting
from pipelines.local.executor import Limits, LocalExecutor, open_executor
from pipelines.local.leaf import Surroundings
from retrain.clock import Clock
from retrain.store import Store


@dataclass(frozen=True, slots=True)
class Tools:
    """What runs are driven with."""

    executor: LocalExecutor
    keepers: Keepers
    children: StoreChildRuns
    forgetting: Forgetting


@asynccontextmanager
async def open_store_tools(  # noqa: PLR0913 - one part each
    store: Store,
    clock: Clock,
    around: Surroundings,
    limits: Limits,
    *,
    objects: Objects | None = None,
    artifacts: Keeper | None = None,
    settings: AgentSettings | None = None,
) -> AsyncGenerator[Tools]:
    """The tools of a platform; those that are not handed in are opened."""
    async with AsyncExitStack() as stack:
        if objects is None:
            objects = await stack.enter_async_context(open_objects(store, clock))
        if artifacts is None:
            artifacts = open_artifacts(around.data, around.references)
        check = artifact_check(artifacts)
        references = around.references
        keepers = await stack.enter_async_context(open_keepers(store, clock, check, lambda: ConfigMaps(references)))
        forgetting = Forgetting(store, around.data, artifacts)
        children = StoreChildRuns(store, clock, forgetting.forget)
        made = AgentTools(objects, children, artifacts, clock, settings or AgentSettings())
        agents = await stack.enter_async_context(open_agents(made))
        executor = await stack.enter_async_context(open_executor(around, clock, limits, artifacts, agents))
        yield Tools(executor, keepers, children, forgetting)
