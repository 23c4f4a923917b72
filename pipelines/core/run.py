"""A workflow on its way, and what one step of it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pipelines.core.happenings import LockWish, Memo, MemoWish, Task, TaskResult
from pipelines.core.nodes import Artifact, Node, Phase
from pipelines.core.plan import Plan
from pipelines.core.state import State


@dataclass(slots=True)
class Run:
    """A workflow and how far it is. `phase` is the workflow's. A step moves it in place: after an error in a step it is
    worth nothing, and has to be restored from what was saved."""

    plan: Plan
    state: State = field(default_factory=State)
    phase: Phase = Phase.Pending
    message: str = ""
    strategy: str = ""
    """Stop or Terminate, once somebody asked for it."""
    started_at: datetime | None = None
    """None also while the workflow waits for a lock of its own."""
    finished_at: datetime | None = None
    suspended: bool = False
    held: tuple[TaskResult, ...] = ()
    """What was reported during a suspension. Not saved: an executor reports it again to the next life of the run."""
    unsaved: tuple[str, ...] = ()
    """Nodes that `restore` moved on; the next Decision has them among those to save."""

    @property
    def nodes(self) -> Mapping[str, Node]:
        return self.state.nodes

    @property
    def children(self) -> Mapping[str, Sequence[str]]:
        """Execution edges: node -> those that were created because it was there, in order."""
        return self.state.children

    @property
    def ended(self) -> bool:
        return self.phase.fulfilled

    @property
    def parked(self) -> bool:
        """Nothing of it runs outside of the engine, and only a person or a time can move it on: it is suspended, or
        every node that runs is a suspended one. It need not be held until then."""
        if self.ended or self.state.wishes or self.state.lookups:
            return False
        leaves = [frame for frame in self.state.frames.values() if frame.kind in ("Pod", "HTTP", "Suspend")]
        reported = {one.node_id for one in self.held}
        waits = all(frame.kind == "Suspend" or frame.node_id in reported for frame in leaves)
        return waits and (self.suspended or (bool(leaves) and not self.state.alarms))


@dataclass(frozen=True, slots=True)
class Decision:
    """What a step asks for. The caller saves `changed` and `edges` first, then acts; everything is idempotent by the
    run and the node or holder."""

    run: Run
    changed: tuple[str, ...]
    """Ids of the nodes to save."""
    edges: tuple[tuple[str, str], ...]
    """New execution edges (parent, child), in order."""
    start: tuple[Task, ...]
    stop: tuple[str, ...]
    """Ids of nodes whose tasks are to be killed; what is reported of them later is passed over."""
    acquire: tuple[LockWish, ...]
    """Answered by LockNews, once or (until it is granted) more often."""
    release: tuple[str, ...]
    """Holders that give all their locks back, and want none any more; the empty one is the run itself."""
    look_up: tuple[MemoWish, ...]
    """Answered by MemoNews."""
    remember: tuple[Memo, ...]
    phase: Phase
    message: str
    wake_at: datetime | None
    """When to step with a Tick if nothing else happens; None is never."""
    outputs: Mapping[str, str]
    """Output parameters with a `globalName` so far; once the run has ended, those of the entry template too."""
    artifacts: Mapping[str, Artifact] = field(default_factory=lambda: dict[str, Artifact]())
    """Output artifacts with a `globalName` so far."""
