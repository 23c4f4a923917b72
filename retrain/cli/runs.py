"""`retrain runs`: workflow runs of a platform, shown as Argo's users know them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from retrain.cli import run_control
from retrain.cli.client import Client, server_option
from retrain.cli.output import Column, age, emit, more, table
from retrain.cli.run_compare import compare
from retrain.cli.run_copy import cp
from retrain.cli.run_logs import logs
from retrain.cli.run_names import get_run, selecting, words_of
from retrain.cli.run_print import colour_option, look_of, picture_option, print_run, utf8_option
from retrain.cli.run_text import status_of, took
from retrain.cli.run_waits import waits_of
from retrain.cli.run_watch import watch

COLUMNS: tuple[Column, ...] = (
    ("NAME", lambda r: r["metadata"]["name"]),
    ("STATUS", lambda r: status_of(r)),
    ("AGE", lambda r: age(r["metadata"]["creationTimestamp"])),
    ("DURATION", lambda r: took(r, datetime.now(UTC))),
    ("PRIORITY", lambda r: r["spec"].get("priority") or 0),
    ("SENSOR", lambda r: r["metadata"]["labels"].get("retrain.dev/sensor")),
    ("MESSAGE", lambda r: _message(r)),
)


def _message(run: dict[str, Any]) -> str:
    """What is said of a run, else what it waits for."""
    waits = waits_of(run)
    return str(run["status"].get("message") or (f"waits for {waits}" if waits else ""))


def _parameters(run: dict[str, Any]) -> str:
    parameters: list[dict[str, Any]] = (run["spec"].get("arguments") or {}).get("parameters") or []
    return ",".join(f"{one['name']}={one.get('value', '')}" for one in parameters)


def _pods(run: dict[str, Any]) -> str | None:
    """Pods that are pending, running and completed, as `argo list -o wide` has them."""
    pods: dict[str, int] | None = run["status"].get("pods")
    return f"{pods['pending']}/{pods['running']}/{pods['completed']}" if pods else None


WIDE: tuple[Column, ...] = (*COLUMNS[:-1], ("P/R/C", _pods), ("PARAMETERS", _parameters), COLUMNS[-1])


LISTED = ("workflow", "until", "namespace", "columns", "sort", "limit", "cursor")
"""What a list is asked for beside what other commands select runs by."""


def with_values(columns: tuple[Column, ...], runs: list[dict[str, Any]]) -> tuple[Column, ...]:
    """The columns, with those that were asked for before the message."""
    names = list(runs[0].get("columns") or {}) if runs else []
    return (*columns[:-1], *(_value(name) for name in names), columns[-1])


def _value(name: str) -> Column:
    return name.partition(":")[2].upper(), lambda run: run["columns"][name]


def tell_sorted(page: dict[str, Any]) -> None:
    """Say what was sorted, where that is not all that fits."""
    said = page.get("sorted")
    if said and not said["all"]:
        click.echo(f"sorted are the newest {said['runs']} that fit; older ones are not among them", err=True)


@click.group()
def runs() -> None:
    """List, watch and read workflow runs; stop them, suspend them, and try them again."""


@runs.command("list")
@selecting
@click.option("--workflow", help="Only runs of this workflow")
@click.option("--until", metavar="AGE|TIME", help="Only runs made before then")
@click.option("--namespace", help="Only runs of this namespace")
@click.option("--columns", metavar="KIND:NAME,...", help="Values to show: param:lr, metric:accuracy, output:x, label:y")
@click.option("--sort", metavar="BY", help="created, duration or a column such as metric:accuracy; with - downward")
@click.option("-n", "--limit", default=50, show_default=True, help="Items of one page")
@click.option("--cursor", help="Where the page before ended")
@server_option
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml", "name", "wide"]),
    default="table",
    show_default=True,
    help="How to print",
)
def list_(output: str, server: str | None, **words: Any) -> None:
    """List runs, newest first."""
    rest = {name: words[name] for name in LISTED}
    page = Client(server).get("/api/v1/runs", **words_of(words), **rest)
    columns = with_values(WIDE if output == "wide" else COLUMNS, page["items"])
    emit(page, output, name=_name, table=lambda p: table(columns, p["items"], empty="no runs yet"))
    if output in {"table", "wide"}:
        tell_sorted(page)
        more(page)


@runs.command()
@click.argument("name")
@click.option("--node-field-selector", metavar="FIELD=VALUE,...", help="Only steps that fit, such as phase=Failed")
@click.option("--status", metavar="PHASE,...", help="Only steps in one of these phases")
@utf8_option
@colour_option
@server_option
@picture_option
def get(name: str, server: str | None, output: str, **words: Any) -> None:
    """Show one run with its steps, or a picture of it. NAME is its name or id, or @latest."""
    look = look_of(words)
    print_run(get_run(Client(server), name), output, look)


for _command in (
    watch,
    logs,
    run_control.stop,
    run_control.terminate,
    run_control.suspend,
    run_control.resume,
    run_control.set_,
    run_control.retry,
    run_control.resubmit,
    run_control.delete,
    cp,
    compare,
):
    runs.add_command(_command)


def _name(run: dict[str, Any]) -> str:
    return str(run["metadata"]["name"])
