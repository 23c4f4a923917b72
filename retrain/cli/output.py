"""How commands print: a table that a person reads, or JSON, YAML and names for scripts."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import click

Column = tuple[str, Callable[[Any], Any]]

NOTHING = "-"
BESIDE, CLOSE = 3, 2
"""Letters between two columns, and where it is narrow."""
IDLE = (NOTHING, "0")
MOST_COLUMNS = 100_000
"""Columns of a tree that is not for a terminal: more than any line has, so that nothing is broken."""

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


def table(columns: Sequence[Column], rows: Sequence[Any], *, empty: str, prose: bool = False) -> None:
    """Draw rows as a table; `empty` is said on stderr where there are none.

    On a terminal it is never wider than that: what nobody has anything in is left out, then long cells are cut.
    `prose`: cells of several words go on in the next line instead, for they are there to be read.
    """
    if not rows:
        click.echo(empty, err=True)
        return
    titles = [title for title, _ in columns]
    cells = [[_cell(value(row)) for _, value in columns] for row in rows]
    screen = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in _drawn(titles, cells, screen, prose=prose):
        click.echo(line)


def _drawn(titles: Sequence[str], cells: Sequence[Sequence[str]], room: int | None, *, prose: bool) -> Iterator[str]:
    from retrain.cli.columns import filled, widest, widths

    shown, gap = list(range(len(titles))), BESIDE
    natural = [widest([titles[at], *(row[at] for row in cells)]) for at in shown]
    if room is not None and sum(natural) + gap * (len(shown) - 1) > room:
        # What nobody has anything in gives way first.
        shown = [at for at in shown if any(row[at] not in IDLE for row in cells)] or shown[:1]
        gap = CLOSE
    wide = [natural[at] for at in shown]
    if room is not None:
        wide = widths(wide, [titles[at] for at in shown], room, gap)
        shown = shown[: len(wide)]
    blank = " " * gap
    yield blank.join(filled(titles[at][:width], width) for at, width in zip(shown, wide, strict=True)).rstrip()
    yield "─" * (sum(wide) + gap * (len(wide) - 1))
    for row in cells:
        for line in _lines([row[at] for at in shown], wide, prose=prose):
            yield blank.join(filled(text, width) for text, width in zip(line, wide, strict=True)).rstrip()


def _lines(row: Sequence[str], wide: Sequence[int], *, prose: bool) -> Iterator[tuple[str, ...]]:
    """A row as the lines of the screen that it takes: one, unless prose is broken."""
    from itertools import zip_longest

    from retrain.cli.columns import broken, cut, cut_name

    parts: list[list[str]] = []
    for at, (text, width) in enumerate(zip(row, wide, strict=True)):
        if prose and " " in text:
            parts.append(broken(text, width))
        else:
            parts.append([cut(text, width) if at else cut_name(text, width)])
    yield from zip_longest(*parts, fillvalue="")


def coloured() -> bool:
    """Whether people see colours on stdout: on a terminal that can, unless they want none."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def draw(what: Any) -> None:
    """Print a tree: as wide as the terminal, and as wide as it is where nobody looks.

    Piped into a file or another program, a row is one line without blanks at its end, however long.
    """
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    if console.is_terminal:
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


def second(text: str | None) -> str:
    """A time to the second, as the logs have it; "" where there is none."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if text else ""


def more(page: dict[str, Any]) -> None:
    """Say how to see the rest of a list."""
    if page.get("next"):
        click.echo(f"(more: --cursor {page['next']})", err=True)
