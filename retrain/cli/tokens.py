"""`retrain tokens`: what people and programs come in with."""

from __future__ import annotations

from typing import Any

import click

from retrain.cli.client import Client, list_options, quoted, server_option
from retrain.cli.output import Column, age, emit, more, output_option, table

COLUMNS: tuple[Column, ...] = (
    ("ID", lambda t: t["id"]),
    ("LABEL", lambda t: t["label"]),
    ("KIND", lambda t: t["kind"]),
    ("OWNER", lambda t: t["owner"]),
    ("ROLES", lambda t: ", ".join(t["roles"])),
    ("STATE", lambda t: t["state"]),
    ("AGE", lambda t: age(t["created"])),
    ("USED", lambda t: age(t["used"])),
    ("ENDS", lambda t: t["expires"][:10]),
)


@click.group()
def tokens() -> None:
    """Make, list and revoke tokens of people and programs."""


@tokens.command("list")
@click.option("--all", "every", is_flag=True, help="Those of everybody: for an admin")
@list_options
@server_option
@output_option
def list_(every: bool, server: str | None, output: str, **words: Any) -> None:
    """List tokens, newest first."""
    page = Client(server).get("/api/v1/tokens", **words, all="true" if every else None)
    emit(page, output, name=lambda t: t["id"], table=lambda p: table(COLUMNS, p["items"], empty="no tokens"))
    if output == "table":
        more(page)


@tokens.command()
@click.argument("label")
@click.option("--role", "roles", multiple=True, default=("viewer",), show_default=True, help="ROLE or ROLE@NAMESPACE")
@click.option("--namespace", "namespaces", multiple=True, help="Where roles count that name no namespace")
@click.option("--days", type=click.IntRange(1), help="How long it lasts [default: as the platform's settings say]")
@click.option("--service", is_flag=True, help="For a program: it approves nothing; an admin makes it")
@server_option
@output_option
def create(  # noqa: PLR0913 - an option each
    label: str,
    roles: tuple[str, ...],
    namespaces: tuple[str, ...],
    days: int | None,
    service: bool,
    server: str | None,
    output: str,
) -> None:
    """Make a token; LABEL says what it is for. It is shown this once: on stdout, the rest on stderr."""
    body = {"label": label, "roles": roles, "namespaces": namespaces, "kind": "service" if service else "person"}
    made = Client(server).post("/api/v1/tokens", body if days is None else {**body, "days": days})
    emit(made, output, name=lambda t: t["id"], table=_show)


def _show(made: Any) -> None:
    click.echo(made["token"])
    click.echo(f"{made['id']} until {made['expires'][:10]}; it is not shown again", err=True)


@tokens.command()
@click.argument("token_id")
@server_option
@output_option
def revoke(token_id: str, server: str | None, output: str) -> None:
    """End a token at once, with those that were made with it and the sessions that began with one of them."""
    done = Client(server).delete(f"/api/v1/tokens/{quoted(token_id)}")
    emit(
        done,
        output,
        name=lambda t: t["id"],
        table=lambda d: click.echo(f"revoked: {', '.join(d['revoked'])}", err=True),
    )
