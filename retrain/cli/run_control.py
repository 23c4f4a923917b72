"""What people ask of runs: end, suspend, go on, be tried again, be forgotten."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from typing import Any

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import emit, output_option
from retrain.cli.run_names import find, id_of, meant, path_of, selecting, words_of
from retrain.cli.run_watch import after_options, check_follow_up, follow_up
from retrain.errors import ConfigError

Body = dict[str, Any] | None

names_argument = click.argument("names", metavar="[NAME]...", nargs=-1)
node_option = click.option("--node-field-selector", metavar="FIELD=VALUE,...", help="Which, such as displayName=train")
message_option = click.option("--message", help="What to say as the reason")
parameter_option = click.option(
    "-p", "--parameter", multiple=True, metavar="NAME=VALUE", help="Another value for a parameter of the workflow"
)


def on_runs(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments of every command that acts on runs."""
    return names_argument(selecting(server_option(output_option(command))))


@click.command()
@node_option
@message_option
@on_runs
def stop(names: tuple[str, ...], server: str | None, output: str, **words: Any) -> None:
    """Stop runs: their steps end, their exit handlers run

    With `--node-field-selector` the suspended steps that it fits fail, with `--message`, and the run goes on.
    """
    _ask("stop", names, server, output, words, _of_nodes(words))


@click.command()
@on_runs
def terminate(names: tuple[str, ...], server: str | None, output: str, **words: Any) -> None:
    """End runs at once, without their exit handlers."""
    _ask("terminate", names, server, output, words)


@click.command(short_help="Let runs start nothing more.")
@on_runs
def suspend(names: tuple[str, ...], server: str | None, output: str, **words: Any) -> None:
    """Let runs start nothing more: their steps go on, what follows from them waits."""
    _ask("suspend", names, server, output, words)


@click.command(short_help="Let runs go on that are suspended or wait for people.")
@node_option
@message_option
@on_runs
def resume(names: tuple[str, ...], server: str | None, output: str, **words: Any) -> None:
    """Let runs go on that were suspended, or that wait at a suspend step

    With `--node-field-selector` only the suspend steps that it fits.
    """
    _ask("resume", names, server, output, words, {**_of_nodes(words), "by": me()})


@click.command("set")
@click.argument("name")
@node_option
@message_option
@click.option("--phase", type=click.Choice(["Succeeded", "Failed", "Error", "Skipped"]), help="What they shall be")
@click.option(
    "--output-parameter", multiple=True, metavar="NAME=VALUE", help="A value for an output that is to be supplied"
)
@server_option
@output_option
def set_(name: str, server: str | None, output: str, **words: Any) -> None:
    """Set the phase, the message or the outputs of suspended steps."""
    if not (words["phase"] or words["message"] or words["output_parameter"]):
        raise ConfigError("set what? say --phase, --message or --output-parameter NAME=VALUE")
    body = {**_of_nodes(words), "outputParameters": values(words["output_parameter"], "--output-parameter")}
    if words["phase"]:
        body["phase"] = words["phase"]
    _tell(
        [Client(server).post(path_of(name, "set"), body)], "set", output, single=True, said="{name}: its steps are set"
    )


@click.command(short_help="Run again what failed in runs, and what follows.")
@parameter_option
@click.option(
    "--restart-successful", is_flag=True, help="Run steps again that succeeded: those of --node-field-selector"
)
@node_option
@after_options
@on_runs
def retry(names: tuple[str, ...], server: str | None, output: str, **words: Any) -> int:
    """Go on with runs that failed: what succeeded stays, the rest runs again."""
    check_follow_up(words, output)
    body = {
        "parameters": values(words["parameter"]),
        "restartSuccessful": words["restart_successful"],
        "nodeFieldSelector": words["node_field_selector"] or "",
    }
    client = Client(server)
    which = meant(client, names, words)
    done = [client.post(path_of(name, "retry"), body) for name in which]
    _tell(done, "retry", output, single=bool(names))
    return follow_up(client, which, words, output)


