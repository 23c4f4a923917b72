"""`retrain sources`: where events come from."""

from __future__ import annotations

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import Column, age, emit, output_option, table

COLUMNS: tuple[Column, ...] = (
    ("SOURCE", lambda s: s["source"]),
    ("EVENT", lambda s: s["event"]),
    ("KIND", lambda s: s["kind"]),
    ("STATE", lambda s: s["state"]),
    ("SINCE", lambda s: age(s["since"])),
    ("RECEIVED", lambda s: s["received"]),
    ("LAST EVENT", lambda s: age(s["lastEvent"])),
    ("WAITS FOR", lambda s: s["waitingFor"]),
)


@click.group()
def sources() -> None:
    """Show where events come from."""


@sources.command("list")
@server_option
@output_option
def list_(server: str | None, output: str) -> None:
    """List event sources with their state."""
    page = Client(server).get("/api/v1/sources")
    emit(
        page,
        output,
        name=lambda s: f"{s['source']}/{s['event']}",
        table=lambda p: table(COLUMNS, p["items"], empty="this project has no event sources"),
    )
