"""What a run is between two steps. Only the nodes and edges are saved; the rest follows from them and the manifest.

One mutable object for each run, moved in place: a step of a run with 10,000 nodes touches what it changes, no more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipelines.core.happenings import LockWish, MemoWish
from pipelines.core.nodes import Artifact, Node, NodeType
from pipelines.core.plan import Holder


@dataclass(frozen=True, slots=True)
class Call:
    """Who started a node, with what, and who is told when it ends."""

    step: Mapping[str, Any]
    """The step, task or hook: `template`, `templateRef` or `inline`, resolved `arguments`, `hooks`."""
    holder: Holder
    """Where the step's `template` is looked up."""
    parent: str = ""
    """The id of the StepGroup, TaskGroup, DAG or Retry node that waits; empty for the entry
    and the workflow's own hooks."""
    boundary: str = ""
    slot: str = ""
    """The step's or task's name as written, without `(0:item)`."""
    prefix: str = ""
    """`steps` or `tasks`."""
    depth: int = 0
    attempt: int | None = None
    deadline: datetime | None = None
    hooked: bool = False
    of: str = ""
    """The id of the node whose hook it is."""
    on_exit: bool = False
    """Part of an exit handler: a stop lets it run."""


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
    """The steps of a `steps` or `dag` template whose standard output it reads."""
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The members of a StepGroup or a TaskGroup, in order; those before `next` are started."""

    members: tuple[Mapping[str, Any], ...]
    slots: tuple[str, ...]
    next: int = 0
    error: str = ""


@dataclass(slots=True)
class Course:
    """How far a DAG is: by task, how many of its needs are not over; who could start and found no room."""

    missing: dict[str, int]
    ready: deque[str] = field(default_factory=lambda: deque[str]())
    over: set[str] = field(default_factory=lambda: set[str]())


@dataclass(slots=True)
class State:
    """`nodes` and `children` are what is saved; times are aware."""

    nodes: dict[str, Node] = field(default_factory=lambda: dict[str, Node]())
    children: dict[str, list[str]] = field(default_factory=lambda: dict[str, list[str]]())
    known: set[tuple[str, str]] = field(default_factory=lambda: set[tuple[str, str]]())
    """Every (parent, child) of `children`, so that an edge is added once without a search."""
    frames: dict[str, Frame] = field(default_factory=lambda: dict[str, Frame]())
    groups: dict[str, Group] = field(default_factory=lambda: dict[str, Group]())
    courses: dict[str, Course] = field(default_factory=lambda: dict[str, Course]())
    open: dict[str, int] = field(default_factory=lambda: dict[str, int]())
    """By parent: how many of its started children and their hooks have not ended."""
    hooks: dict[str, int] = field(default_factory=lambda: dict[str, int]())
    """By node: how many of its hooks have not ended."""
    watched: dict[str, Call] = field(default_factory=lambda: dict[str, Call]())
    """Nodes whose step has hooks with an expression that has not been true yet."""
    blocked: dict[str, None] = field(default_factory=lambda: dict[str, None]())
    """Who was refused for want of room (parallelism), first come first: parents, and nodes that hold their lock."""
    timers: dict[str, datetime] = field(default_factory=lambda: dict[str, datetime]())
    alarms: list[tuple[datetime, str]] = field(default_factory=lambda: list[tuple[datetime, str]]())
    """The timers as a heap; an entry that is not in `timers` any more is passed over."""
    active: dict[str, int] = field(default_factory=lambda: dict[str, int]())
    """By boundary: direct children that have not ended, as template parallelism counts them."""
    failed: dict[str, int] = field(default_factory=lambda: dict[str, int]())
    daemons: dict[str, dict[str, None]] = field(default_factory=lambda: dict[str, dict[str, None]]())
    """By boundary: the daemons in it that are ready."""
    wishes: dict[str, LockWish] = field(default_factory=lambda: dict[str, LockWish]())
    """By holder: locks that were asked for and are not granted."""
    held: dict[str, LockWish] = field(default_factory=lambda: dict[str, LockWish]())
    ask_again: bool = False
    """The run was restored: what is unanswered is asked once more."""
    lookups: dict[str, MemoWish] = field(default_factory=lambda: dict[str, MemoWish]())
    exports: dict[str, str | None] = field(default_factory=lambda: dict[str, str | None]())
    """Output parameters with a `globalName`."""
    artifacts: dict[str, Artifact] = field(default_factory=lambda: dict[str, Artifact]())
    """Output artifacts with a `globalName`."""
    pods: int = 0
    """Pods that were asked for and have not ended, as the workflow's parallelism counts them."""
    holders: int = 0
    """How many Steps and DAG nodes there are, those that have ended too."""
    progress: tuple[int, int] = (0, 0)
    """Pods that have ended, and all that there are."""
    status: str = "Running"
    """`{{workflow.status}}`."""
    failures: str | None = None
    """`{{workflow.failures}}`, once a hook or the exit handler may ask."""
    halted: str = ""
    """Why no task may run any more (a stop, the deadline); empty while they may."""
