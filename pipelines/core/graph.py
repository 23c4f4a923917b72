"""A `dag` template compiled: its tasks, who waits for whom, and what its targets need.

Source: workflow/controller/dag.go and workflow/common/ancestry.go of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
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

    def ancestors(self, task: str) -> frozenset[str]:
        found: set[str] = set()
        stack = list(self.needs(task))
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack += self.needs(name)
        return frozenset(found)

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
    needed = set(targets).union(*(graph.ancestors(target) for target in targets))
    return replace(graph, wanted=tuple(name for name in tasks if name in needed))
