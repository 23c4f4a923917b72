"""The nodes of a run while a step moves it: who is there, who came because of whom, and how many of them run.

Nothing is copied. What changes is written down (`changed`, `edges`), so that the caller saves that and no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from heapq import heappop, heappush
from typing import Any

from pipelines.core.naming import node_id
from pipelines.core.nodes import NO_INPUTS, Inputs, Node, NodeType, Phase
from pipelines.core.plan import Plan
from pipelines.core.state import Call, State

COUNTED: frozenset[NodeType] = frozenset({"Pod", "Steps", "DAG"})
"""Types that count as active children (`parallelism`) and as failed ones (`failFast`)."""
HOLDERS: frozenset[NodeType] = frozenset({"Steps", "DAG"})
_NO_CHILDREN: list[str] = []


class Tree:
    """A view of a `State`: reads it, and is the one place that changes nodes and edges."""

    def __init__(self, plan: Plan, state: State, now: datetime) -> None:
        self.plan, self.state, self.now = plan, state, now
        self.nodes = state.nodes
        self.changed: dict[str, None] = {}
        self.edges: list[tuple[str, str]] = []
        self.turned: list[tuple[str, Phase]] = []
        """Watched nodes that came to another phase, in order: their hooks have to be looked at."""

    def id_of(self, name: str) -> str:
        return node_id(self.plan.name, name)

    def get(self, name: str) -> Node | None:
        return self.nodes.get(self.id_of(name))

    def children(self, parent_id: str) -> Sequence[str]:
        return self.state.children.get(parent_id, _NO_CHILDREN)

    def put(self, node: Node) -> Node:
        old = self.nodes.get(node.id)
        if old is None and node.type in HOLDERS:
            self.state.holders += 1
        if old is None or old.phase is not node.phase:
            self._count(old, -1)
            self._count(node, +1)
            if node.id in self.state.watched:
                self.turned.append((node.id, node.phase))
        self.nodes[node.id] = node
        self.changed[node.id] = None
        return node

    def _count(self, node: Node | None, sign: int) -> None:
        if node is None or node.type not in COUNTED:
            return
        state, over = self.state, node.phase.fulfilled
        if node.type == "Pod":
            done, of = state.progress
            state.progress = (done + (sign if over else 0), of + sign)
        if not over:
            state.active[node.boundary_id] = state.active.get(node.boundary_id, 0) + sign
            if sign < 0:
                self.freed()
        elif node.phase.bad:
            state.failed[node.boundary_id] = state.failed.get(node.boundary_id, 0) + sign

    def freed(self) -> None:
        """Something that counted has ended: there may be room for others."""

    def create(
        self, name: str, kind: NodeType, call: Call, phase: Phase, message: str = "", inputs: Inputs = NO_INPUTS
    ) -> Node:
        display = name
        if call.boundary:
            display = name.removeprefix(self.nodes[call.boundary].name).lstrip(".")
            display = display.partition("].")[2] or display if display.startswith("[") else display
        ref: Mapping[str, Any] | None = call.step.get("templateRef")
        node = Node(
            self.id_of(name), name, display, kind, phase,
            template_name="" if ref else str(call.step.get("template") or ""), template_scope=call.holder.scope,
            template_ref=ref, message=message, boundary_id=call.boundary, inputs=inputs,
            retried=call.attempt is not None, hooked=call.hooked, started_at=self.now,
            finished_at=self.now if phase.fulfilled else None,
        )  # fmt: skip
        return self.put(node)

    def edit(self, node_id: str, **parts: Any) -> Node:
        """A node with other parts."""
        return self.put(replace(self.nodes[node_id], **parts))

    def add_children(self, parent_id: str, ids: Sequence[str]) -> None:
        """New execution edges. An edge that is there is not added twice."""
        known = self.state.known
        for child in ids:
            edge = (parent_id, child)
            if edge not in known:
                known.add(edge)
                self.state.children.setdefault(parent_id, []).append(child)
                self.edges.append(edge)

    def attempts(self, node_id: str) -> list[Node]:
        """The attempts of a Retry node, in order."""
        return [child for one in self.children(node_id) if (child := self.nodes[one]).retried]

    def last_attempt(self, node: Node) -> Node:
        """What is read of a retried step is what its last attempt gave."""
        attempts = self.attempts(node.id) if node.type == "Retry" else []
        return attempts[-1] if attempts else node

    def outbound(self, start: str) -> list[str]:
        """The last nodes of what a node stands for: who comes next becomes their child."""
        found: list[str] = []
        stack = [start]
        while stack:
            node = self.nodes[stack.pop()]
            children = self.children(node.id)
            match node.type:
                case "Retry" if children:
                    last = self.last_attempt(node)
                    (stack if last.type in ("Steps", "DAG") else found).append(last.id)
                case "TaskGroup" if children:
                    stack += reversed([one for one in children if not self.nodes[one].hooked])
                case "Pod" | "Container" if children:
                    inside = self._containers(node)
                    stack += reversed(inside)
                    found += [] if inside else [node.id]
                case "Steps" | "DAG" if (node.memoized or {}).get("hit"):
                    found.append(node.id)  # there is nothing in it
                case "Steps" | "DAG":
                    stack += reversed(node.outbound_nodes) if node.outbound_nodes != (node.id,) else []
                case _:
                    found.append(node.id)
        return found

    def _containers(self, node: Node) -> list[str]:
        """The containers of a containerSet that come after a node of it."""
        return [one for one in self.children(node.id) if (child := self.nodes[one]).type == "Container"
                and (child.boundary_id == node.id or child.boundary_id == node.boundary_id)]  # fmt: skip

    # --- time -------------------------------------------------------------------------------------------------------

    def set_timer(self, node_id: str, at: datetime) -> None:
        self.state.timers[node_id] = at
        heappush(self.state.alarms, (at, node_id))

    def clear_timer(self, node_id: str) -> None:
        self.state.timers.pop(node_id, None)

    def next_timer(self) -> datetime | None:
        """When the first timer rings."""
        alarms, timers = self.state.alarms, self.state.timers
        while alarms and timers.get(alarms[0][1]) != alarms[0][0]:
            heappop(alarms)
        return alarms[0][0] if alarms else None

    def rung(self) -> list[str]:
        """The nodes whose time has come; their timers are cleared."""
        found: list[str] = []
        while (at := self.next_timer()) is not None and at <= self.now:
            _, node_id = heappop(self.state.alarms)
            self.clear_timer(node_id)
            found.append(node_id)
        return found
