"""`retrain deadletters`: what could not be done, and its second chance."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from retrain.cli.client import Client, list_options, quoted, server_option
from retrain.cli.output import Column, age, emit, more, output_option, table
from retrain.errors import ConfigError

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


def chosen(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which letters are meant."""
    for option in (
        click.option("--until", metavar="2h|TIME", help="Only letters older than this, or before then"),
        click.option("--since", metavar="2h|TIME", help="Only letters of the last so long, or since then"),
        click.option("--text", help="Only letters with this in their reason"),
        click.option("--from", "origin", metavar="NAME", help="Only letters of this source, sensor or sensor/trigger"),
        click.option("--kind", type=click.Choice(["firing", "message", "event"]), help="Only letters of this kind"),
    ):
        command = option(command)
    return command


@deadletters.command("list")
@chosen
@click.option(
    "--state", type=click.Choice(["waiting", "redriven"]), help="Only those that nobody, or somebody, redrove"
)
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
@click.argument("letter_id", required=False)
@click.option("--all", "every", is_flag=True, help="All that match, the oldest 500 at once, instead of one")
@chosen
@click.option("--reason", default="", help="Why; it goes on record")
@click.option("--actor", envvar="USER", default="cli", show_default="$USER", help="Who; it goes on record")
@server_option
@output_option
def redrive(letter_id: str | None, every: bool, server: str | None, output: str, **words: str | None) -> None:
    """Let it try again, from its first attempt. The name that `-o name` prints is the firing's.

    With --all: every letter about a firing that matches and that nobody has redriven.
    """
    if (letter_id is None) != every:
        raise ConfigError("say which letter, or --all (with --kind, --from, --text, --since or --until to choose)")
    if every:
        _redrive_all(Client(server), output, words)
        return
    done = Client(server).post(f"/api/v1/deadletters/{quoted(str(letter_id))}/redrive")
    emit(done, output, name=lambda d: d["firing"], table=lambda _: click.echo(f"{letter_id} is tried again", err=True))


def _redrive_all(client: Client, output: str, words: dict[str, str | None]) -> None:
    said = {name: one for name, one in words.items() if one}
    done = client.post("/api/v1/deadletters/redrive", said)
    emit(done, output, name=lambda d: str(d["redriven"]), table=_told)


def _told(done: dict[str, Any]) -> None:
    refused = f"; {done['refused']} could not: their firings live on, or are gone" if done["refused"] else ""
    left = f"; {done['left']} more match: the same command again" if done["left"] else ""
    click.echo(f"{done['redriven']} firings are tried again{refused}{left}", err=True)
