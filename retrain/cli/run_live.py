"""A run while it goes on: a tree that is drawn again and again on a terminal, one line for each step elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipelines.pictures.reading import LEAVES, OVER, Node, counts, icon_of, label_of, lasted, nodes_of, plain
from retrain.cli.run_grid import columns
from retrain.cli.run_print import Look
from retrain.cli.run_text import lines, status_of, took

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

BAD = frozenset({"Failed", "Error"})
PER_SECOND = 8
PATIENCE = 20
"""A tree that takes long to draw is drawn less often: it never takes more than one part in so many of the time."""
BELOW = 3
"""Lines of the screen that are not for the tree."""

Echo = Callable[[str], None]
Latest = Callable[[], Mapping[str, Any]]
"""The Workflow object as it is now; called from another thread."""


def to_stderr(text: str) -> None:
    """Say a line on stderr. Not by `click.echo`, which asks the terminal for its colours each time."""
    print(text, file=sys.stderr, flush=True)


class Steps:
    """Says each step's end once, on stderr."""

    def __init__(self, look: Look, echo: Echo = to_stderr) -> None:
        self._look = look
        self._echo = echo
        self._said: set[str] = set()

    def ended(self, nodes: Iterable[Node]) -> list[Node]:
        """Those that have ended since the last call, as far as people want to hear of them."""
        fresh = [
            node
            for node in nodes
            if node["id"] not in self._said
            and node.get("phase") in OVER
            and (node.get("type") in LEAVES or node.get("type") == "Skipped")
            and node.get("phase") != "Omitted"
        ]
        self._said.update(node["id"] for node in fresh)
        return fresh

    def say(self, node: Node) -> None:
        """One line about a node."""
        spent = lasted(node) if node.get("type") != "Skipped" else ""
        message = plain(str(node.get("message") or ""))
        parts = [f"{icon_of(node, utf8=self._look.utf8)} {label_of(node)}", spent, message]
        self._echo("  ".join(part for part in parts if part))


def in_order(run: Mapping[str, Any]) -> list[Node]:
    """The nodes of a run, those that ended first before the others."""
    nodes: Mapping[str, Node] = run["status"].get("nodes") or {}
    return sorted(nodes.values(), key=lambda node: (node.get("finishedAt") or "", node["name"]))


@contextmanager
def open_tree(latest: Latest, look: Look) -> Generator[Echo]:
    """The tree on stderr, which is a terminal, as long as the block lasts; what says a line above it, which stays."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True, highlight=False, no_color=not look.colour or None)
    tree = _Tree(latest, look, console)
    with Live(console=console, get_renderable=tree.text, refresh_per_second=PER_SECOND, transient=True):
        yield lambda text: console.print(Text(text), soft_wrap=True)


def is_screen() -> bool:
    """Whether somebody sees stderr as it changes: a dumb terminal cannot draw over what it has drawn."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class _Tree:
    """Draws what is known now, as far as it fits the screen."""

    def __init__(self, latest: Latest, look: Look, console: Console) -> None:
        self._latest = latest
        self._look = look
        self._console = console
        self._text: Text | None = None
        self._again = 0.0

    def text(self) -> Text:
        began = time.perf_counter()
        if self._text is None or began >= self._again:
            self._text = draw(self._latest(), self._look, self._console.width, self._console.height)
            ended = time.perf_counter()
            self._again = ended + (ended - began) * PATIENCE
        return self._text


def draw(run: Mapping[str, Any], look: Look, width: int, height: int) -> Text:
    """The tree and a line of progress for a screen. Where it is too long, only what runs or went wrong."""
    from rich.text import Text

    now, room = datetime.now(UTC), max(1, height - BELOW)
    drawn = list(lines(run, now, utf8=look.utf8, keep=look.keep))
    left_out = 0
    if len(drawn) > room:
        total = len(drawn)
        for keep in (_is_open, _matters):
            drawn = list(lines(run, now, utf8=look.utf8, keep=keep))
            if len(drawn) < room:
                break
        # The newest are what people look for; the root says how it all stands.
        drawn = drawn if len(drawn) < room else [*drawn[:1], *drawn[len(drawn) - room + 2 :]]
        left_out = total - len(drawn)
    text = Text(no_wrap=True, overflow="ellipsis")
    for line, rest in columns(drawn, "table", width) if drawn else ():
        text.append(line.prefix)
        text.append(line.name, line.colour or None)
        text.append(f"{rest}\n")
    if left_out:
        text.append(f" {'…' if look.utf8 else '...'} {left_out} more that wait or have ended\n", "dim")
    text.append(progress(run, now))
    return text


def progress(run: Mapping[str, Any], now: datetime) -> str:
    """How far a run is, in one line."""
    found = counts(nodes_of(run).values())
    total = sum(found.values())
    over = sum(count for phase, count in found.items() if phase in OVER)
    parts = [f"{status_of(run)}  {over}/{total} steps"]
    parts += [
        f"{found[phase]} {phase.lower()}" for phase in ("Running", "Pending", "Failed", "Error") if found.get(phase)
    ]
    if spent := took(run, now):
        parts.append(spent)
    return ", ".join(parts)


def _is_open(node: Node) -> bool:
    return node.get("phase") not in OVER or node.get("phase") in BAD


def _matters(node: Node) -> bool:
    """Groups are drawn with what is in them, so they need not matter by themselves."""
    return node.get("phase") in BAD or (node.get("phase") == "Running" and node.get("type") in LEAVES)
