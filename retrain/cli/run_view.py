"""What a person sees of a run in the foreground: a tree that moves on a terminal, one line for each step elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from pipelines.core.nodes import Node, Phase

if TYPE_CHECKING:
    from rich.live import Live

    from pipelines.core.engine import Decision, Run

ICONS = {
    Phase.Pending: "◷",
    Phase.Running: "●",
    Phase.Succeeded: "✔",
    Phase.Skipped: "○",
    Phase.Omitted: "○",
    Phase.Failed: "✖",
    Phase.Error: "⚠",
}
COLOURS = {Phase.Running: "cyan", Phase.Succeeded: "green", Phase.Failed: "red", Phase.Error: "red"}
HIDDEN = ("StepGroup", "TaskGroup")
"""Nodes that hold others together and say nothing themselves."""
LOG_LINES = 10
TREE_LINES = 200
"""A longer tree is not drawn: nobody reads it, and a terminal cannot show it."""


class View(Protocol):
    """Sees the run after every change."""

    def show(self, decision: Decision) -> None: ...


@contextmanager
def open_view(name: str, home: Path) -> Generator[View]:
    """The view that fits stderr."""
    if not sys.stderr.isatty():
        yield Lines(home)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=8, transient=True) as live:
        yield Tree(name, live, Lines(home, quiet=True))


class Lines:
    """Says each step's end, and the end of the log of one that failed."""

    def __init__(self, home: Path, *, quiet: bool = False) -> None:
        self._home = home
        self._quiet = quiet
        self._said: set[str] = set()

    def show(self, decision: Decision) -> None:
        for node in (decision.run.nodes[node_id] for node_id in decision.changed):
            if node.id not in self._said and node.phase.fulfilled and node.type in ("Pod", "Skipped"):
                self._said.add(node.id)
                self._say(node)

    def _say(self, node: Node) -> None:
        if node.phase.bad or not self._quiet:
            click.echo(_line(node), err=True)
        if node.phase.bad:
            from pipelines.local.logs import read_tail
            from pipelines.local.workspace import open_workspace

            tail = read_tail(open_workspace(self._home, node.id).main_log, LOG_LINES)
            for line in tail.splitlines():
                click.echo(f"    {printable(line)}", err=True)


class Tree:
    """The whole run, redrawn in place."""

    def __init__(self, name: str, live: Live, lines: Lines) -> None:
        self._name = name
        self._live = live
        self._lines = lines

    def show(self, decision: Decision) -> None:
        from rich.text import Text

        self._lines.show(decision)
        text = Text()
        for prefix, node in tree(decision.run)[-self._live.console.height + 2 :]:
            text.append(prefix)
            text.append(_line(node), COLOURS.get(node.phase, ""))
            text.append("\n")
        self._live.update(text)


def draw(run: Run) -> None:
    """The ended run on stdout."""
    click.echo(f"{'Name:':<20} {run.plan.name}")
    click.echo(f"{'Status:':<20} {run.phase}")
    if run.message:
        click.echo(f"{'Message:':<20} {printable(run.message)}")
    if run.started_at and run.finished_at:
        click.echo(f"{'Duration:':<20} {(run.finished_at - run.started_at).total_seconds():.1f} seconds")
    outputs = run.nodes[run.plan.name].outputs.parameters if run.plan.name in run.nodes else {}
    for name, value in outputs.items():
        click.echo(f"{'Output:':<20} {printable(name)} = {printable(value)}")
    lines = tree(run)
    click.echo("")
    for prefix, node in lines[:TREE_LINES]:
        click.echo(prefix + _line(node))
    if len(lines) > TREE_LINES:
        click.echo(f"... and {len(lines) - TREE_LINES} more; -o json has them all")


def tree(run: Run) -> list[tuple[str, Node]]:
    """The nodes under the Steps or DAG that they belong to, in the order in which they began."""
    below: dict[str, list[Node]] = {}
    for node in run.nodes.values():
        if node.type not in HIDDEN and node.phase is not Phase.Omitted:
            below.setdefault(node.boundary_id if node.id != run.plan.name else "", []).append(node)
    out: list[tuple[str, Node]] = []
    waiting = [("", "", node) for node in reversed(below.get("", []))]
    while waiting:
        prefix, indent, node = waiting.pop()
        out.append((prefix, node))
        children = below.get(node.id, [])
        last = len(children) - 1
        for index in range(last, -1, -1):
            corner, bar = ("└─", "  ") if index == last else ("├─", "│ ")
            waiting.append((indent + corner, indent + bar, children[index]))
    return out


def _line(node: Node) -> str:
    took = ""
    if node.started_at and node.finished_at and node.type == "Pod":
        took = f"  {(node.finished_at - node.started_at).total_seconds():.1f}s"
    message = f"  {printable(node.message)}" if node.message else ""
    return f"{ICONS[node.phase]} {printable(node.display_name)}{took}{message}"


def printable(text: str) -> str:
    """Text from outside for a terminal: control characters are shown, not obeyed."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
