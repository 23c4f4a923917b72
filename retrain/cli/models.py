"""`retrain models`: what is live where, since when and by which commit, and how it came there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import click

from retrain.cli.client import Client, quoted, server_option
from retrain.cli.output import Column, age, emit, output_option, plain, table

COLUMNS: tuple[Column, ...] = (
    ("MODEL", lambda row: row["name"]),
    ("ENVIRONMENT", lambda row: row["environment"]),
    ("LIVE", lambda row: row["live"].get("version")),
    ("STATE", lambda row: _state(row)),
    ("SINCE", lambda row: age(row["live"].get("since"))),
    ("COMMIT", lambda row: (row["live"].get("commit") or "")[:12]),
    ("FIGURES", lambda row: figures(row["live"].get("metrics") or {})),
)
MOMENTS: tuple[Column, ...] = (
    ("AGE", lambda row: age(row["at"])),
    ("WHAT", lambda row: row["what"]),
    ("MODEL", lambda row: row["version"]),
    ("PROMOTION", lambda row: row["promotion"]),
    ("BY", lambda row: row["actor"]),
    ("WHY", lambda row: row["reason"]),
)
MOST = 4
"""Figures of one model that a table shows."""


@click.group()
def models() -> None:
    """Show what is live in each environment, and its history."""


@models.command("list")
@server_option
@output_option
def list_(server: str | None, output: str) -> None:
    """List every model with what is live in each of its environments."""
    page = Client(server).every("/api/v1/models")
    emit(
        page,
        output,
        name=lambda m: m["name"],
        table=lambda p: table(COLUMNS, list(_rows(p["items"])), empty="no models"),
    )


@models.command()
@click.argument("name")
@click.option("--metric", help="Whose figures the picture is drawn by [default: the first that a gate asks for]")
@click.option("--picture", type=click.File("wb", lazy=True), help="Also write its history there, as SVG")
@server_option
@output_option
def show(name: str, metric: str | None, picture: BinaryIO | None, server: str | None, output: str) -> None:
    """Show one model: what is live, what happened in each environment, and which candidates did not get there."""
    client, path = Client(server), f"/api/v1/models/{quoted(name)}"
    if picture is not None:
        client.save(f"{path}/history.svg" + (f"?metric={quoted(metric)}" if metric else ""), picture)
    emit(client.get(path, metric=metric), output, name=lambda m: m["name"], table=_draw)


def _draw(model: dict[str, Any]) -> None:
    table(COLUMNS, list(_rows([model])), empty="it has no environment")
    for one in model["environments"]:
        if hold := one["hold"]:
            click.echo(plain(f"\nheld in {one['environment']}: {hold['reason']} ({hold['actor']})"))
        if one["moments"]:
            click.echo(f"\nWhat happened in {plain(one['environment'])}:")
            table(MOMENTS, one["moments"], empty="")


def _rows(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row for each model and environment."""
    for model in items:
        for one in model["environments"]:
            yield {"name": model["name"], **one, "live": one["live"] or {}}


def _state(row: Mapping[str, Any]) -> str:
    live, held = row["live"], " held" if row["hold"] else ""
    state = "rolled-back" if live.get("action") == "rollback" else live.get("state") or "-"
    return f"{state}{held}"


def figures(metrics: Mapping[str, Any]) -> str:
    """The first few figures in a line."""
    said = " ".join(f"{name}={value:.6g}" for name, value in list(metrics.items())[:MOST])
    return said + (" …" if len(metrics) > MOST else "")
