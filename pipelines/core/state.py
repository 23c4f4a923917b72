"""What a run is between two steps. Only the nodes are saved; the rest follows from them and the manifest.

Values: a step copies the tables, changes the copy, and makes a new `State` of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipelines.core.nodes import Node, NodeType
from pipelines.core.plan import Holder


@dataclass(frozen=True, slots=True)
class Call:
    """Who started a node, with what, and who is told when it ends."""

    step: Mapping[str, Any]
    """The step, task or hook: `template`, `templateRef` or `inline`, resolved `arguments`, `hooks`."""
    holder: Holder
    """Where the step's `template` is looked up."""
    parent: str = ""
    """The id of the StepGroup, TaskGroup, DAG or Retry node that waits; empty for the entry and the exit handler."""
    boundary: str = ""
    slot: str = ""
    """The step's or task's name as written, without `(0:item)`."""
    prefix: str = ""
    """`steps` or `tasks`."""
    depth: int = 0
    attempt: int | None = None
    deadline: datetime | None = None
    hooked: bool = False
    on_exit: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """A node that has not ended: its template with everything filled in."""

    node_id: str
    name: str
    kind: NodeType
    call: Call
    template: Mapping[str, Any]
    holder: Holder
    """Where the template's own steps look up theirs."""
    readers: frozenset[str] = frozenset()
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The members of a StepGroup or a TaskGroup, in order; those before `next` are started."""

    members: tuple[Mapping[str, Any], ...]
    slots: tuple[str, ...]
    next: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class State:
    nodes: Mapping[str, Node] = field(default_factory=dict)
    frames: Mapping[str, Frame] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    open: Mapping[str, int] = field(default_factory=dict)
    """By parent: how many of its started children have not ended."""
    blocked: Mapping[str, None] = field(default_factory=dict)
    """Parents that were refused a child for want of room (parallelism), first come first."""
    timers: Mapping[str, datetime] = field(default_factory=dict)
    active: Mapping[str, int] = field(default_factory=dict)
    """By boundary: direct children that have not ended, as template parallelism counts them."""
    failed: Mapping[str, int] = field(default_factory=dict)
    exports: Mapping[str, str] = field(default_factory=dict)
    """Output parameters with a `globalName`."""
    pods: int = 0
    status: str = "Running"
    """`{{workflow.status}}`."""
    halted: str = ""
    """Why no task may run any more (a stop, the deadline); empty while they may."""
    failures: str | None = None
    """`{{workflow.failures}}`, once the entry has ended."""
