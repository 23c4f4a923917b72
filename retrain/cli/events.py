"""`retrain events`: what the platform has heard."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import click

from retrain.cli.client import Client, list_options, server_option
from retrain.cli.event_again import again, case
from retrain.cli.output import Column, age, emit, more, output_option, plain, table
from retrain.errors import ConfigError

COLUMNS: tuple[Column, ...] = (
    ("AGE", lambda e: age(e.get("time"))),
    ("SOURCE", lambda e: e["source"]),
    ("NAME", lambda e: e.get("subject")),
    ("TYPE", lambda e: e["type"]),
    ("ID", lambda e: e["id"]),
)


MOST_SILENT = 10
"""Sensors whose silence is told; those nearest to the event come first."""


@click.group()
def events() -> None:
    """List, follow, send and show events."""


events.add_command(again)
events.add_command(case)


@events.command("list")
@click.option("--source", help="Only events of this source")
@click.option("--name", "subject", help="Only events with this name (the CloudEvents subject)")
@click.option("--type", "kind", help="Only events of this type")
@click.option("--text", help="Only events that hold this text")
@click.option("--outcome", help="Only events that a sensor decided so: fired, filtered, waiting, unmatched, ...")
@click.option("--since", help="Only events that arrived since then: a time, or how long ago (2h)")
@click.option("--until", help="Only events that arrived before then: a time, or how long ago (1h)")
@list_options
@server_option
@output_option
def list_(output: str, server: str | None, kind: str | None, **words: Any) -> None:
    """List events, newest first."""
    page = Client(server).listed("/api/v1/events", type=kind, **words)
    emit(page, output, name=_name, table=lambda p: table(COLUMNS, p["items"], empty="no events yet"))
    if output == "table":
        more(page)


@events.command()
@click.argument("event_id")
@server_option
@output_option
def show(event_id: str, server: str | None, output: str) -> None:
    """Show one event, and what each sensor made of it.

    EVENT_ID is an id, a key, or the name of the object that the event tells of.
    """
    emit(Client(server).get("/api/v1/event", id=event_id), output, name=lambda e: e["event"]["id"], table=_show)


@events.command()
@click.option("--after", type=int, help="Start behind this position of the log instead of at its end")
@server_option
@output_option
def tail(after: int | None, server: str | None, output: str) -> None:
    """Follow the log: print events as they arrive, until interrupted."""
    kind = ""
    for line in Client(server).lines("/api/v1/events/tail", after=after, accept="text/event-stream"):
        if line.startswith("event: "):
            kind = line.removeprefix("event: ").strip()
        elif line.startswith("data: ") and kind == "missed":
            click.echo(f"the log does not reach back so far any more: {line.removeprefix('data: ').strip()}", err=True)
            kind = ""
        elif line.startswith("data: "):
            emit(json.loads(line.removeprefix("data: ")), output, name=_name, table=_line)


@events.command("emit", short_help="Send an event from a file, or made of options.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path), required=False)
@click.option("--source", help="The event's source, where FILE holds only data")
@click.option("--name", "subject", help="The event's name (the CloudEvents subject)")
@click.option("--type", "kind", default="manual", show_default=True, help="The event's type")
@click.option("--id", "event_id", help="The event's id [default: a random one]")
@click.option("--data", help="The event's data as JSON, instead of FILE")
@server_option
@output_option
def emit_(  # noqa: PLR0913 - one argument for each option
    file: Path | None,
    source: str | None,
    subject: str | None,
    kind: str,
    event_id: str | None,
    data: str | None,
    server: str | None,
    output: str,
) -> None:
    """Send an event: a CloudEvent from FILE (- is stdin), or data with --source and --name."""
    content = _json(click.open_file(str(file)).read() if file else data or "null")
    if not (isinstance(content, dict | list) and source is None):
        if source is None:
            raise ConfigError("say --source (and --name) of the event, or give a FILE that holds a CloudEvent")
        content = {
            "specversion": "1.0",
            "id": event_id or str(uuid.uuid4()),
            "source": source,
            "type": kind,
            **({"subject": subject} if subject else {}),
            "datacontenttype": "application/json",
            "data": content,
        }
    form = "application/cloudevents-batch+json" if isinstance(content, list) else "application/cloudevents+json"
    taken = Client(server).post("/api/v1/events", content, form)
    emit({"items": taken["accepted"]}, output, name=lambda e: e["id"], table=_receipts)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"that is not JSON: {error}") from error


def _name(event: dict[str, Any]) -> str:
    return str(event["id"])


def _line(event: dict[str, Any]) -> None:
    name = f"{event['source']}/{event['subject']}" if event.get("subject") else event["source"]
    click.echo(f"{event.get('time', '-'):27}  {name}  {event['id']}")


def _receipts(page: dict[str, Any]) -> None:
    columns: tuple[Column, ...] = (
        ("ID", lambda e: e["id"]),
        ("POSITION", lambda e: e["position"]),
        ("STATE", lambda e: "seen before" if e["duplicate"] else "new"),
    )
    table(columns, page["items"], empty="nothing was sent")


def _show(found: dict[str, Any]) -> None:
    click.echo(json.dumps(found["event"], indent=2, ensure_ascii=False))
    columns: tuple[Column, ...] = (
        ("SENSOR", lambda d: d["sensor"]),
        ("DEPENDENCY", lambda d: d["dependency"]),
        ("OUTCOME", lambda d: d["outcome"]),
        ("REASON", lambda d: d["reason"]),
    )
    table(columns, found["decisions"], empty="no sensor cares for this event", prose=True)
    for one in found["silent"][:MOST_SILENT]:
        click.echo(f"silent {one['sensor']}: {plain(one['reason'])}")
    if (left := len(found["silent"]) - MOST_SILENT + found["silentLeft"]) > 0:
        click.echo(f"and {left} more that said nothing (-o json shows those nearest to it)")
    for firing in found["firings"]:
        click.echo(f"fired {firing}")
