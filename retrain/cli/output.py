"""How commands print: a table that a person reads, or JSON, YAML and names for scripts."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

Column = tuple[str, Callable[[Any], Any]]

NOTHING = "-"
SHORT = 10
"""Letters of a cell that is never broken, however narrow the terminal."""
BESIDE, CLOSE = 3, 2
"""Letters between two columns, and where it is narrow."""
IDLE = (NOTHING, "0")
MOST_COLUMNS = 100_000
"""Columns of a table that is not for a terminal: more than any cell has, so that nothing is broken."""

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml", "name"]),
    default="table",
    show_default=True,
    help="How to print",
)


def emit(value: Any, output: str, *, name: Callable[[Any], str], table: Callable[[Any], None]) -> None:
    """Print a value: `table` draws it for people, `name` gives the word that other commands take for one item."""
    if output == "json":
        click.echo(json.dumps(value, ensure_ascii=False))
    elif output == "yaml":
        from retrain.manifests import to_yaml

        click.echo(to_yaml(value), nl=False)
    elif output == "name":
        for item in value["items"] if isinstance(value, dict) and "items" in value else [value]:
            click.echo(name(item))
    else:
        table(value)


def table(columns: Sequence[Column], rows: Sequence[Any], *, empty: str) -> None:
    """Draw rows as a table; `empty` is said on stderr where there are none."""
    if not rows:
        click.echo(empty, err=True)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = [[_cell(value(row)) for _, value in columns] for row in rows]
    longest = [max(len(title), *(len(row[at]) for row in cells)) for at, (title, _) in enumerate(columns)]
    least = [max(len(title), min(most, SHORT)) for (title, _), most in zip(columns, longest, strict=True)]
    shown, room = list(range(len(columns))), _room()
    narrow = room is not None and sum(longest) + BESIDE * len(shown) > room
    if narrow:
        # What nobody has anything in gives way first.
        shown = [at for at in shown if any(row[at] not in IDLE for row in cells)]
    drawn = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, CLOSE - 1, 0, 0) if narrow else (0, 1)
    )
    for at in shown:
        drawn.add_column(columns[at][0], overflow="fold", no_wrap=longest[at] <= SHORT, min_width=least[at])
    for row in cells:
        drawn.add_row(*(Text(row[at]) for at in shown))
    fits = room is None or sum(least[at] for at in shown) + CLOSE * (len(shown) - 1) <= room
    draw(drawn, whole=not fits)


def _room() -> int | None:
    """How wide the terminal is; None where nobody looks."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def draw(what: Any, *, whole: bool = False) -> None:
    """Print a table or a tree: as wide as the terminal, and as wide as it is where nobody looks.

    Piped into a file or another program, a row is one line without blanks at its end, however long. `whole`: on a
    terminal too, which breaks the lines: better than to cut them.
    """
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    if console.is_terminal and not whole:
        console.print(what)
        return
    wide = Console(width=MOST_COLUMNS, highlight=False)
    width = max(1, Measurement.get(wide, wide.options, what).maximum)
    with wide.capture() as drawn:
        wide.print(what, width=width)
    for line in drawn.get().splitlines():
        click.echo(line.rstrip())


def _cell(value: Any) -> str:
    if value is None or value == "":
        return NOTHING
    return plain(str(value))


def plain(text: str) -> str:
    """A text on one line, with what a terminal would obey written out: it may have come with an event."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def age(text: str | None) -> str:
    """How long ago a time was, in the largest unit that tells something."""
    if not text:
        return "-"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds / size)}{unit}"
    return f"{max(0, int(seconds))}s"


def more(page: dict[str, Any]) -> None:
    """Say how to see the rest of a list."""
    if page.get("next"):
        click.echo(f"(more: --cursor {page['next']})", err=True)
