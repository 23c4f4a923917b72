"""`retrain crons`: the CronWorkflows of a platform, as users of `argo cron` expect them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from retrain.cli.client import Client, quoted, server_option
from retrain.cli.output import Column, age, emit, output_option, plain, table
from retrain.cli.run_control import me, parameter_option, values
from retrain.cli.run_watch import after_options, check_follow_up, follow_up

name_argument = click.argument("name")
namespace_option = click.option("-n", "--namespace", help="Where several have the same name: which")


def _state(cron: dict[str, Any]) -> str:
    if cron["phase"] != "Active":
        return str(cron["phase"])
    return "Suspended" if cron["suspended"] else "Active"


COLUMNS: tuple[Column, ...] = (
    ("NAME", lambda c: c["name"]),
    ("STATE", _state),
    ("SCHEDULE", lambda c: ", ".join(c["schedules"])),
    ("TIMEZONE", lambda c: c["timezone"]),
    ("LAST", lambda c: age(c["last"])),
    ("NEXT", lambda c: _until(c["next"])),
    ("ACTIVE", lambda c: len(c["active"])),
    ("SUCCEEDED", lambda c: c["succeeded"]),
    ("FAILED", lambda c: c["failed"]),
    ("MESSAGE", lambda c: c["message"]),
)


@click.group()
def crons() -> None:
    """Show, suspend, resume and start CronWorkflows."""


def on_one(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments of every command about one of them."""
    return name_argument(namespace_option(server_option(output_option(command))))


@crons.command("list")
@server_option
@output_option
def list_(server: str | None, output: str) -> None:
    """List CronWorkflows with their times and their runs."""
    page = Client(server).every("/api/v1/crons")
    emit(
        page, output, name=_name, table=lambda p: table(COLUMNS, p["items"], empty="this project has no CronWorkflows")
    )


@crons.command()
@on_one
def show(name: str, namespace: str | None, server: str | None, output: str) -> None:
    """Show one CronWorkflow with its newest runs."""
    emit(Client(server).get(_path(name), namespace=namespace), output, name=_name, table=_show)


@crons.command()
@on_one
def suspend(name: str, namespace: str | None, server: str | None, output: str) -> None:
    """Let the times of a CronWorkflow pass until it is resumed

    It stays so through restarts and changes of its document. Its runs go on.
    """
    found = Client(server).post(_path(name, "suspend", namespace=namespace), {"by": me() or "cli"})
    emit(found, output, name=_name, table=lambda _: click.echo(f"{name} is suspended", err=True))


@crons.command()
@on_one
def resume(name: str, namespace: str | None, server: str | None, output: str) -> None:
    """Let a CronWorkflow run again what is due from now on."""
    found = Client(server).post(_path(name, "resume", namespace=namespace))

    def said(cron: dict[str, Any]) -> None:
        ahead = f"; its next run is in {_until(cron['next'])}" if cron["next"] else f"; it is {_state(cron)}"
        click.echo(f"{name} is resumed{ahead}", err=True)

    emit(found, output, name=_name, table=said)


@crons.command()
@parameter_option
@after_options
@on_one
def run(name: str, namespace: str | None, server: str | None, output: str, **words: Any) -> int:
    """Start a run of a CronWorkflow now, whatever its times say

    It counts among the CronWorkflow's runs, and is started though others are not over.
    """
    check_follow_up(words, output)
    client = Client(server)
    body = {"parameters": values(words["parameter"])}
    made = client.post(_path(name, "run", namespace=namespace), body)
    emit(made, output, name=_name, table=lambda one: click.echo(f"{name} runs now as {one['name']}", err=True))
    return follow_up(client, [made["run"]], words, output)


def _path(name: str, *rest: str, namespace: str | None = None) -> str:
    query = f"?namespace={quoted(namespace)}" if namespace else ""
    return "/".join(["/api/v1/crons", quoted(name), *rest]) + query


def _name(cron: dict[str, Any]) -> str:
    return str(cron["name"])


def _until(text: str | None) -> str:
    """How long it is until a time, in the largest unit that tells something."""
    if not text:
        return "-"
    ahead = datetime.now(UTC) - (datetime.fromisoformat(text) - datetime.now(UTC))
    return age(ahead.isoformat())


def _show(cron: dict[str, Any]) -> None:
    skipped: dict[str, str] | None = cron["lastSkipped"]
    lines = (
        ("Name", cron["name"]),
        ("Namespace", cron["namespace"]),
        ("State", _state(cron) + (f" by {cron['suspendedBy']}" if cron["suspended"] else "")),
        ("Schedules", ", ".join(cron["schedules"])),
        ("Timezone", cron["timezone"]),
        ("Concurrency", cron["concurrencyPolicy"]),
        ("Last run", _moment(cron["last"], lambda text: f"{age(text)} ago")),
        ("Next run", _moment(cron["next"], lambda text: f"in {_until(text)}")),
        ("Last skipped", f"{_moment(skipped['time'])}: {skipped['reason']}" if skipped else None),
        ("Succeeded", cron["succeeded"]),
        ("Failed", cron["failed"]),
        ("Message", cron["message"]),
    )
    for title, value in lines:
        if value not in {None, ""}:
            click.echo(f"{title + ':':<14}{plain(str(value))}")
    if cron["runs"]:
        click.echo()
        columns: tuple[Column, ...] = (
            ("RUN", lambda r: r["name"]),
            ("STATUS", lambda r: r["phase"]),
            ("AGE", lambda r: age(r["created"])),
        )
        table(columns, cron["runs"], empty="")


def _moment(text: str | None, more: Callable[[str], str] | None = None) -> str | None:
    if not text:
        return None
    shown = datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{shown} ({more(text)})" if more else shown
