"""`retrain promotions inbox`: what waits for approvals, and for whose."""

from __future__ import annotations

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import Column, age, emit, output_option, table

COLUMNS: tuple[Column, ...] = (
    ("ID", lambda p: p["id"]),
    ("PROMOTION", lambda p: f"{p['name']} to {p['environment']}"),
    ("MODEL", lambda p: p["version"]),
    ("YES", lambda p: f"{p['have']}/{p['need']}"),
    ("SAID BY", lambda p: ", ".join(one["actor"] for one in p["said"])),
    ("STILL CAN", lambda p: ", ".join(p["can"])),
    ("SINCE", lambda p: age(p["since"])),
    ("YOU", lambda p: p["why"] or "can approve it"),
)


@click.command()
@click.option("--mine", is_flag=True, help="Only what you can approve")
@server_option
@output_option
def inbox(mine: bool, server: str | None, output: str) -> None:
    """List the promotions that wait for approvals: how many there are, who can still give one, and whether you can."""
    page = Client(server).get("/api/v1/approvals")
    if mine:
        page = {**page, "items": [one for one in page["items"] if one["why"] is None]}
    emit(
        page, output, name=lambda p: p["id"], table=lambda p: table(COLUMNS, p["items"], empty="nothing waits for you")
    )
