"""The agents of a host, by the kind of task. Each is imported and opened with the first task that needs it: a run
without `http` templates does not wait for an HTTP client to load.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from pipelines.agents.objects import Objects
from pipelines.agents.port import Agent, ChildRuns, TaskRun
from pipelines.artifacts.port import Artifacts
from pipelines.core.happenings import Task, TaskKind, TaskResult
from retrain.clock import Clock


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What an operator may set. `http_private`: whether `http` templates may talk to addresses that are not of the open
    internet; `http_body_limit`: bytes of an answer."""

    http_private: bool = True
    http_body_limit: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class AgentTools:
    """What agents work with."""

    objects: Objects
    children: ChildRuns
    artifacts: Artifacts
    clock: Clock
    settings: AgentSettings = field(default_factory=AgentSettings)


class _Lazy:
    """An agent that is made when the first task comes."""

    def __init__(self, make: Callable[[], Agent]) -> None:
        self._make = make
        self._agent: Agent | None = None

    async def do(self, task: Task, run: TaskRun) -> TaskResult:
        if self._agent is None:
            self._agent = self._make()
        return await self._agent.do(task, run)


@asynccontextmanager
async def open_agents(tools: AgentTools) -> AsyncGenerator[Mapping[TaskKind, Agent]]:
    """The agents for every kind of task that is no pod; leaving the block ends their connections."""
    async with AsyncExitStack() as stack:

        def http() -> Agent:
            from pipelines.agents.http import HttpAgent, HttpSettings

            settings = HttpSettings(private=tools.settings.http_private, body_limit=tools.settings.http_body_limit)
            agent = HttpAgent(tools.objects.references, settings)
            stack.push_async_callback(agent.aclose)
            return agent

        def data() -> Agent:
            from pipelines.agents.data import DataAgent

            return DataAgent(tools.artifacts)

        def resource() -> Agent:
            from pipelines.agents.resource import ResourceAgent

            return ResourceAgent(tools.objects, tools.children, tools.artifacts, tools.clock)

        yield {"http": _Lazy(http), "data": _Lazy(data), "resource": _Lazy(resource)}
