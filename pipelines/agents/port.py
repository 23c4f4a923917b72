"""What an agent is: somebody who does a task that needs no process. And the runs that a workflow can start beside it.

An agent may be asked for the same task twice, by this process or by the next one after a `kill -9`: what it did the
first time it recognises as its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pipelines.core.happenings import Task, TaskResult


class TaskRun(Protocol):
    """The run that a task belongs to, as far as agents need to know it: `pipelines.local.leaf.StepRun`."""

    @property
    def run_id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def uid(self) -> str: ...

    @property
    def namespace(self) -> str: ...

    @property
    def spec(self) -> Mapping[str, Any]: ...

    @property
    def labels(self) -> Mapping[str, str]: ...


class Agent(Protocol):
    """Does tasks of one kind. Cancelled, it leaves off: the task was stopped or is over its deadline."""

    async def do(self, task: Task, run: TaskRun) -> TaskResult:
        """Do the task to its end. What goes wrong is in the result, never raised."""
        ...


@dataclass(frozen=True, slots=True)
class Owner:
    """Who made a child run. `owned`: the child is the owner's (`setOwnerReference`), and is stopped when it is.

    `node_id`: the node's id, with `/n` behind it if the run was retried n times: what it makes then is another thing.
    """

    run_id: str
    name: str
    uid: str
    node_id: str
    namespace: str = "default"
    owned: bool = False


PARENT_LABEL = "retrain.dev/parent"
"""Label of a child run: the id of the run that made it."""
PARENT_NODE = "retrain.dev/parent-node"
"""Annotation of a child run: the `node_id` of its `Owner`."""
OWNED_LABEL = "retrain.dev/owned"
"""Label of a child run that is stopped when its parent is: `true`."""


class ChildRuns(Protocol):
    """Runs that `resource` templates start, look at and end. One implementation for each host.

    A child is a run like any other. Its name is unique in the host, and all of `PARENT_LABEL`, `PARENT_NODE`,
    `OWNED_LABEL` and `metadata.ownerReferences` are in the manifest already when it is handed in.
    """

    async def submit(self, manifest: Mapping[str, Any], name: str, owner: Owner) -> None:
        """Start a run of this name. If there is one that the same owner and node made, nothing changes.

        Raises:
            Refused: there is a run of this name that somebody else made.
            ConfigError: the workflow is not valid or cannot run here; nothing was started.
        """
        ...

    async def get(self, name: str) -> Mapping[str, Any] | None:
        """The Workflow object with `metadata` and `status` as they are now (`nodes` may be left out), or None."""
        ...

    async def wait_change(self, name: str, at_most_s: float) -> None:
        """Wait until the run may have changed since the caller's last `get`, at most so many seconds."""
        ...

    async def change(self, name: str, spec: Mapping[str, Any]) -> None:
        """Obey what a changed manifest says of a run: `suspend` (true, false) and `shutdown` (Stop, Terminate).

        Raises:
            Refused: the run is over.
            NotFound: there is none.
        """
        ...

    async def delete(self, name: str) -> bool:
        """End the run if it is open, then forget it; False if there was none. Returns once it is gone."""
        ...

    async def stop_owned(self, run_id: str) -> None:
        """Stop the open children that a run owns: it was stopped itself. Their children go with them."""
        ...
