"""One step of a run in the making: a queue of what follows from what.

Nothing is walked that did not change: a node that ends tells the one that waits for it, and nobody else. What a kind of
node does when it begins, is told, or may go on, stands in a module of its own; the engine hands them in as `rules`.

Source: `executeTemplate` of Argo's controller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from pipelines.core import resources
from pipelines.core.happenings import LockWish, Memo, MemoWish, Task
from pipelines.core.nodes import NO_OUTPUTS, Node, Outputs, Phase
from pipelines.core.outputs import exported
from pipelines.core.plan import Plan
from pipelines.core.scope import Scope
from pipelines.core.state import Call, Frame, State
from pipelines.core.tree import Tree
from pipelines.core.variables import RunVariables

LEAVES = frozenset({"container", "script", "containerSet", "data", "resource", "http", "suspend"})
MAX_HOLDERS = 20_000
"""Steps and DAG nodes of one run; its exit handlers may have as many again."""
TOO_MANY = f"more than {MAX_HOLDERS} Steps and DAG nodes: does a template call itself again and again?"


class Rules(Protocol):
    """What a kind of node does when it begins, when a child has ended, and when there may be room again."""

    def begin(self, walk: Walk, frame: Frame) -> None: ...
    def told(self, walk: Walk, parent: Node, call: Call, raised: str) -> None: ...
    def resume(self, walk: Walk, parent: Node) -> None: ...
    def hook_scope(self, walk: Walk, call: Call, node: Node) -> Scope | None: ...


class HookRules(Protocol):
    """What the hooks of a step do when its node comes to a phase, and when it has ended."""

    def look(self, walk: Walk, node_id: str, phase: Phase) -> None: ...
    def after(self, walk: Walk, call: Call, node: Node) -> str: ...


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All that a walk follows. `proceed` lets a node run that waited, all asked and granted, for room alone."""

    kinds: Mapping[str, Rules]
    hooks: HookRules
    proceed: Callable[[Walk, Frame], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """A node has ended, and `call` says who waits for it. `raised` is the error of it that its parent must pass on."""

    call: Call
    node_id: str
    raised: str


class Walk(Tree):
    """Thrown away after one step; what lasts is in `state`. `adopting` rebuilds a run from saved nodes: it creates
    nothing."""

    def __init__(
        self, plan: Plan, state: State, now: datetime, book: Rulebook, *, adopting: bool = False
    ) -> None:  # fmt: skip
        super().__init__(plan, state, now)
        self.rules, self.book, self.adopting = book.kinds, book, adopting
        self.frames = state.frames
        self.tasks: dict[str, Task] = {}
        self.stops: dict[str, None] = {}
        self.acquire: dict[str, LockWish] = {}
        self.release: dict[str, None] = {}
        self.look_up: dict[str, MemoWish] = {}
        self.remember: list[Memo] = []
        self.deadline: datetime | None = None
        """When the workflow must have ended."""
        self.ended: list[Ended] = []
        """Nodes that no node waits for: the entry, the exit handler, the workflow's hooks."""
        self._queue: deque[Ended | Frame | tuple[str, Phase]] = deque()
        self._freed = False
        self._known: RunVariables | None = None

    # --- the end of a node ------------------------------------------------------------------------------------------

    def complete(  # noqa: PLR0913 - how a node ended, one part each
        self, frame: Frame, phase: Phase, message: str = "", outputs: Outputs | None = None, *,
        raised: str = "", finished_at: datetime | None = None, usage: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        """End a node that runs, and tell who waits for it. One that runs as a daemon is told of no second time."""
        node = self.nodes[frame.node_id]
        told = node.daemoned
        given = node.outputs if outputs is None else outputs
        ended = finished_at or self.now
        ran = frame.kind == "Pod" and node.phase is Phase.Running
        used = resources.held(frame.template, node.started_at, ended) if ran else node.resources
        node = self.edit(
            node.id, phase=phase, message=message, outputs=given, finished_at=ended, resources=used, daemoned=False,
            locks=None, usage=usage or node.usage,
        )  # fmt: skip
        self._export(frame, given)
        self._keep(frame, node)
        self.drop(frame)
        if not told:
            self._queue.append(Ended(frame.call, frame.node_id, raised))

    def drop(self, frame: Frame) -> None:
        """Forget what was kept for a node while it ran."""
        state, node_id = self.state, frame.node_id
        if self.frames.pop(node_id, None) is None:
            return
        if node_id in state.held or node_id in state.wishes or node_id in self.acquire:
            self.release[node_id] = None
        for table in (
            state.open, state.timers, state.blocked, state.courses, state.held, state.wishes, state.lookups,
            self.tasks, self.acquire, self.look_up,
        ):  # fmt: skip
            table.pop(node_id, None)
        if frame.kind in ("Steps", "DAG"):
            self.stop_daemons(node_id)
        elif frame.kind == "Pod":
            state.daemons.get(frame.call.boundary, {}).pop(node_id, None)

    def busy(self, boundary: str) -> int:
        """How many children of a template run; a daemon that is ready only waits for the end of it."""
        daemons = sum(self.nodes[one].type == "Pod" for one in self.state.daemons.get(boundary, ()))
        return self.state.active.get(boundary, 0) - daemons

    def count_pod(self, sign: int) -> None:
        """A pod was asked for, or has ended."""
        self.state.pods += sign
        if sign < 0:
            self.freed()

    def stop_daemons(self, boundary: str) -> None:
        """Daemons live as long as the template around them."""
        for node_id in self.state.daemons.pop(boundary, {}):
            frame = self.frames.get(node_id)
            if frame is None:
                continue
            if frame.kind == "Pod":  # else it is the Retry node around one
                self.stops[node_id] = None
                self.count_pod(-1)
            self.complete(frame, Phase.Succeeded)

    def ended_at_once(self, call: Call, node: Node, raised: str = "") -> None:
        """A node was created in its last phase: who waits for it hears of it in its turn."""
        self._queue.append(Ended(call, node.id, raised))

    def announce(self, call: Call, node: Node) -> None:
        """Tell who waits for a node that it can go on (a daemon is ready)."""
        self._queue.append(Ended(call, node.id, ""))

    def _export(self, frame: Frame, outputs: Outputs) -> None:
        parameters, artifacts = exported(frame.template, outputs)
        if parameters or artifacts:
            self.state.exports |= parameters
            self.state.artifacts |= artifacts
            if self.plan.name in self.state.watched:
                self.turned.append((self.plan.name, self.nodes[self.plan.name].phase))

    def _keep(self, frame: Frame, node: Node) -> None:
        """Remember the outputs of a node whose template says `memoize`."""
        memo = node.memoized
        if memo is not None and not memo.get("hit") and node.phase is Phase.Succeeded and frame.call.attempt is None:
            self.remember.append(Memo(memo["cacheName"], memo["key"], node.id, node.outputs.to_argo()))

    # --- variables --------------------------------------------------------------------------------------------------

    @property
    def known(self) -> RunVariables:
        """What the whole workflow knows now."""
        if self._known is None:
            state = self.state
            self._known = RunVariables(
                self.plan.variables, status=state.status, failures=state.failures,
                duration=f"{(self.now - self.plan.created).total_seconds():f}", parameters=state.exports,
                artifacts=state.artifacts, now=self.now, seed=self.plan.uid,
            )  # fmt: skip
        return self._known

    def set_status(self, status: str, failures: str | None) -> None:
        """`{{workflow.status}}` and `{{workflow.failures}}` from now on."""
        self.state.status, self.state.failures, self._known = status, failures, None

    # --- the queue --------------------------------------------------------------------------------------------------

    def enqueue(self, frame: Frame) -> None:
        """Let a node begin in its turn: what it does may be as deep as the workflow."""
        self._queue.append(frame)

    def run(self) -> None:
        while self._next():
            item = self._queue.popleft()
            match item:
                case Frame():
                    if item.node_id in self.frames:
                        self._begin(item)
                case Ended():
                    self._tell(item)
                case (node_id, phase):
                    self.book.hooks.look(self, node_id, phase)

    def _begin(self, frame: Frame) -> None:
        """Templates that call each other twice and more grow by powers of two long before they are too deep."""
        limit = MAX_HOLDERS * (2 if frame.call.on_exit else 1)
        if self.state.holders > limit and not self.adopting:
            self.complete(frame, Phase.Error, TOO_MANY, raised=TOO_MANY)
        else:
            self.rules[frame.kind].begin(self, frame)

    def _next(self) -> bool:
        """Hooks are looked at before anybody hears that their node has ended."""
        while True:
            if self.turned:
                self._queue.extendleft(reversed(self.turned))
                self.turned.clear()
            if self._queue:
                return True
            if not self._again():
                return False

    def _again(self) -> bool:
        """Room may have come free: whoever was refused tries again, in the order of asking."""
        if self.adopting or not self._freed:
            return False
        self._freed = False
        for waiting in list(self.state.blocked):
            if self.full():
                break
            del self.state.blocked[waiting]
            if self.nodes[waiting].phase is Phase.Pending:
                self.book.proceed(self, self.frames[waiting])
            else:
                self.wake(waiting)
        return bool(self._queue or self.turned)

    def freed(self) -> None:
        self._freed = True

    def full(self) -> bool:
        """The workflow's `parallelism` is reached."""
        limit: int | None = self.plan.spec.get("parallelism")
        return limit is not None and self.state.pods >= limit

    def wake(self, node_id: str) -> None:
        """A timer rang, or there is room: let the node do what is next."""
        node = self.nodes.get(node_id)
        if node is not None and not node.phase.fulfilled:
            self.rules[node.type].resume(self, node)

    def block(self, parent_id: str) -> None:
        self.state.blocked[parent_id] = None

    def _tell(self, item: Ended) -> None:
        call, node = item.call, self.nodes[item.node_id]
        raised = item.raised
        around = not call.boundary or call.boundary in self.frames  # else it has ended early, and nobody listens
        if around and not call.hooked and call.attempt is None:
            raised = self.book.hooks.after(self, call, node) or raised
        if call.of:
            self.state.hooks[call.of] = self.state.hooks.get(call.of, 0) - 1
        if not call.parent:
            self.ended.append(replace(item, raised=raised))
            return
        parent = self.nodes[call.parent]
        if parent.type != "Retry":
            self.state.open[call.parent] = self.state.open.get(call.parent, 0) - 1
        if not parent.phase.fulfilled:
            self.rules[parent.type].told(self, parent, call, raised)

    # --- an early end -----------------------------------------------------------------------------------------------

    def halt(self, reason: str, *, exits_too: bool) -> None:
        """End everything that runs or waits, now; `exits_too` includes what is part of exit handlers.

        A pod says `reason`; what has no pod says it shorter, as upstream.
        """
        self.state.halted = reason
        for frame in [f for f in self.frames.values() if exits_too or not f.call.on_exit]:
            waits = self.at_gate(frame.node_id)
            if frame.kind == "Retry" and frame.node_id in self.state.timers:
                self.clear_timer(frame.node_id)
                self.wake(frame.node_id)  # it waits for its next attempt, and there will be none
            if frame.node_id in self.frames and (waits or frame.kind not in ("Steps", "DAG", "Retry")):
                self._cut(frame, asked=not waits and frame.kind != "Suspend")
        self.freed()

    def _cut(self, frame: Frame, *, asked: bool) -> None:
        if asked and frame.node_id not in self.tasks:
            self.stops[frame.node_id] = None
        if asked and frame.kind == "Pod":
            self.count_pod(-1)
        self._fail_containers(frame, self.state.halted)
        message = self.state.halted if asked and frame.kind == "Pod" else self.short()
        self.complete(frame, Phase.Failed, message, NO_OUTPUTS)

    def close_inside(self, boundary: str, message: str) -> None:
        """End what is left in a template that has ended early: no pod of it runs, but somebody may wait."""
        for group_id in [one for one in self.state.groups if self.nodes[one].boundary_id == boundary]:
            self.edit(group_id, phase=Phase.Failed, message=message, finished_at=self.now)
            for table in (self.state.groups, self.state.open, self.state.blocked):
                table.pop(group_id, None)
        for frame in [f for f in self.frames.values() if f.call.boundary == boundary and f.node_id != boundary]:
            if not self.nodes[frame.node_id].daemoned:
                if frame.kind == "HTTP":
                    self.stops[frame.node_id] = None
                self.complete(frame, Phase.Failed, message)

    def at_gate(self, node_id: str) -> bool:
        """A node that waits for its lock, for what is remembered, or for room after that."""
        state, node = self.state, self.nodes[node_id]
        waits = node_id in state.wishes or node_id in state.lookups or node_id in state.blocked
        return waits and node.phase is Phase.Pending

    def _fail_containers(self, frame: Frame, reason: str) -> None:
        for one in (frame.template.get("containerSet") or {}).get("containers") or ():
            inner = self.get(f"{frame.name}.{one['name']}")
            if inner is not None and not inner.phase.fulfilled:
                self.put(replace(inner, phase=Phase.Failed, message=reason, finished_at=self.now))

    def short(self) -> str:
        """What a node says that has no pod, or may not try again."""
        strategy = self.state.halted.rpartition(" ")[2] if "shutdown" in self.state.halted else ""
        return f"Stopped with strategy '{strategy}'" if strategy else self.state.halted
