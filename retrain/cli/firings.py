"""`retrain firings`: what sensors have set off."""

from __future__ import annotations

import json
from typing import Any

import click

from retrain.cli.client import Client, list_options, quoted, server_option
from retrain.cli.output import Column, age, emit, more, output_option, table

COLUMNS: tuple[Column, ...] = (
    ("AGE", lambda f: age(f["created"])),
    ("ID", lambda f: f["id"]),
    ("SENSOR", lambda f: f["sensor"]),
    ("TRIGGER", lambda f: f["trigger"]),
    ("STATE", lambda f: f["state"]),
    ("TRIES", lambda f: f["attempts"]),
    ("EVENTS", lambda f: len(f["events"])),
    ("ERROR", lambda f: f["error"]),
)


HELD: tuple[Column, ...] = (
    ("SINCE", lambda f: age(f["since"])),
    ("FIRING", lambda f: f["firing"]),
    ("SENSOR", lambda f: f["sensor"]),
    ("TRIGGER", lambda f: f["trigger"]),
    ("KEY", lambda f: f["key"]),
    ("ASKS", lambda f: "for approval" if f["asks"] else ""),
    ("WHY", lambda f: f["reason"]),
)
STATES = ("pending", "running", "done", "dead", "shadow", "cancelled")


@click.group()
def firings() -> None:
    """Show what sensors have set off."""


@firings.command("list")
@click.option("--sensor", help="Only firings of this sensor")
@click.option("--trigger", help="Only firings of this trigger")
@click.option("--key", help="Only firings for this key")
@click.option("--state", type=click.Choice(STATES), help="Only firings in this state")
@click.option("--since", help="Only firings made since then: a time, or how long ago (2h)")
@click.option("--until", help="Only firings made before then: a time, or how long ago (1h)")
@list_options
@server_option
@output_option
def list_(output: str, server: str | None, **words: Any) -> None:
    """List firings, newest first."""
    page = Client(server).listed("/api/v1/firings", **words)
    emit(page, output, name=lambda f: f["id"], table=lambda p: table(COLUMNS, p["items"], empty="no firings yet"))
    if output == "table":
        more(page)


@firings.command()
@server_option
@output_option
def held(server: str | None, output: str) -> None:
    """List what is held back by a limit: what waits for an approval first."""
    page = Client(server).get("/api/v1/held")
    emit(page, output, name=lambda f: f["firing"], table=lambda p: table(HELD, p["items"], empty="nothing is held"))


@firings.command()
@click.argument("firing_id")
@server_option
@output_option
def show(firing_id: str, server: str | None, output: str) -> None:
    """Show one firing with the action that it stands for."""
    found = Client(server).get(f"/api/v1/firings/{quoted(firing_id)}")
    emit(found, output, name=lambda f: f["id"], table=lambda f: click.echo(json.dumps(f, indent=2, ensure_ascii=False)))


reason_option = click.option("--reason", default="", help="Why; it goes on record")
actor_option = click.option(
    "--actor", envvar="USER", default="cli", show_default="$USER", help="Who; it goes on record"
)


@firings.command()
@click.argument("firing_id")
@reason_option
@actor_option
@server_option
@output_option
def approve(firing_id: str, reason: str, actor: str, server: str | None, output: str) -> None:
    """Let a firing go that is over its budget and waits for this."""
    _answer("approve", firing_id, reason, actor, server=server, output=output)


@firings.command()
@click.argument("firing_id")
@reason_option
@actor_option
@server_option
@output_option
def reject(firing_id: str, reason: str, actor: str, server: str | None, output: str) -> None:
    """Drop a firing that is over its budget and waits for approval."""
    _answer("reject", firing_id, reason, actor, server=server, output=output)


def _answer(verb: str, firing_id: str, reason: str, actor: str, *, server: str | None, output: str) -> None:
    said = Client(server).post(f"/api/v1/firings/{quoted(firing_id)}/{verb}", {"reason": reason, "actor": actor})
    text = f"{firing_id} of {said['sensor']}/{said['trigger']}: {said['verdict']}"
    emit(said, output, name=lambda s: s["firing"], table=lambda _: click.echo(text))
