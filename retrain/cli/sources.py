"""`retrain sources`: where events come from."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import Column, age, emit, output_option, plain, table
from retrain.errors import NotFound

POLL_S = 2.0
CLEAR = "\x1b[2J\x1b[H"

COLUMNS: tuple[Column, ...] = (
    ("SOURCE", lambda s: s["source"]),
    ("EVENT", lambda s: s["event"]),
    ("KIND", lambda s: s["kind"]),
    ("STATE", lambda s: s["state"]),
    ("SINCE", lambda s: age(s["since"])),
    ("RECEIVED", lambda s: s["received"]),
    ("PER SECOND", lambda s: f"{s['rate']:g}"),
    ("LAST EVENT", lambda s: age(s["lastEvent"])),
    ("LAG", lambda s: s["lag"]),
    ("ERRORS", lambda s: s["errors"]),
    ("WAITS FOR", lambda s: s["waitingFor"]),
)

FACTS: tuple[Column, ...] = (
    ("kind", lambda s: s["kind"]),
    ("state", lambda s: f"{s['state']} for {age(s['since'])}"),
    ("waits for", lambda s: s["waitingFor"]),
    ("note", lambda s: s["note"]),
    ("received", lambda s: f"{s['received']}, {s['rate']:g} per second in the last minute"),
    ("last event", lambda s: f"{age(s['lastEvent'])} ago" if s["lastEvent"] else None),
    ("waiting outside", lambda s: s["lag"]),
    ("filtered", lambda s: s["filtered"] or None),
    ("dead letters", lambda s: s["deadLetters"] or None),
    ("errors", lambda s: s["errors"] or None),
    ("newest error", lambda s: f"{age(s['lastErrorAt'])} ago: {s['lastError']}" if s["lastError"] else None),
)

watch_option = click.option("-w", "--watch", is_flag=True, help="Print again whenever something changes")


@click.group()
def sources() -> None:
    """Show where events come from."""


@sources.command("list")
@watch_option
@server_option
@output_option
def list_(watch: bool, server: str | None, output: str) -> None:
    """List event sources with their state."""
    client = Client(server)
    _print(client, "", watch, output, _list)


@sources.command()
@click.argument("name")
@watch_option
@server_option
@output_option
def show(name: str, watch: bool, server: str | None, output: str) -> None:
    """Show the events of one source. NAME is the source's, or SOURCE/EVENT."""
    _print(Client(server), name, watch, output, _show)


def _print(client: Client, name: str, watch: bool, output: str, draw: Any) -> None:
    before: Any = None
    while True:
        page = _page(client, name)
        if page != before:
            if watch and output == "table" and sys.stdout.isatty():
                click.echo(CLEAR, nl=False)
            emit(page, output, name=_name, table=draw)
        if not watch:
            return
        before = page
        time.sleep(POLL_S)


def _page(client: Client, name: str) -> dict[str, Any]:
    page = client.every("/api/v1/sources")
    if not name:
        return page
    source, _, event = name.partition("/")
    found = [one for one in page["items"] if one["source"] == source and event in {"", one["event"]}]
    if not found:
        raise NotFound(f"{name}: no such event source; `retrain sources list` shows the names")
    return {"items": found, "next": None}


def _name(row: dict[str, Any]) -> str:
    return f"{row['source']}/{row['event']}"


def _list(page: dict[str, Any]) -> None:
    table(COLUMNS, page["items"], empty="this project has no event sources")


def _show(page: dict[str, Any]) -> None:
    for row in page["items"]:
        click.echo(plain(_name(row)))
        for title, fact in FACTS:
            if (value := fact(row)) is not None:
                click.echo(f"  {title + ':':<17}{plain(str(value))}")


@sources.command()
@click.argument("name")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(exists=True, file_okay=False))
@click.option("--dry-run", is_flag=True, help="Only say what would be written")
@output_option
def setup(name: str, folder: str, dry_run: bool, output: str) -> None:
    """Write the rules by which buckets notify a source

    NAME is the source's, or SOURCE/EVENT; DIR holds the manifests. For minio and s3 sources whose `notifications` name
    an `arn`. Other rules of a bucket stay, and a rule that is there already is left as it is.
    """
    from retrain.app.sensing.source_setup import set_up  # here, so that `--help` starts without the models

    rules = set_up(folder, name, dry_run=dry_run)
    emit({"items": rules, "next": None}, output, name=lambda rule: rule["rule"], table=_rules)


RULES: tuple[Column, ...] = (
    ("RULE", lambda r: r["rule"]),
    ("BUCKET", lambda r: r["bucket"]),
    ("SENDS", lambda r: ", ".join(r["events"])),
    ("PREFIX", lambda r: r["prefix"]),
    ("SUFFIX", lambda r: r["suffix"]),
    ("TO", lambda r: r["arn"]),
    ("", lambda r: r["outcome"]),
)


def _rules(page: dict[str, Any]) -> None:
    table(RULES, page["items"], empty="no source names an arn in its notifications; nothing to write")
