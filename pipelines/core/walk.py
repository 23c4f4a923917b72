"""One step of a run in the making: a working copy of its nodes, and a queue of what follows from what.

Nothing is walked that did not change: a node that ends tells the one that waits for it, and nobody else. What `steps`
and `dag` do when told stands in their own modules, which the engine hands in as `rules`.

Source: `executeTemplate`, `checkParallelism`, `processNodeRetries` of Argo's controller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from pipelines.core import resources, substitute
from pipelines.core.happenings import Task
from pipelines.core.inputs import Filled, fill, mark_absent
from pipelines.core.naming import node_id, pod_name
from pipelines.core.nodes import NO_OUTPUTS, Node, NodeType, Outputs, Phase
from pipelines.core.plan import Holder, Plan
from pipelines.core.retry import Again, End, Wait, decide, duration_s
from pipelines.core.state import Call, Frame, State
from pipelines.core.substitute import Found, Lookup, Unresolved
from pipelines.core.wants import result_readers
from retrain.errors import ConfigError

MAX_DEPTH = 100
LEAVES = ("container", "script")
COUNTED: tuple[NodeType, ...] = ("Pod", "Steps", "DAG")


class Rules(Protocol):
    """What a node that has children does when it begins, when a child has ended, and when there may be room again."""

    def begin(self, walk: Walk, frame: Frame) -> None: ...
    def told(self, walk: Walk, parent: Node, call: Call, raised: str) -> None: ...
    def resume(self, walk: Walk, parent: Node) -> None: ...
    def hook_scope(self, walk: Walk, call: Call, node: Node) -> Lookup: ...


@dataclass(frozen=True, slots=True)
class Ended:
    """A node has ended, and `call` says who waits for it. `raised` is the error of it that its parent must pass on."""

    call: Call
    node_id: str
    raised: str


class Walk:
    """Mutable, and thrown away after one step. `adopting` rebuilds a run from saved nodes: it creates nothing."""

    def __init__(
        self, plan: Plan, state: State, now: datetime, rules: Mapping[str, Rules], *, adopting: bool = False
    ) -> None:
        self.plan, self.now, self.rules, self.adopting = plan, now, rules, adopting
        self.nodes, self.frames = dict(state.nodes), dict(state.frames)
        self.groups, self.open = dict(state.groups), dict(state.open)
        self.blocked, self.timers = dict(state.blocked), dict(state.timers)
        self.active, self.failed = dict(state.active), dict(state.failed)
        self.exports, self.pods = dict(state.exports), state.pods
        self.status, self.halted = state.status, state.halted
        self.changed: dict[str, None] = {}
        self.tasks: dict[str, Task] = {}
        self.stops: dict[str, None] = {}
        self.ended: list[Ended] = []
        """Nodes that nobody waits for: the entry and the exit handler."""
        self._queue: deque[Ended | Frame] = deque()
        self._freed = False
        self.failures = state.failures
        """`{{workflow.failures}}`, once the entry has ended."""

    def state(self) -> State:
        return State(
            self.nodes, self.frames, self.groups, self.open, self.blocked, self.timers, self.active, self.failed,
            self.exports, self.pods, self.status, self.halted, self.failures,
        )  # fmt: skip

    # --- nodes ------------------------------------------------------------------------------------------------------

    def id_of(self, name: str) -> str:
        return node_id(self.plan.name, name)

    def get(self, name: str) -> Node | None:
        return self.nodes.get(self.id_of(name))

    def put(self, node: Node) -> Node:
        old = self.nodes.get(node.id)
        if old is None or old.phase is not node.phase:
            self._count(old, -1)
            self._count(node, +1)
        self.nodes[node.id] = node
        self.changed[node.id] = None
        return node

    def _count(self, node: Node | None, sign: int) -> None:
        if node is None or node.type not in COUNTED:
            return
        if not node.phase.fulfilled:
            self.active[node.boundary_id] = self.active.get(node.boundary_id, 0) + sign
            self.pods += sign if node.type == "Pod" else 0
            self._freed = self._freed or sign < 0
        elif node.phase.bad:
            self.failed[node.boundary_id] = self.failed.get(node.boundary_id, 0) + sign

    def create(self, name: str, kind: NodeType, call: Call, phase: Phase, message: str = "") -> Node:
        display = name
        if call.boundary:
            display = name.removeprefix(self.nodes[call.boundary].name).lstrip(".")
            display = display.partition("].")[2] or display if display.startswith("[") else display
        ref: Mapping[str, Any] | None = call.step.get("templateRef")
        node = Node(
            self.id_of(name), name, display, kind, phase,
            template_name="" if ref else str(call.step.get("template") or ""), template_scope=call.holder.scope,
            template_ref=ref, message=message, boundary_id=call.boundary, retried=call.attempt is not None,
            hooked=call.hooked, started_at=self.now, finished_at=self.now if phase.fulfilled else None,
        )  # fmt: skip
        return self.put(node)

    def add_children(self, parent_id: str, ids: Sequence[str]) -> None:
        parent = self.nodes[parent_id]
        new = [one for one in ids if one not in parent.children] if len(ids) < 8 else _new(parent.children, ids)
        if new:
            self.put(replace(parent, children=(*parent.children, *new)))

    def outbound(self, start: str) -> list[str]:
        """The last nodes of what a node stands for: who comes next becomes their child."""
        found: list[str] = []
        stack = [start]
        while stack:
            node = self.nodes[stack.pop()]
            if node.type == "Retry" and node.children:
                stack.append(node.children[-1]) if self.nodes[node.children[-1]].type in ("Steps", "DAG") else (
                    found.append(node.children[-1])
                )
            elif node.type == "TaskGroup" and node.children:
                stack += reversed(node.children)
            elif node.type in ("Steps", "DAG"):
                stack += reversed(node.outbound_nodes) if node.outbound_nodes != (node.id,) else []
            else:
                found.append(node.id)
        return found

    def complete(
        self, frame: Frame, phase: Phase, message: str = "", outputs: Outputs | None = None, *,
        raised: str = "", finished_at: datetime | None = None,
    ) -> None:  # fmt: skip
        """End a node that runs, and tell who waits for it."""
        node = self.nodes[frame.node_id]
        given = node.outputs if outputs is None else outputs
        ended = finished_at or self.now
        ran = frame.kind == "Pod" and node.phase is Phase.Running
        used = resources.held(frame.template, node.started_at, ended) if ran else node.resources
        self.put(replace(node, phase=phase, message=message, outputs=given, finished_at=ended, resources=used))
        self._export(frame, given)
        self.frames.pop(frame.node_id, None)
        for table in (self.open, self.timers, self.blocked, self.tasks):
            table.pop(frame.node_id, None)
        self._queue.append(Ended(frame.call, frame.node_id, raised))

    def ended_at_once(self, call: Call, node: Node, raised: str = "") -> None:
        """A node was created in its last phase: who waits for it hears of it in its turn."""
        self._queue.append(Ended(call, node.id, raised))

    def _export(self, frame: Frame, outputs: Outputs) -> None:
        for parameter in (frame.template.get("outputs") or {}).get("parameters") or ():
            if parameter.get("globalName") and parameter["name"] in outputs.parameters:
                self.exports[parameter["globalName"]] = outputs.parameters[parameter["name"]]

    def variable(self, tag: str) -> Found:
        """What the whole workflow knows."""
        if not tag.startswith("workflow."):
            return None
        if tag == "workflow.status":
            return self.status
        if tag == "workflow.duration":
            return f"{(self.now - self.plan.created).total_seconds():f}"
        if tag == "workflow.failures":
            return self.failures
        exported = self.exports.get(tag.removeprefix("workflow.outputs.parameters."))
        return self.plan.variables.get(tag) if exported is None else exported

    # --- the queue --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        while self._queue or self._again():
            item = self._queue.popleft()
            if isinstance(item, Frame):
                if item.node_id in self.frames:
                    self.rules[item.kind].begin(self, item)
            else:
                self._tell(item)

    def _again(self) -> bool:
        """Room may have come free: whoever was refused tries again."""
        if self.adopting or not self._freed or not self.blocked:
            return False
        self._freed = False
        for waiting in list(self.blocked):
            if self._full():
                break
            del self.blocked[waiting]
            self.wake(waiting)
        return bool(self._queue)

    def freed(self) -> None:
        """Let everyone who was refused try again."""
        self._freed = True

    def wake(self, parent_id: str) -> None:
        node = self.nodes[parent_id]
        if node.phase.fulfilled:
            return
        if node.type == "Retry":
            self._next_attempt(self.frames[parent_id])
        else:
            self.rules[node.type].resume(self, node)

    def block(self, parent_id: str) -> None:
        self.blocked[parent_id] = None

    def _tell(self, item: Ended) -> None:
        call = item.call
        if not call.parent:
            self.ended.append(item)
            return
        parent = self.nodes[call.parent]
        if parent.type == "Retry":
            if not parent.phase.fulfilled:
                self._next_attempt(self.frames[call.parent])
            return
        if not call.hooked and self._exit_hook(call, self.nodes[item.node_id]):
            return
        self.open[call.parent] = self.open.get(call.parent, 0) - 1
        if not parent.phase.fulfilled:
            self.rules[parent.type].told(self, parent, call, item.raised)

    # --- starting things --------------------------------------------------------------------------------------------

    def start(self, name: str, call: Call) -> bool:
        """Start what a step calls, under a parent that counts it. False: there is no room now."""
        node = self.get(name)
        if node is not None and node.phase.fulfilled:
            self._adopt_hook(call, node)
            return True
        if node is None and not self._room(call):
            return False
        self.open[call.parent] = self.open.get(call.parent, 0) + 1
        self.launch(name, call)
        return True

    def _full(self) -> bool:
        limit: int | None = self.plan.spec.get("parallelism")
        return limit is not None and self.pods >= limit

    def _room(self, call: Call) -> bool:
        if self.adopting or self._full():
            return False
        frame = self.frames.get(call.boundary)
        if frame is None or self.halted:
            return True
        if frame.template.get("failFast") and self.failed.get(call.boundary, 0) > 0:
            return False
        limit: int | None = frame.template.get("parallelism")
        return limit is None or self.active.get(call.boundary, 0) < limit

    def launch(self, name: str, call: Call) -> None:
        """Create a node (or adopt the saved one) and set it going."""
        node = self.get(name)
        try:
            if call.depth > MAX_DEPTH:
                raise ConfigError("Maximum recursion depth exceeded")  # noqa: TRY301 - one place makes the node
            template, holder = self.plan.resolve(call.step, call.holder)
            filled = self._filled(name, call, template)
            kind = _kind(filled.template, call)
            if kind == "Pod":
                self._launch_leaf(name, call, filled, holder, node)
                return
        except (ConfigError, Unresolved) as error:
            made = node or self.create(name, "Skipped", call, Phase.Error, str(error))
            if node is not None:
                made = self.put(replace(node, phase=Phase.Error, message=str(error), finished_at=self.now))
            self.ended_at_once(call, made, str(error))
            return
        node = node or self.create(name, kind, call, Phase.Running)
        self._enter(node, call, kind, filled, holder)

    def _enter(self, node: Node, call: Call, kind: NodeType, filled: Filled, holder: Holder) -> None:
        if node.inputs != filled.inputs:
            self.put(replace(node, inputs=filled.inputs))
        frame = Frame(node.id, node.name, kind, call, filled.template, holder, result_readers(filled.template))
        self.frames[node.id] = frame
        self.open.setdefault(node.id, 0)
        if kind == "Retry":
            self._next_attempt(frame)  # now, for parallelism counts the attempt and not the Retry node
        else:
            self._queue.append(frame)

    def _filled(self, name: str, call: Call, template: Mapping[str, Any]) -> Filled:
        local = {"node.name": name}
        if call.prefix and call.attempt is None:
            local[f"{call.prefix}.name"] = str(call.step.get("name", ""))
        is_leaf = any(template.get(key) for key in LEAVES)
        if is_leaf and (call.attempt is not None or template.get("retryStrategy") is None):
            local["pod.name"] = pod_name(self.plan.name, name, str(template.get("name", "")))
        if call.attempt is not None:
            local |= self._last_try(call)
        return fill(template, call.step.get("arguments") or {}, self.variable, local, self.plan.catalog)

    def _last_try(self, call: Call) -> dict[str, str]:
        attempts = self._attempts(self.nodes[call.parent])
        number = call.attempt or 0
        last = attempts[number - 1] if 0 < number <= len(attempts) else None
        if last is None:
            found = ("0", "", "0", "")
        else:
            ran = (last.finished_at or self.now) - (last.started_at or self.now)
            found = (last.outputs.exit_code or "0", str(last.phase), f"{ran.total_seconds():g}", last.message)
        names = ("exitCode", "status", "duration", "message")
        return {"retries": str(number)} | {f"lastRetry.{key}": value for key, value in zip(names, found, strict=True)}

    # --- leaves -----------------------------------------------------------------------------------------------------

    def _launch_leaf(self, name: str, call: Call, filled: Filled, holder: Holder, node: Node | None) -> None:
        deadline_s = _deadline_s(filled.template, call, self.now)
        if node is None:
            node = self.create(name, "Pod", call, Phase.Pending)
        if node.inputs != filled.inputs:
            node = self.put(replace(node, inputs=filled.inputs))
        frame = Frame(node.id, name, "Pod", call, filled.template, holder, frozenset(), deadline_s)
        self.frames[node.id] = frame
        if self.halted and not call.on_exit:
            self.complete(frame, Phase.Failed, self.halted)
        else:
            self.tasks[node.id] = self.task(frame)

    def task(self, frame: Frame) -> Task:
        template = frame.template
        pod = pod_name(self.plan.name, frame.name, str(template.get("name", "")))
        inputs = self.nodes[frame.node_id].inputs
        return Task(frame.node_id, frame.name, pod, template, inputs, frame.deadline_s)

    def halt(self, message: str, *, exits_too: bool) -> None:
        """End every task that runs, now, with this message; `exits_too` includes those of exit handlers."""
        self.halted = message
        for frame in [f for f in self.frames.values() if f.kind == "Pod" and (exits_too or not f.call.on_exit)]:
            if frame.node_id not in self.tasks:
                self.stops[frame.node_id] = None
            self.complete(frame, Phase.Failed, message, NO_OUTPUTS)
        self._freed = True

    # --- retries ----------------------------------------------------------------------------------------------------

    def _attempts(self, node: Node) -> list[Node]:
        return [child for one in node.children if (child := self.nodes[one]).retried]

    def _next_attempt(self, frame: Frame) -> None:
        node = self.nodes[frame.node_id]
        attempts = self._attempts(node)
        if attempts and not attempts[-1].phase.fulfilled:
            if attempts[-1].id not in self.frames:  # adopted
                self._attempt(frame, len(attempts) - 1, None)
            return
        verdict = self._verdict(frame, attempts) if attempts else Again()
        match verdict:
            case End():
                self.complete(frame, verdict.phase, verdict.message, attempts[-1].outputs)
            case Wait():
                if node.message != verdict.message:
                    self.put(replace(node, message=verdict.message))
                self.timers[node.id] = verdict.until
            case Again():
                if self.adopting or (self._full() and any(frame.template.get(key) for key in LEAVES)):
                    self.block(node.id)
                else:
                    self._attempt(frame, len(attempts), verdict.deadline)

    def _verdict(self, frame: Frame, attempts: Sequence[Node]) -> Again | Wait | End:
        last = attempts[-1]
        if self.adopting and last.phase.bad:
            return Again()  # the first step after it decides, and knows the time
        if self.halted and last.phase.bad and not frame.call.on_exit:
            return End(last.phase, self.status_message())
        try:
            return decide(frame.template.get("retryStrategy") or {}, attempts, self.now)
        except ConfigError as error:
            return End(Phase.Error, str(error))

    def status_message(self) -> str:
        """What a retried node says that may not try again."""
        strategy = self.halted.rpartition(" ")[2] if "shutdown" in self.halted else ""
        return f"Stopped with strategy '{strategy}'" if strategy else "retry exceeded workflow deadline"

    def _attempt(self, frame: Frame, number: int, deadline: datetime | None) -> None:
        node = self.nodes[frame.node_id]
        name = f"{frame.name}({number})"
        if node.message:
            self.put(replace(node, message=""))
        self.timers.pop(node.id, None)
        call = replace(frame.call, parent=frame.node_id, attempt=number, deadline=deadline, hooked=False)
        self.launch(name, call)
        self.add_children(node.id, [self.id_of(name)])

    # --- exit hooks of steps and tasks ------------------------------------------------------------------------------

    def _hook(self, call: Call, node: Node) -> Mapping[str, Any] | None:
        if not node.phase.completed or "Terminate" in self.halted:
            return None
        hook = (call.step.get("hooks") or {}).get("exit")
        return hook or ({"template": call.step["onExit"]} if call.step.get("onExit") else None)

    def _exit_hook(self, call: Call, node: Node) -> bool:
        """Start the exit hook of a step that has ended; the parent goes on counting it instead."""
        hook = self._hook(call, node)
        name = f"{node.name}.onExit"
        if hook is None or self.get(name) is not None:
            return False
        scope = self.rules[self.nodes[call.parent].type].hook_scope(self, call, node)
        step = {**hook, "name": name}
        try:
            arguments = mark_absent(hook.get("arguments") or {}, scope)
            step["arguments"] = substitute.replace(arguments, scope)
        except (Unresolved, ConfigError):
            step["arguments"] = hook.get("arguments") or {}
        self.launch(name, replace(call, step=step, hooked=True, on_exit=True, prefix=""))
        self.add_children(node.id, [self.id_of(name)])
        return True

    def _adopt_hook(self, call: Call, node: Node) -> None:
        hook, saved = self._hook(call, node), self.get(f"{node.name}.onExit")
        if hook is not None and saved is not None and not saved.phase.fulfilled:
            self.open[call.parent] = self.open.get(call.parent, 0) + 1
            arguments = {"parameters": [{"name": k, "value": v} for k, v in saved.inputs.parameters.items()]}
            step = {**hook, "name": saved.name, "arguments": arguments}
            self.launch(saved.name, replace(call, step=step, hooked=True, on_exit=True, prefix=""))

    def hook_open(self, node: Node) -> bool:
        """Whether a node that has ended still has its exit hook running."""
        hook = self.get(f"{node.name}.onExit")
        return hook is not None and not hook.phase.fulfilled


def _new(old: Sequence[str], ids: Sequence[str]) -> list[str]:
    known = set(old)
    return [one for one in ids if one not in known]


def _kind(template: Mapping[str, Any], call: Call) -> NodeType:
    if template.get("retryStrategy") is not None and call.attempt is None:
        return "Retry"
    for key, kind in _KINDS.items():
        if template.get(key) is not None:
            return kind
    raise ConfigError(f"Template '{template.get('name', '')}' missing specification")


_KINDS: dict[str, NodeType] = {"container": "Pod", "script": "Pod", "steps": "Steps", "dag": "DAG"}


def _deadline_s(template: Mapping[str, Any], call: Call, now: datetime) -> float | None:
    """The nearest of the limits that a leaf has.

    Raises:
        ConfigError: one is no duration.
    """
    limits: list[float] = []
    for key in ("activeDeadlineSeconds", "timeout"):
        if template.get(key) is not None:
            limits.append(duration_s(template[key]))
    if call.deadline is not None:
        limits.append(max((call.deadline - now) / timedelta(seconds=1), 0.001))
    return min(limits) if limits else None
