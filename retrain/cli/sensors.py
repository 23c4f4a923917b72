"""`retrain sensors`: what decides, what it waits for, and why it did or did not fire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retrain.cli.client import Client, quoted, server_option
from retrain.cli.output import Column, age, emit, output_option, table

COLUMNS: tuple[Column, ...] = (
    ("SENSOR", lambda s: s["name"]),
    ("DEPENDENCIES", lambda s: ", ".join(s["dependencies"])),
    ("TRIGGERS", lambda s: ", ".join(s["triggers"])),
    ("FILE", lambda s: s["file"]),
)
DECISIONS: tuple[Column, ...] = (
    ("AGE", lambda d: age(d["time"])),
    ("DEPENDENCY", lambda d: d["dependency"]),
    ("OUTCOME", lambda d: d["outcome"]),
    ("REASON", lambda d: d["reason"]),
    ("EVENT", lambda d: d["event"]),
)
OUTCOMES: tuple[Column, ...] = (
    ("EVENT", lambda e: e["id"]),
    ("DEPENDENCY", lambda e: e["dependency"]),
    ("OUTCOME", lambda e: e["outcome"]),
    ("REASON", lambda e: e["reason"]),
)


@click.group()
def sensors() -> None:
    """Show sensors and explain their decisions."""


@sensors.command("list")
@server_option
@output_option
def list_(server: str | None, output: str) -> None:
    """List the sensors of the platform."""
    page = Client(server).get("/api/v1/sensors")
    emit(page, output, name=lambda s: s["name"], table=_list)


@sensors.command()
@click.argument("name")
@server_option
@output_option
def show(name: str, server: str | None, output: str) -> None:
    """Show one sensor: what it waits for, and its newest decisions with their reasons."""
    emit(Client(server).get(f"/api/v1/sensors/{quoted(name)}"), output, name=lambda s: s["name"], table=_show)


@sensors.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--event",
    "files",
    required=True,
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="A CloudEvent, a list of them, or one a line; may be given again",
)
@click.option("--name", help="Which sensor, where FILE holds several")
@output_option
def explain(file: Path, files: tuple[Path, ...], name: str | None, output: str) -> None:
    """Show what the sensor in FILE makes of events, without a platform: what passes, what fires, what it waits for."""
    from retrain.app.explaining import explain_file

    texts = [click.open_file(str(one), "rb").read() for one in files]
    emit(explain_file(file, texts, name), output, name=lambda e: e["sensor"], table=_explain)


def _list(page: dict[str, Any]) -> None:
    table(COLUMNS, page["items"], empty="this project has no sensors")


def _show(found: dict[str, Any]) -> None:
    click.echo(f"{found['name']}  ({found['file']}:{found['line']})")
    _waiting(found.get("waiting", []))
    table(DECISIONS, found["decisions"], empty="it has decided nothing yet")


def _explain(found: dict[str, Any]) -> None:
    click.echo(f"sensor {found['sensor']}")
    table(OUTCOMES, found["events"], empty="none of these events concerns it")
    for firing in found["firings"]:
        word = f"ERROR {firing['error']}" if firing.get("error") else f"with {', '.join(firing['events'])}"
        click.echo(f"fires {firing['trigger']} {word}")
    _waiting(found["waiting"])


def _waiting(waiting: list[dict[str, Any]]) -> None:
    for one in waiting:
        have = ", ".join(one["have"]) or "nothing"
        click.echo(f"waits {one['trigger']}: has {have}, needs {', '.join(one['need'])}")
