"""A `dag` template compiled: its tasks, who waits for whom, and what its targets need.

Source: workflow/controller/dag.go and workflow/common/ancestry.go of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from graphlib import TopologicalSorter
from typing import Any

from pipelines.core.depends import Depends, depends_of, tolerant_of
from retrain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Graph:
    """The tasks of one dag template, and who waits for whom."""

    tasks: Mapping[str, Mapping[str, Any]]
    depends: Mapping[str, Depends | None]
    dependents: Mapping[str, tuple[str, ...]]
    targets: tuple[str, ...]
    wanted: tuple[str, ...]
    """What the targets need, in the order written."""

    _above: dict[str, tuple[int, int]] = field(default_factory=lambda: dict[str, tuple[int, int]](), repr=False)
    """(a task's own bit, the bits of all that it waits for), made when first asked for."""

    def ancestors(self, task: str) -> frozenset[str]:
        """All that a task waits for, directly or not."""
        return frozenset(self.before([task]))

    def before(self, tasks: Iterable[str]) -> set[str]:
        """All that any of these tasks waits for. Each task on the way is looked at once."""
        found: set[str] = set()
        stack = [need for task in tasks for need in self.needs(task)]
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack += self.needs(name)
        return found

    def is_above(self, name: str, task: str) -> bool:
        """Whether a task waits for `name`, directly or not.

        Ten thousand tasks that all read the first one must not each walk the whole way back, so what is far is kept
        as bits: 12 MB for them.
        """
        needs = self.needs(task)
        if name in needs or not needs or name not in self.tasks:
            return name in needs
        if not self._above:
            self._above.update(self._bits())
        return bool(self._above[task][1] & self._above[name][0])

    def _bits(self) -> dict[str, tuple[int, int]]:
        bits: dict[str, tuple[int, int]] = {}
        order = TopologicalSorter({task: self.needs(task) for task in self.tasks}).static_order()
        for number, task in enumerate(order):
            above = 0
            for need in self.needs(task):
                own, before = bits[need]
                above |= own | before
            bits[task] = 1 << number, above
        return bits

    def needs(self, task: str) -> tuple[str, ...]:
        depends = self.depends.get(task)
        return depends.tasks if depends else ()


class _Key:
    """A template by identity, so that a graph is made once for each frame."""

    __slots__ = ("dag",)

    def __init__(self, dag: Mapping[str, Any]) -> None:
        self.dag = dag

    def __hash__(self) -> int:
        return id(self.dag)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.dag is self.dag


@lru_cache(maxsize=512)
def _graph(key: _Key) -> Graph:
    return graph_of(key.dag)


def graph_at(dag: Mapping[str, Any]) -> Graph:
    """`graph_of`, made once for this very mapping."""
    return _graph(_Key(dag))


def graph_of(dag: Mapping[str, Any]) -> Graph:
    """Compile a `dag`.

    Raises:
        ConfigError: a `depends` cannot be read, or names no task.
    """
    tasks = {str(task["name"]): task for task in dag["tasks"]}
    tolerant = tolerant_of(tasks)
    depends = {name: depends_of(task, tolerant) for name, task in tasks.items()}
    dependents: dict[str, list[str]] = {name: [] for name in tasks}
    for name, one in depends.items():
        for other in one.tasks if one else ():
            if other not in tasks:
                raise ConfigError(f"tasks.{name} dependency '{other}' not defined")
            dependents[other].append(name)
    leaves = tuple(sorted(name for name, waiting in dependents.items() if not waiting))
    targets = tuple(str(dag["target"]).split(" ")) if dag.get("target") else leaves
    if missing := [name for name in targets if name not in tasks]:
        raise ConfigError(f"target '{missing[0]}' is not defined")
    graph = Graph(tasks, depends, {k: tuple(v) for k, v in dependents.items()}, targets, ())
    needed = graph.before(targets).union(targets)
    return replace(graph, wanted=tuple(name for name in tasks if name in needed))
