"""`retrain runs compare`: two to five runs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from pipelines.pictures.reading import in_words
from retrain.cli.client import Client, server_option
from retrain.cli.output import Column, emit, table
from retrain.errors import ConfigError

Json = dict[str, Any]
LEAST, MOST = 2, 5
output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How to print",
)


@click.command(short_help="Show two to five runs side by side.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--all", "everything", is_flag=True, help="What is the same in all of them, too")
@server_option
@output_option
def compare(names: tuple[str, ...], everything: bool, server: str | None, output: str) -> None:
    """Show parameters, metrics, durations, artifacts and images of two to five runs side by side

    NAME is a name or id, or @latest. What is the same in all runs is left out of the table. Behind a metric stands how
    much it is above or below that of the first run.
    """
    if not LEAST <= len(names) <= MOST:
        raise ConfigError(f"compare: name {LEAST} to {MOST} runs, not {len(names)}")
    found = Client(server).get("/api/v1/compare", name=list(names))
    emit(found, output, name=str, table=lambda one: print_comparison(one, everything=everything))


def print_comparison(found: Json, *, everything: bool) -> None:
    """Draw it as one table."""
    names = [one["name"] for one in found["runs"]]
    columns: list[Column] = [("WHAT", lambda row: row[0]), *(_column(name, index) for index, name in enumerate(names))]
    rows = [
        ("workflow", [one["workflow"] for one in found["runs"]]),
        ("phase", [one["phase"] for one in found["runs"]]),
    ]
    rows += [("duration", [_took(one["seconds"]) for one in found["runs"]]), *_rows(found, everything=everything)]
    table(columns, rows, empty="nothing to compare")


def _column(name: str, index: int) -> Column:
    return name, lambda row: row[1][index]


def _rows(found: Json, *, everything: bool) -> Iterator[tuple[str, Sequence[Any]]]:
    for kind, rows in (("param", found["parameters"]), ("image", found["images"])):
        for row in rows:
            if everything or not row["same"]:
                yield f"{kind}:{row['name']}", row["values"]
    for row in found["metrics"]:
        if everything or not row["same"]:
            yield f"metric:{row['name']}", _figures(row)
    for row in found["steps"]:
        yield f"step:{row['name']}", [_took(seconds) for seconds in row["seconds"]]
    for row in found["artifacts"]:
        if everything or row["same"] is not True:
            yield f"artifact:{row['step']}:{row['name']}", [_digest(one) for one in row["digests"]]


def _figures(row: Json) -> list[str | None]:
    """Each figure, with what it is above or below the first, and a star for the best."""
    told: list[str | None] = []
    for index, (value, delta) in enumerate(zip(row["values"], row["deltas"], strict=True)):
        behind = f" ({delta:+.4g})" if index and delta else ""
        told.append(None if value is None else f"{value:.6g}{behind}{' *' if index in row['best'] else ''}")
    return told


def _digest(digest: str | None) -> str | None:
    return "not known" if digest == "" else digest[:19] if digest else None


def _took(seconds: float | None) -> str | None:
    return None if seconds is None else in_words(seconds, exact=True)
