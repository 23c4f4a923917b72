"""`retrain promotions`: what was promoted, what was refused and why, and the way back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import click

from retrain.cli import promotion_view
from retrain.cli.client import Client, list_options, quoted, server_option
from retrain.cli.output import Column, age, emit, more, output_option, table
from retrain.cli.promotion_inbox import inbox
from retrain.cli.promotion_verify import verify
from retrain.errors import ConfigError

COLUMNS: tuple[Column, ...] = (
    ("AGE", lambda p: age(p["created"])),
    ("ID", lambda p: p["id"]),
    ("NAME", lambda p: p["name"]),
    ("ENVIRONMENT", lambda p: p["environment"]),
    ("STATE", lambda p: f"{p['state']} (step {p['step']})" if p.get("step", 1) > 1 else p["state"]),
    ("COMMIT", lambda p: (p["commit"] or "")[:12]),
    ("GATES", lambda p: " ".join(f"{g['name']}:{g['verdict']}" for g in p["gates"])),
    ("REASON", lambda p: p["reason"]),
)
reason_option = click.option("--reason", required=True, help="Why; it goes on record")
environment_option = click.option("--environment", "-e", help="Which environment, where NAME has several")
actor_option = click.option(
    "--actor", envvar="USER", default="cli", show_default="$USER", help="Who; it goes on record"
)


def candidate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which model: what a run has made, or field by field."""
    for option in (
        click.option(
            "--input", "inputs", multiple=True, metavar="KEY=VALUE", help="A field of the candidate; may be given again"
        ),
        click.option("--run", metavar="ID", help="The candidate that this run has made, by its outputs"),
    ):
        command = option(command)
    return command


def _candidate(inputs: tuple[str, ...], run: str | None, server: str | None) -> dict[str, Any]:
    """Raises ConfigError where it cannot be read. What is given field by field wins."""
    from retrain.app.promotions.planning import candidate_of, read_candidate
    from retrain.cli.run_names import get_run

    made = candidate_of(get_run(Client(server), run)) if run else {}
    return {**made, **read_candidate(dict(_pair(one) for one in inputs))}


@click.group()
def promotions() -> None:
    """Show, plan, approve and roll back promotions."""


promotions.add_command(verify)
promotions.add_command(inbox)


@promotions.command("list")
@click.option("--name", help="Only promotions with this name")
@click.option("--environment", "-e", help="Only promotions to this environment")
@click.option("--state", help="Only promotions in this state")
@click.option("--since", metavar="2h|TIME", help="Only promotions begun in the last so long, or since then")
@list_options
@server_option
@output_option
def list_(output: str, server: str | None, **words: Any) -> None:
    """List promotions, newest first."""
    page = Client(server).get("/api/v1/promotions", **words)
    emit(page, output, name=lambda p: p["id"], table=lambda p: table(COLUMNS, p["items"], empty="no promotions yet"))
    if output == "table":
        more(page)


@promotions.command(short_help="Show one promotion with its environments, approvals, gates and changes.")
@click.argument("promotion_id")
@click.option("--picture", type=click.File("wb", lazy=True), help="Also write its curves and slices there, as SVG")
@server_option
@output_option
def show(promotion_id: str, picture: BinaryIO | None, server: str | None, output: str) -> None:
    """Show one promotion: where its model is, who approved it, its gates, what it changed, its commit.

    PROMOTION_ID may be the commit.
    """
    if picture is not None:
        Client(server).save(f"/api/v1/promotions/{quoted(promotion_id)}/gates.svg", picture)
    found = Client(server).get(f"/api/v1/promotions/{quoted(promotion_id)}")
    emit(found, output, name=lambda p: p["id"], table=promotion_view.show)


@promotions.command(short_help="Say yes to a promotion that waits for it.")
@click.argument("promotion_id")
@reason_option
@click.option("--subject", help="What you have looked at (`subject` in `show -o json`): approve that or nothing")
@actor_option
@server_option
@output_option
def approve(promotion_id: str, reason: str, subject: str | None, actor: str, server: str | None, output: str) -> None:
    """Approve what a promotion comes to now: this model, these changes and gate reports, over what is live now.

    Whatever of it changes, the approval lapses.
    """
    words = _words(reason=reason, subject=subject, actor=actor)
    emit(
        Client(server).post(f"/api/v1/promotions/{quoted(promotion_id)}/approve", words), output, name=_id, table=_said
    )


