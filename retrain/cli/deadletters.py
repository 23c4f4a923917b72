"""`retrain deadletters`: what could not be done, and its second chance."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from retrain.cli.client import Client, list_options, quoted, server_option
from retrain.cli.output import Column, age, emit, more, output_option, table

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
@click.option("--raw", is_flag=True, help="Write the bytes of its body as they came, and nothing else")
@server_option
@output_option
def show(letter_id: str, raw: bool, server: str | None, output: str) -> None:
    """Show one dead letter with its body."""
    client, path = Client(server), f"/api/v1/deadletters/{quoted(letter_id)}"
    if raw:
        client.save(f"{path}/body", sys.stdout.buffer)
        return
    found = client.get(path)
    emit(found, output, name=lambda d: d["id"], table=lambda d: click.echo(json.dumps(d, indent=2, ensure_ascii=False)))


@deadletters.command()
@click.argument("letter_id")
@server_option
@output_option
def redrive(letter_id: str, server: str | None, output: str) -> None:
    """Let it try again, from its first attempt. The name that `-o name` prints is the firing's."""
    done = Client(server).post(f"/api/v1/deadletters/{quoted(letter_id)}/redrive")
    emit(done, output, name=lambda d: d["firing"], table=lambda _: click.echo(f"{letter_id} is tried again", err=True))
