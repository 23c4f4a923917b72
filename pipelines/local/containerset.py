"""A containerSet: containers of one pod that start as soon as those they depend on have ended well.

Source: `containerSet` of https://argo-workflows.readthedocs.io/en/latest/container-set-template/
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from pipelines.core.happenings import ContainerNews
from pipelines.core.nodes import Phase
from pipelines.core.retry import duration_s
from pipelines.local.contained import EMISSARY_FAILED, Ended, plain
from pipelines.local.shapes import Container
from pipelines.local.workspace import Workspace
from retrain.errors import ConfigError

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.local.pod import Pod


async def see_set(pod: Pod) -> dict[str, Ended]:
    """All containers of a pod's set to their ends, by name; each start and each end is reported.

    Raises:
        ConfigError: a container depends on one that is not there, or on itself.
    """
    containers = pod.plan.mains
    _check(containers)
    one_set = _Set(pod)
    async with anyio.create_task_group() as group:
        for container in containers:
            group.start_soon(one_set.see, container)
    return one_set.ends


class _Set:
    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self.ends: dict[str, Ended] = {}
        self._done = {_name(one): anyio.Event() for one in pod.plan.mains}
        strategy: dict[str, Any] = (pod.plan.template["containerSet"].get("retryStrategy")) or {}
        self._attempts = max(1, int(strategy.get("retries") or 1))
        self._pause_s = duration_s(str(strategy["duration"])) if strategy.get("duration") else 0.0

    async def see(self, container: Container) -> None:
        name = _name(container)
        for needed in container.get("dependencies") or ():
            await self._done[needed].wait()
        ended = self._unmet(container) or await self._tries(container)
        self.ends[name] = ended
        self._tell_end(ended)
        self._done[name].set()

    def _unmet(self, container: Container) -> Ended | None:
        for needed in container.get("dependencies") or ():
            end = self.ends[needed]
            if end.how in ("broken", "halted"):
                return Ended(_name(container), end.how, said=end.said)
            if end.code:
                said = f'dependency "{needed}" exited with non-zero code: {end.code}'
                return Ended(_name(container), "exited", EMISSARY_FAILED, said)
        return None

    async def _tries(self, container: Container) -> Ended:
        """The container, as often as the set's retryStrategy allows: `retries` is how often it is run."""
        pod, workspace = self._pod, self._pod.plan.workspace_of(container)
        while True:
            ended = await pod.see(container, partial(self._tell_start, _name(container)))
            if ended.well or ended.how not in ("exited", "lost") or pod.stopped.is_set():
                return ended
            try:
                if ended.how == "lost":
                    await pod.machine.thread(partial(pod.lose, workspace))
                elif not await pod.machine.thread(partial(self._may_again, workspace)):
                    return ended
            except (ConfigError, OSError) as error:
                return Ended(_name(container), "broken", said=plain(error))
            del pod.living[_name(container)]
            if ended.how == "exited":
                with anyio.move_on_after(self._pause_s):
                    await pod.stopped.wait()

    def _may_again(self, workspace: Workspace) -> bool:
        """Put a failed attempt aside, if it was not the last one. What there is on disk says how many there were."""
        if len(workspace.set_asides("failed")) + 1 >= self._attempts:
            return False
        workspace.set_aside("failed")
        return True

    def _tell_start(self, name: str, at: datetime) -> None:
        self._pod.report(ContainerNews(self._pod.plan.task.node_id, name, Phase.Running, started_at=at))

    def _tell_end(self, ended: Ended) -> None:
        phase, message = _shown(ended)
        started = ended.ending.started if ended.ending else None
        finished = ended.ending.finished if ended.ending else self._pod.machine.clock.now()
        code = ended.code if ended.how == "exited" else None
        node_id = self._pod.plan.task.node_id
        self._pod.report(ContainerNews(node_id, ended.name, phase, code, message, started, finished))


def _shown(ended: Ended) -> tuple[Phase, str]:
    """Phase and message of a Container node. The colon at the end is Argo's."""
    if ended.how == "broken":
        return Phase.Error, ended.said
    if ended.how != "exited":
        return Phase.Failed, "stopped before it started"
    if ended.code == 0:
        return Phase.Succeeded, ""
    phase = Phase.Error if ended.code == EMISSARY_FAILED else Phase.Failed
    return phase, f"{ended.reason}: {ended.said}"


def _check(containers: list[Container]) -> None:
    left = {_name(one): set(one.get("dependencies") or ()) for one in containers}
    for name, needed in left.items():
        if unknown := needed - set(left):
            raise ConfigError(f"containerSet: {name}: dependency {sorted(unknown)[0]!r} not defined")
    while left:
        free = {name for name, needed in left.items() if not needed & set(left)}
        if not free:
            raise ConfigError(f"containerSet: dependency cycle among {', '.join(sorted(left))}")
        for name in free:
            del left[name]


def _name(container: Container) -> str:
    return str(container.get("name") or "")