@promotions.command(short_help="Say no to a promotion, for good.")
@click.argument("promotion_id")
@reason_option
@actor_option
@server_option
@output_option
def reject(promotion_id: str, reason: str, actor: str, server: str | None, output: str) -> None:
    """End a promotion that is not committed yet, or take its canary back. Its model comes again only by `retry`."""
    words = _words(reason=reason, actor=actor)
    emit(Client(server).post(f"/api/v1/promotions/{quoted(promotion_id)}/reject", words), output, name=_id, table=_said)


@promotions.command(short_help="Try a promotion that has ended once more.")
@click.argument("promotion_id")
@reason_option
@actor_option
@server_option
@output_option
def retry(promotion_id: str, reason: str, actor: str, server: str | None, output: str) -> None:
    """Propose a model again that was refused, rejected, superseded, failed or rolled back; look now at one that waits.

    One that is unhealthy is verified again, or takes the step of its canary that it could not take.
    """
    words = _words(reason=reason, actor=actor)
    emit(Client(server).post(f"/api/v1/promotions/{quoted(promotion_id)}/retry", words), output, name=_id, table=_said)


@promotions.command(short_help="Let a promotion go on although gates said no.")
@click.argument("promotion_id")
@click.argument("gates", nargs=-1, required=True, metavar="GATE...")
@reason_option
@click.option("--for", "lasts", metavar="4h", help="How long it holds [default: as long as the environment allows]")
@actor_option
@server_option
@output_option
def waive(promotion_id: str, gates: tuple[str, ...], server: str | None, output: str, **given: str | None) -> None:
    """Try a promotion that was refused once more, and let it go on although these gates said no to it.

    For this model over the one that is live, and for a while. Who waives is on record and in the commit, and does not
    approve it, too. What could not be judged (`error`) is not waived.
    """
    words = _words(gates=json.dumps(gates), **given)
    emit(Client(server).post(f"/api/v1/promotions/{quoted(promotion_id)}/waive", words), output, name=_id, table=_said)


@promotions.command(short_help="Propose a model by hand.")
@click.argument("name")
@candidate_options
@environment_option
@actor_option
@server_option
@output_option
def propose(name: str, environment: str | None, actor: str, server: str | None, output: str, **given: Any) -> None:
    """Propose a model to the Promotion NAME: its gates and approvals decide, as for one that a sensor proposes.

    For example `--run @latest`, `--input mlflow.model=digits --input mlflow.alias=challenger`, or digest and uri.
    """
    candidate = json.dumps(_candidate(server=server, **given))
    words = _words(candidate=candidate, environment=environment, actor=actor)
    emit(Client(server).post(f"/api/v1/promotions/{quoted(name)}/propose", words), output, name=_id, table=_said)


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
@candidate_options
@click.option("--name", help="Which promotion, where FILE holds several")
@click.option("--environment", "-e", help="Which environment; left out: the one that candidates enter at")
@server_option
@output_option
def plan(file: Path, name: str | None, environment: str | None, server: str | None, output: str, **given: Any) -> None:
    """Show what a promotion would change and what its gates would say. Changes nothing.

    The candidate is what a run has made (`--run`, asked of the platform), what `--input` says, or both.
    """
    from retrain.app.promotions.planning import plan_file

    found = plan_file(file, _candidate(server=server, **given), name, environment)
    emit(found, output, name=lambda _: name or "", table=promotion_view.plan)
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
@click.option("--reason", default="", help="Why; it goes on record")
@actor_option
@server_option
@output_option
def release(name: str, environment: str | None, reason: str, actor: str, server: str | None, output: str) -> None:
    """Let automation promote to a target again."""
    words = _words(environment=environment, reason=reason, actor=actor)
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
    page = Client(server).every("/api/v1/holds")
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
