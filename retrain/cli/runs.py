"""`retrain runs`: workflow runs of a platform, shown as Argo's users know them."""

from __future__ import annotations

import time
from typing import Any

import click

from retrain.cli.client import Client, list_options, quoted, server_option
from retrain.cli.output import Column, age, emit, more, output_option, table

OVER = frozenset({"Succeeded", "Failed", "Error"})
POLL_S = 0.5

COLUMNS: tuple[Column, ...] = (
    ("AGE", lambda r: age(r["metadata"]["creationTimestamp"])),
    ("NAME", lambda r: r["metadata"]["name"]),
    ("STATUS", lambda r: r["status"]["phase"]),
    ("DURATION", lambda r: _duration(r["status"])),
    ("SENSOR", lambda r: r["metadata"]["labels"].get("retrain.dev/sensor")),
    ("MESSAGE", lambda r: r["status"].get("message")),
)


@click.group()
def runs() -> None:
    """List, watch, read and stop workflow runs."""


@runs.command("list")
@click.option("--phase", help="Only runs in this phase")
@click.option("--workflow", help="Only runs of this workflow")
@list_options
@server_option
@output_option
def list_(output: str, server: str | None, **words: Any) -> None:
    """List runs, newest first."""
    page = Client(server).get("/api/v1/runs", **words)
    emit(page, output, name=_name, table=lambda p: table(COLUMNS, p["items"], empty="no runs yet"))
    if output == "table":
        more(page)


@runs.command()
@click.argument("name")
@server_option
@output_option
def get(name: str, server: str | None, output: str) -> None:
    """Show one run with its steps. NAME is its name or id."""
    emit(_get(Client(server), name), output, name=_name, table=_draw)


@runs.command()
@click.argument("name")
@server_option
def watch(name: str, server: str | None) -> int:
    """Watch a run until it ends; the exit status tells how."""
    from rich.console import Console
    from rich.live import Live

    from retrain.cli.tree import tree_of

    client = Client(server)
    run = _get(client, name)
    with Live(tree_of(run), console=Console(stderr=True), auto_refresh=False) as live:
        while run["status"]["phase"] not in OVER:
            time.sleep(POLL_S)
            run = _get(client, name)
            live.update(tree_of(run), refresh=True)
    return 0 if run["status"]["phase"] == "Succeeded" else 1


@runs.command()
@click.argument("name")
@click.argument("node", required=False)
@server_option
def logs(name: str, node: str | None, server: str | None) -> None:
    """Print what the steps of a run have printed, or one of them: NODE is its name or id."""
    for line in Client(server).lines(f"/api/v1/runs/{quoted(name)}/logs", node=node):
        click.echo(line, nl=False)


@runs.command()
@click.argument("name")
@server_option
def stop(name: str, server: str | None) -> None:
    """Stop a run: its steps end, its exit handlers run."""
    Client(server).post(f"/api/v1/runs/{quoted(name)}/stop")
    click.echo(f"{name} is asked to stop", err=True)


@runs.command()
@click.argument("name")
@server_option
def terminate(name: str, server: str | None) -> None:
    """End a run at once, without its exit handlers."""
    Client(server).post(f"/api/v1/runs/{quoted(name)}/terminate")
    click.echo(f"{name} is asked to terminate", err=True)


def _get(client: Client, name: str) -> dict[str, Any]:
    return client.get(f"/api/v1/runs/{quoted(name)}")


def _name(run: dict[str, Any]) -> str:
    return str(run["metadata"]["name"])


def _duration(status: dict[str, Any]) -> str:
    from retrain.cli.tree import lasted

    return lasted(status)


def _draw(run: dict[str, Any]) -> None:
    from rich.console import Console

    from retrain.cli.tree import tree_of

    console = Console()
    console = console if console.is_terminal else Console(width=160)
    console.print(tree_of(run))
