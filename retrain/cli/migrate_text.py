"""What `retrain migrate` says to people: the objects, what is different, what is around them, what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from retrain.app.migrating.facts import Verdict
from retrain.app.migrating.report import Report
from retrain.app.migrating.verdicts import RANK, Judged, Note
from retrain.cli.output import Column, table

OBJECTS: tuple[Column, ...] = (
    ("", lambda r: r[0]),
    ("OBJECT", lambda r: r[1]),
    ("WHERE", lambda r: r[2]),
    ("WHY", lambda r: r[3]),
)
DIFFERENCES: tuple[Column, ...] = (
    ("", lambda r: r[0]),
    ("OBJECTS", lambda r: r[1]),
    ("ARGO EVENTS", lambda r: r[2]),
    ("HERE", lambda r: r[3]),
)
AROUND: tuple[Column, ...] = (
    ("NOT NEEDED ANY MORE", lambda a: f"{a.kind} {a.namespace}/{a.name}"),
    ("WHAT IT IS", lambda a: a.role if a.role == "controller" else f"{a.role} of {a.of}" if a.of else a.role),
    ("REPLICAS", lambda a: a.replicas),
)
Row = tuple[str, str, str, str]
BLANK = " "
"""A cell that goes on with what the row above has, as apart from one that holds nothing."""
STAYS = frozenset({"service", "own service"})


def draw(made: Report) -> None:
    """Print all of it."""
    worst_first = sorted(made.objects, key=lambda one: -RANK[one.verdict])
    below = _common([one.file for one in made.objects if one.file])
    rows = [row for one in worst_first for row in _rows(one, below)]
    table(OBJECTS, rows, empty="no object of Argo Events", prose=True)
    click.echo()
    click.echo(", ".join(f"{count} {verdict}" for verdict, count in made.counts.items()))
    if differences := list(_differences(made)):
        click.echo()
        table(DIFFERENCES, differences, empty="", prose=True)
    if gone := [one for one in made.around if one.role not in STAYS]:
        click.echo()
        table(AROUND, gone, empty="")
    _draw_plan(made)
    for remark in made.remarks:
        click.echo(remark, err=True)


def _draw_plan(made: Report) -> None:
    if not made.plan:
        return
    click.echo()
    click.echo("IN THIS ORDER, and no event is lost")
    for number, step in enumerate(made.plan, 1):
        click.echo(f"{number:>2}. {step.title}")
        click.echo(f"    ({step.why})")
        for command in step.commands:
            click.echo(f"      {command}")


def _rows(one: Judged, below: str) -> Iterator[Row]:
    """The object's line, and one for each thing more that must be known of it."""
    told = [note for note in one.notes if note.verdict is Verdict.REFUSED or not _is_fact(note)]
    facts = (note for note in one.notes if _is_fact(note) and note.verdict is not Verdict.AS_IS)
    codes = list(dict.fromkeys(note.code for note in facts))
    texts = [_told(one, note) for note in told] + ([", ".join(codes)] if codes else [])
    name = f"{one.kind} {one.name}".strip() or "unreadable"
    yield one.verdict.value, name, _where(one, below), texts[0] if texts else ""
    for text in texts[1:]:
        yield BLANK, BLANK, BLANK, text


def _told(one: Judged, note: Note) -> str:
    place = f"line {note.line}: " if note.line and note.line != one.line else ""
    path = f"{note.path}: " if not note.line and note.path else ""
    remark = "also: " if note.verdict is Verdict.AS_IS else ""
    return f"{remark}{place}{path}{note.message}"


def _is_fact(note: Note) -> bool:
    return note.message.startswith("there: ")


def _where(one: Judged, below: str) -> str:
    if not one.file:
        return one.namespace
    return f"{Path(one.file).relative_to(below) if below else one.file}:{one.line}"


def _common(files: Sequence[str]) -> str:
    """The folder that all files are in, where the paths are long; "" where they are as the user wrote them."""
    absolute = [file for file in files if Path(file).is_absolute()]
    return os.path.commonpath([Path(file).parent for file in files]) if files and len(absolute) == len(files) else ""


def _differences(made: Report) -> Iterator[Row]:
    """Each difference that some object meets, once."""
    met: dict[tuple[str, str], list[str]] = {}
    for one in made.objects:
        for code, message in dict.fromkeys((n.code, n.message) for n in one.notes if _is_fact(n)):
            met.setdefault((code, message), []).append(one.name)
    for (code, message), names in sorted(met.items(), key=lambda item: -len(item[1])):
        there, _, here = message.removeprefix("there: ").partition("; here: ")
        yield code, str(len(names)), there, here
    for kind, fact in made.general:
        yield fact.code, f"every {kind}", fact.there, fact.here
