"""One run as the page shows it: read once, and only what is shown."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from pipelines.host.labels import RESUBMITTED_LABEL
from retrain.app.looking.queries import find_run, listed_run
from retrain.app.runs.folding import SUSPENDED, Tree, phase_of
from retrain.app.runs.values import parameters_of
from retrain.app.runs.waiting import MOST, Waiting, waiting_of
from retrain.store import run_outlines
from retrain.store.runs import OPEN, RunRow

Json = dict[str, Any]
KEPT, LARGE = 4, 500
"""Trees of runs that are over and have at least so many nodes, which are kept for who looks again."""


@dataclass(frozen=True, slots=True)
class RunView:
    """`run`: its Workflow object without nodes. `chosen`: the whole node that somebody chose. `waiting`: what waits for
    people. `used`: seconds of each resource times what was asked of it, of all pods."""

    row: RunRow
    run: Json
    tree: Tree
    chosen: Mapping[str, Any] | None
    waiting: Sequence[Waiting]
    parameters: Mapping[str, str]

    @property
    def used(self) -> Mapping[str, float]:
        return self.tree.outline.used

    @property
    def open(self) -> bool:
        return self.row.phase in OPEN

    @property
    def resubmitted(self) -> str:
        """The run that it was made of again; "" for none."""
        return self.run["metadata"]["labels"].get(RESUBMITTED_LABEL, "")


class Trees:
    """The trees of large runs that nobody works on any more: a retry makes another of it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], Tree] = OrderedDict()

    def of(self, connection: Connection, row: RunRow) -> Tree:
        """The tree of a run."""
        key = (row.id, row.finished, row.retries)
        if row.phase not in OPEN and (kept := self._kept.get(key)) is not None:
            return kept
        tree = Tree(run_outlines.outline(connection, row.id))
        if row.phase not in OPEN and len(tree.nodes) >= LARGE:
            self._kept[key] = tree
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return tree


def view(connection: Connection, name: str, node: str, trees: Trees) -> RunView:
    """A run with its tree.

    Raises:
        NotFound: there is no such run.
    """
    row = find_run(connection, name)
    tree = trees.of(connection, row)
    chosen = run_outlines.node(connection, row.id, node) if node else None
    asked = [one.id for one in tree.nodes.values() if phase_of(one) == SUSPENDED][:MOST] if row.phase in OPEN else []
    bodies = [body for key in asked if (body := run_outlines.node(connection, row.id, key)) is not None]
    waiting = [waiting_of(row, body) for body in bodies]
    return RunView(row, listed_run(row), tree, chosen, waiting, parameters_of(row))
