"""`retrain sensors graph`: what leads to what, from sources to promotions."""

from __future__ import annotations

from typing import Any

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import Column, emit, output_option, table

COLUMNS: tuple[Column, ...] = (
    ("KIND", lambda n: n["kind"]),
    ("NAME", lambda n: n["name"]),
    ("LAST DAY", lambda n: _count(n)),
    ("FAILED", lambda n: n["failed"] or None),
    ("LEADS TO", lambda n: ", ".join(n["to"])),
)


@click.command(short_help="Show what leads to what, from sources to promotions.")
@click.option("--text", "q", help="Only what has this in its name, what leads to it, and what it leads to")
@server_option
@output_option
def graph(q: str | None, server: str | None, output: str) -> None:
    """Show the sources, sensors, triggers, workflows and promotions of the project, and what leads to what."""
    emit(Client(server).get("/api/v1/graph", q=q), output, name=lambda node: node["id"], table=_show)


def _show(found: dict[str, Any]) -> None:
    names = {one["id"]: one["name"] for one in found["nodes"]}
    after: dict[str, list[str]] = {}
    for start, end in found["edges"]:
        after.setdefault(start, []).append(names[end])
    table(COLUMNS, [{**one, "to": after.get(one["id"], [])} for one in found["nodes"]], empty="nothing is there yet")
    for start, end in found["back"]:
        click.echo(f"leads back: {names[start]} to {names[end]}")


def _count(node: dict[str, Any]) -> str | None:
    return None if node["count"] is None else f"{node['count']}{'+' if node['most'] else ''}"
