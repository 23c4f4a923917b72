"""`retrain audit`: what people did."""

from __future__ import annotations

from typing import Any

import click

from retrain.cli.client import Client, list_options, server_option
from retrain.cli.output import Column, age, emit, more, output_option, table

COLUMNS: tuple[Column, ...] = (
    ("AGE", lambda d: age(d["at"])),
    ("WHO", lambda d: (d["actor"] or "somebody") + ("" if d["verified"] else " (unverified)")),
    ("WHAT", lambda d: d["action"]),
    ("TO", lambda d: d["subject"]),
    ("WHY", lambda d: d["reason"]),
    ("FROM", lambda d: d["from"]),
)


@click.group()
def audit() -> None:
    """Show what people did."""


@audit.command("list")
@click.option("--actor", help="Who has done it")
@click.option("--action", help="What: such as runs.stop, or runs for all of them")
@click.option("--subject", help="To what: an id, or NAME/ENVIRONMENT")
@click.option("--since", help="A time, or how long ago (2h)")
@click.option("--until", help="A time, or how long ago (1h)")
@list_options
@server_option
@output_option
def list_(server: str | None, output: str, **words: Any) -> None:
    """List what people did, newest first."""
    page = Client(server).get("/api/v1/audit", **words)
    emit(page, output, name=lambda d: d["subject"], table=lambda p: table(COLUMNS, p["items"], empty="nothing"))
    if output == "table":
        more(page)