@click.command(short_help="Run the workflows of runs once more, as new runs.")
@parameter_option
@click.option("--memoized", is_flag=True, help="Do not run again what had succeeded")
@click.option("--priority", type=int, help="A run of a higher priority is worked on first [default: the old run's]")
@after_options
@on_runs
def resubmit(names: tuple[str, ...], server: str | None, output: str, **words: Any) -> int:
    """Run the workflows of runs once more, as new runs, with their arguments."""
    check_follow_up(words, output)
    body = {
        "parameters": values(words["parameter"]),
        "memoized": words["memoized"],
        "priority": words["priority"],
    }
    client = Client(server)
    done = [client.post(path_of(name, "resubmit"), body) for name in meant(client, names, words)]
    for one in done:
        if output == "table":
            click.echo(f"{one['of']} is resubmitted as {one['name']}", err=True)
    if output != "table":
        _tell(done, "resubmit", output, single=bool(names))
    return follow_up(client, [one["run"] for one in done], words, output)


@click.command(short_help="Forget runs that are over, with logs and artifacts.")
@click.option("--all", "everything", is_flag=True, help="All runs that are over")
@click.option("--dry-run", is_flag=True, help="Say which, and delete nothing")
@on_runs
def delete(names: tuple[str, ...], server: str | None, output: str, **words: Any) -> None:
    """Forget runs that are over: their steps, logs and, as their artifactGC says, artifacts."""
    client = Client(server)
    if words["everything"]:
        if names or words_of(words):
            raise ConfigError("--all is all runs that are over; leave the rest out")
        words["completed"] = True
    if not names and not words["running"]:
        # Selected by what they are, only those that are over: what runs is deleted by its name or not at all.
        words["completed"] = words["completed"] or bool(words_of(words))
    found = list(names) if names else [run["metadata"] for run in find(client, _said(words))]
    which = [one if isinstance(one, str) else id_of({"metadata": one}) for one in found]
    if words["dry_run"]:
        done = [
            {"name": one if isinstance(one, str) else one["name"], "asked": "delete", "dryRun": True} for one in found
        ]
        _tell(done, "delete", output, single=False, said="{name} would be deleted")
        return
    done = [client.post(path_of(name, "delete")) for name in which]
    _tell(done, "delete", output, single=bool(names), said="{name} is deleted")


def _said(words: dict[str, Any]) -> dict[str, Any]:
    found = words_of(words)
    if not found:
        raise ConfigError("delete which runs? say names, --all, or options such as --older 30d")
    return found


def values(given: Sequence[str], option: str = "-p") -> dict[str, str]:
    """`NAME=VALUE` texts as what they say.

    Raises:
        ConfigError: one of them is none.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"{option} {text!r}: a parameter is NAME=VALUE")
        found[name] = value
    return found


def _of_nodes(words: dict[str, Any]) -> dict[str, Any]:
    return {"nodeFieldSelector": words["node_field_selector"] or "", "message": words["message"] or ""}


def me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _ask(
    verb: str, names: tuple[str, ...], server: str | None, output: str, words: dict[str, Any], body: Body = None
) -> None:
    client = Client(server)
    done = [client.post(path_of(name, verb), body) for name in meant(client, names, words)]
    _tell(done, verb, output, single=bool(names))


def _tell(
    done: list[dict[str, Any]], verb: str, output: str, *, single: bool, said: str = "{name} is asked to {verb}"
) -> None:
    """Say what was done: of one run its answer, of several a list."""
    whole: Any = done[0] if single and len(done) == 1 else {"items": done, "next": None}

    def table(_: Any) -> None:
        for one in done:
            click.echo(said.format(name=one["name"], verb=verb), err=True)
        if not done:
            click.echo("no run fits", err=True)

    emit(whole, output, name=lambda one: str(one["name"]), table=table)
