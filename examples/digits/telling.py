"""How a demo tells its story: headings, what commands print, changes in colour, and a table at the end."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from examples.digits.repository import Failure
from examples.digits.stage import Stage

console = Console(width=max(100, Console().width) if sys.stdout.isatty() else 140, highlight=False, soft_wrap=False)
VERDICTS = {"pass": "[green]pass[/]", "fail": "[red]fail[/]"}
S = TypeVar("S", bound=Stage)


def tell(story: Callable[[S], None], stage: S) -> int:
    """Tell a story in an empty place, and leave nothing running; 0 if it happened."""
    began = time.monotonic()
    shutil.rmtree(stage.place, ignore_errors=True)
    try:
        story(stage)
    except Failure as failure:
        console.print("\n[bold red]The story did not happen:[/]", Text(str(failure)))
        console.print(f"[dim]the platform's last lines ({stage.log}):[/]")
        console.print(Text(stage.last_lines(25)))
        return 1
    finally:
        stage.clear()
    took = time.monotonic() - began
    console.print(f"\nTook {took:.0f} s. Everything is in {stage.place.name}/ to look at; nothing is left running.")
    return 0


def say(title: str, text: str) -> None:
    """Begin a part of the story."""
    console.print()
    console.print(Rule(f"[bold]{title}[/]", align="left"))
    console.print(f"[dim]{text}[/]")


def lines(stage: Stage, shown: list[str], *, whole: bool = False) -> None:
    """Show lines as they came, each on one line unless they shall be shown whole."""
    for line in shown:
        text = Text.from_ansi(f"  {stage.shorten(line.rstrip())}")
        if not whole:
            text.truncate(console.width, overflow="ellipsis")
        console.print(text)


def gates(promotion: dict[str, Any]) -> None:
    """Show what each gate said of a promotion's model."""
    for gate in promotion["gates"]:
        mark = VERDICTS.get(gate["verdict"], gate["verdict"])
        console.print(f"  {mark}  [bold]{gate['name']}[/]: {escape(gate['reason'])}")


def diff(stage: Stage, promotion: dict[str, Any]) -> None:
    """Show what a promotion changed in the manifest."""
    shown = [line for line in promotion["diff"].splitlines() if not line.startswith(("index ", "diff "))]
    for line in shown[:12]:
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        console.print(Text(f"  {stage.shorten(line)}", style), soft_wrap=True)


def summary(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Show what happened as a table; the last column may have several lines."""
    console.print(Rule("What happened"))
    table = Table(box=box.SIMPLE_HEAD)
    for title in titles:
        table.add_column(title, no_wrap=title != titles[-1], overflow="ellipsis")
    for row in rows:
        table.add_row(*row)
    console.print(table)
