"""`retrain deadletters`: what could not be done, and its second chance."""

from __future__ import annotations

import json
from typing import Any

import click

from retrain.cli.client import Client, list_options, quoted, server_option
from retrain.cli.output import Column, age, emit, more, output_option, table
from retrain.errors import NotFound

COLUMNS: tuple[Column, ...] = (
    ("AGE", lambda d: age(d["created"])),
    ("ID", lambda d: d["id"]),
    ("KIND", lambda d: d["kind"]),
    ("FROM", lambda d: d["origin"]),
    ("REASON", lambda d: d["reason"]),
    ("REDRIVEN", lambda d: age(d["redriven"])),
)


@click.group()
def deadletters() -> None:
    """Show and redrive what could not be done."""


@deadletters.command("list")
@list_options
@server_option
@output_option
def list_(server: str | None, output: str, **words: Any) -> None:
    """List dead letters, newest first."""
    page = Client(server).get("/api/v1/deadletters", **words)
    emit(page, output, name=lambda d: d["id"], table=lambda p: table(COLUMNS, p["items"], empty="no dead letters"))
    if output == "table":
        more(page)


@deadletters.command()
@click.argument("letter_id")
@server_option
@output_option
def show(letter_id: str, server: str | None, output: str) -> None:
    """Show one dead letter with its body."""
    page = Client(server).get("/api/v1/deadletters", limit=1000)
    found = next((one for one in page["items"] if one["id"] == letter_id), None)
    if found is None:
        raise NotFound(f"{letter_id}: no such dead letter; `retrain deadletters list` shows the ids")
    emit(found, output, name=lambda d: d["id"], table=lambda d: click.echo(json.dumps(d, indent=2, ensure_ascii=False)))


@deadletters.command()
@click.argument("letter_id")
@server_option
@output_option
def redrive(letter_id: str, server: str | None, output: str) -> None:
    """Let it try again, from its first attempt. The name that `-o name` prints is the firing's."""
    done = Client(server).post(f"/api/v1/deadletters/{quoted(letter_id)}/redrive")
    emit(done, output, name=lambda d: d["firing"], table=lambda _: click.echo(f"{letter_id} is tried again", err=True))
