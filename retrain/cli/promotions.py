"""`retrain promotions`: what was promoted, what was refused and why, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retrain.cli.client import Client, list_options, quoted, server_option
from retrain.cli.output import Column, age, emit, more, output_option, table
from retrain.errors import ConfigError

COLUMNS: tuple[Column, ...] = (
    ("AGE", lambda p: age(p["created"])),
    ("ID", lambda p: p["id"]),
    ("NAME", lambda p: p["name"]),
    ("ENVIRONMENT", lambda p: p["environment"]),
    ("STATE", lambda p: p["state"]),
    ("COMMIT", lambda p: (p["commit"] or "")[:12]),
    ("GATES", lambda p: " ".join(f"{g['name']}:{g['verdict']}" for g in p["gates"])),
    ("REASON", lambda p: p["reason"]),
)
GATES: tuple[Column, ...] = (
    ("GATE", lambda g: g["name"]),
    ("KIND", lambda g: g["kind"]),
    ("VERDICT", lambda g: g["verdict"]),
    ("REASON", lambda g: g["reason"]),
)
CHANGES: tuple[Column, ...] = (
    ("FILE", lambda c: c["file"]),
    ("PATH", lambda c: c["path"]),
    ("OLD", lambda c: c["old"]),
    ("NEW", lambda c: c["new"]),
)

reason_option = click.option("--reason", required=True, help="Why; it goes on record")
environment_option = click.option("--environment", "-e", help="Which environment, where NAME has several")
actor_option = click.option(
    "--actor", envvar="USER", default="cli", show_default="$USER", help="Who; it goes on record"
)


@click.group()
def promotions() -> None:
    """Show, plan and roll back promotions."""


@promotions.command("list")
@click.option("--name", help="Only promotions with this name")
@click.option("--environment", "-e", help="Only promotions to this environment")
@click.option("--state", help="Only promotions in this state")
@list_options
@server_option
@output_option
def list_(output: str, server: str | None, **words: Any) -> None:
    """List promotions, newest first."""
    page = Client(server).get("/api/v1/promotions", **words)
    emit(page, output, name=lambda p: p["id"], table=lambda p: table(COLUMNS, p["items"], empty="no promotions yet"))
    if output == "table":
        more(page)


@promotions.command(short_help="Show one promotion with its gates and changes.")
@click.argument("promotion_id")
@server_option
@output_option
def show(promotion_id: str, server: str | None, output: str) -> None:
    """Show one promotion: its gates with figures, what it changed, its commit. PROMOTION_ID may be the commit."""
    found = Client(server).get(f"/api/v1/promotions/{quoted(promotion_id)}")
    emit(found, output, name=lambda p: p["id"], table=_show)


@promotions.command()
@click.argument("promotion_id")
@server_option
@output_option
def diff(promotion_id: str, server: str | None, output: str) -> None:
    """Print the diff of a promotion."""
    found = Client(server).get(f"/api/v1/promotions/{quoted(promotion_id)}")
    said = {"id": found["id"], "changes": found["changes"], "diff": found["diff"]}
    emit(said, output, name=lambda p: p["id"], table=lambda p: click.echo(p["diff"], nl=False))


@promotions.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--input", "inputs", multiple=True, metavar="KEY=VALUE", help="A field of the candidate; may be given again"
)
@click.option("--name", help="Which promotion, where FILE holds several")
@output_option
def plan(file: Path, inputs: tuple[str, ...], name: str | None, output: str) -> None:
    """Show what a promotion would change and what its gates would say. Changes nothing."""
    from retrain.app.planning import plan_file

    found = plan_file(file, dict(_pair(one) for one in inputs), name)
    emit(found, output, name=lambda _: name or "", table=_plan)
    if any(gate["verdict"] not in {"pass", "skipped"} for gate in found["gates"]):
        click.get_current_context().exit(1)


@promotions.command(short_help="Bring back what was live before, and hold it.")
@click.argument("name")
@environment_option
@reason_option
@actor_option
@server_option
@output_option
def rollback(name: str, environment: str | None, reason: str, actor: str, server: str | None, output: str) -> None:
    """Bring back what was live before, in a new commit, and hold the target so that it stays.

    NAME is the promotion's name.
    """
    words = _words(environment=environment, reason=reason, actor=actor)
    emit(Client(server).post(f"/api/v1/promotions/{quoted(name)}/rollback", words), output, name=_id, table=_said)


@promotions.command()
@click.argument("name")
@environment_option
@reason_option
@actor_option
@server_option
@output_option
def hold(name: str, environment: str | None, reason: str, actor: str, server: str | None, output: str) -> None:
    """Keep automation from promoting to a target until it is released."""
    words = _words(environment=environment, reason=reason, actor=actor)
    emit(Client(server).post(f"/api/v1/promotions/{quoted(name)}/hold", words), output, name=_id, table=_said)


@promotions.command()
@click.argument("name")
@environment_option
@server_option
@output_option
def release(name: str, environment: str | None, server: str | None, output: str) -> None:
    """Let automation promote to a target again."""
    words = _words(environment=environment)
    emit(Client(server).post(f"/api/v1/promotions/{quoted(name)}/release", words), output, name=_id, table=_said)


@promotions.command()
@server_option
@output_option
def holds(server: str | None, output: str) -> None:
    """List the targets that automation is kept away from."""
    columns: tuple[Column, ...] = (
        ("NAME", lambda h: h["name"]),
        ("ENVIRONMENT", lambda h: h["environment"]),
        ("SINCE", lambda h: age(h["created"])),
        ("BY", lambda h: h["actor"]),
        ("REASON", lambda h: h["reason"]),
    )
    page = Client(server).get("/api/v1/holds")
    emit(page, output, name=lambda h: h["name"], table=lambda p: table(columns, p["items"], empty="nothing is held"))


def _pair(word: str) -> tuple[str, str]:
    key, found, value = word.partition("=")
    if not found or not key:
        raise ConfigError(f"--input {word!r}: write KEY=VALUE, for example metrics.accuracy=0.97")
    return key, value


def _words(**words: str | None) -> dict[str, str]:
    return {name: value for name, value in words.items() if value is not None}


def _id(answer: dict[str, Any]) -> str:
    return str(answer.get("id", ""))


def _said(answer: dict[str, Any]) -> None:
    click.echo(answer.get("message") or f"{answer['name']} to {answer['environment']}: {answer['state']}")


def _show(found: dict[str, Any]) -> None:
    reason = f": {found['reason']}" if found["reason"] else ""
    click.echo(f"{found['id']}  {found['action']} {found['name']} to {found['environment']}  {found['state']}{reason}")
    if found["commit"]:
        click.echo(f"commit {found['commit']}")
    _plan(found)


def _plan(found: dict[str, Any]) -> None:
    table(GATES, found["gates"], empty="no gates", prose=True)
    table(CHANGES, found["changes"], empty="nothing changes")
    if found["diff"]:
        click.echo(found["diff"], nl=False)
