"""`retrain sources`: where events come from."""

from __future__ import annotations

from typing import Any

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import Column, age, emit, output_option, table
from retrain.errors import NotFound

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
    emit(Client(server).get("/api/v1/sources"), output, name=_name, table=_list)


@sources.command()
@click.argument("name")
@server_option
@output_option
def show(name: str, server: str | None, output: str) -> None:
    """Show the events of one source. NAME is the source's, or SOURCE/EVENT."""
    source, _, event = name.partition("/")
    page = Client(server).get("/api/v1/sources")
    found = [one for one in page["items"] if one["source"] == source and event in {"", one["event"]}]
    if not found:
        raise NotFound(f"{name}: no such event source; `retrain sources list` shows the names")
    emit({"items": found, "next": None}, output, name=_name, table=_list)


def _name(row: dict[str, Any]) -> str:
    return f"{row['source']}/{row['event']}"


def _list(page: dict[str, Any]) -> None:
    table(COLUMNS, page["items"], empty="this project has no event sources")
