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
    ("STATUS", lambda r: _status(r)),
    ("DURATION", lambda r: _duration(r["status"])),
    ("SENSOR", lambda r: r["metadata"]["labels"].get("retrain.dev/sensor")),
    ("MESSAGE", lambda r: r["status"].get("message")),
)


parameter_option = click.option(
    "-p", "--parameter", multiple=True, metavar="NAME=VALUE", help="Another value for a parameter of the workflow"
)


@click.group()
def runs() -> None:
    """List, watch and read workflow runs; stop them, suspend them, and try them again."""


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


@runs.command()
@click.argument("name")
@server_option
@output_option
def suspend(name: str, server: str | None, output: str) -> None:
    """Let a run start nothing more: its steps go on, what follows from them waits."""
    _ask("suspend", name, server, output)


@runs.command()
@click.argument("name")
@server_option
@output_option
def resume(name: str, server: str | None, output: str) -> None:
    """Let a run that was suspended go on."""
    _ask("resume", name, server, output)


@runs.command()
@click.argument("name")
@parameter_option
@click.option(
    "--restart-successful", is_flag=True, help="Run steps again that succeeded: those of --node-field-selector"
)
@click.option("--node-field-selector", metavar="FIELD=VALUE,...", help="Which, such as displayName=train")
@server_option
@output_option
def retry(name: str, server: str | None, output: str, **words: Any) -> None:
    """Go on with a run that failed: what succeeded stays, the rest runs again."""
    body = {
        "parameters": _values(words["parameter"]),
        "restartSuccessful": words["restart_successful"],
        "nodeFieldSelector": words["node_field_selector"] or "",
    }
    _ask("retry", name, server, output, body)


@runs.command()
@click.argument("name")
@parameter_option
@click.option("--priority", type=int, help="A run of a higher priority is worked on first [default: the old run's]")
@server_option
@output_option
def resubmit(name: str, server: str | None, output: str, **words: Any) -> None:
    """Run the workflow of a run once more, as a new run, with its arguments."""
    body = {"parameters": _values(words["parameter"]), "priority": words["priority"]}
    done = Client(server).post(f"/api/v1/runs/{quoted(name)}/resubmit", body)
    said = f"{name} is resubmitted as {done['name']}"
    emit(done, output, name=lambda d: d["name"], table=lambda _: click.echo(said, err=True))


def _values(given: tuple[str, ...]) -> dict[str, str]:
    from retrain.errors import ConfigError

    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"-p {text!r}: a parameter is NAME=VALUE")
        found[name] = value
    return found


def _ask(verb: str, name: str, server: str | None, output: str, body: dict[str, Any] | None = None) -> None:
    done = Client(server).post(f"/api/v1/runs/{quoted(name)}/{verb}", body)
    said = f"{name} is asked to {verb}"
    emit(done, output, name=lambda d: d["name"], table=lambda _: click.echo(said, err=True))


def _get(client: Client, name: str) -> dict[str, Any]:
    return client.get(f"/api/v1/runs/{quoted(name)}")


def _name(run: dict[str, Any]) -> str:
    return str(run["metadata"]["name"])


def _status(run: dict[str, Any]) -> str:
    """The phase, as Argo's list says it."""
    phase = str(run["status"]["phase"])
    return f"{phase} (Suspended)" if run["spec"].get("suspend") and phase not in OVER else phase


def _duration(status: dict[str, Any]) -> str:
    from retrain.cli.tree import lasted

    return lasted(status)


def _draw(run: dict[str, Any]) -> None:
    from retrain.cli.tree import tree_of

    draw(tree_of(run))
