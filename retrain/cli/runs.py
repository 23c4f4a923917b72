"""`retrain runs`: workflow runs of a platform, shown as Argo's users know them."""

from __future__ import annotations

import time
from typing import Any

import click

from retrain.cli.client import Client, list_options, quoted, server_option
from retrain.cli.output import Column, age, draw, emit, more, output_option, table

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
@output_option
def watch(name: str, server: str | None, output: str) -> int:
    """Watch a run until it ends; the exit status tells how. On stdout: the run as it ended."""
    from rich.console import Console
    from rich.live import Live

    from retrain.cli.tree import tree_of

    client = Client(server)
    run = _get(client, name)
    with Live(tree_of(run), console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        while run["status"]["phase"] not in OVER:
            time.sleep(POLL_S)
            run = _get(client, name)
            live.update(tree_of(run), refresh=True)
    emit(run, output, name=_name, table=_draw)
    return 0 if run["status"]["phase"] == "Succeeded" else 1


@runs.command()
@click.argument("name")
@click.argument("node", required=False)
@server_option
@output_option
def logs(name: str, node: str | None, server: str | None, output: str) -> None:
    """Print what the steps of a run have printed, or one of them: NODE is its name or id."""
    lines = Client(server).lines(f"/api/v1/runs/{quoted(name)}/logs", node=node)
    if output == "table":
        for line in lines:
            click.echo(line, nl=False)
        return
    found = {"name": name, "lines": [line.removesuffix("\n") for line in lines]}
    emit(found, output, name=lambda f: f["name"], table=click.echo)


@runs.command()
@click.argument("name")
@server_option
@output_option
def stop(name: str, server: str | None, output: str) -> None:
    """Stop a run: its steps end, its exit handlers run."""
    _ask("stop", name, server, output)


@runs.command()
@click.argument("name")
@server_option
@output_option
def terminate(name: str, server: str | None, output: str) -> None:
    """End a run at once, without its exit handlers."""
    _ask("terminate", name, server, output)


def _ask(verb: str, name: str, server: str | None, output: str) -> None:
    done = Client(server).post(f"/api/v1/runs/{quoted(name)}/{verb}")
    said = f"{name} is asked to {verb}"
    emit(done, output, name=lambda d: d["name"], table=lambda _: click.echo(said, err=True))


def _get(client: Client, name: str) -> dict[str, Any]:
    return client.get(f"/api/v1/runs/{quoted(name)}")


def _name(run: dict[str, Any]) -> str:
    return str(run["metadata"]["name"])


def _duration(status: dict[str, Any]) -> str:
    from retrain.cli.tree import lasted

    return lasted(status)


def _draw(run: dict[str, Any]) -> None:
    from retrain.cli.tree import tree_of

    draw(tree_of(run))
