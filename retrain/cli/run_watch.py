"""Following a run of a platform until it ends: its tree, its steps' ends, or what they print."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from retrain.cli.client import Client, server_option
from retrain.cli.run_live import Steps, in_order, is_screen, open_tree, to_stderr
from retrain.cli.run_names import get_run, id_of
from retrain.cli.run_print import Look, colour_option, look_of, picture_option, print_run, utf8_option
from retrain.cli.run_text import is_over
from retrain.cli.run_waits import waits_of
from retrain.errors import ConfigError

POLL_S = 0.5


def after_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What to do once a run is under way."""
    for option in (
        click.option("--log", is_flag=True, help="Print what the steps print, until the run ends"),
        click.option("--watch", is_flag=True, help="Watch the run until it ends"),
        click.option("--wait", is_flag=True, help="Wait until the run ends; the exit status tells how"),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("name")
@click.option("--node-field-selector", metavar="FIELD=VALUE,...", help="Only steps that fit, such as phase=Running")
@click.option("--status", metavar="PHASE,...", help="Only steps in one of these phases")
@utf8_option
@colour_option
@server_option
@picture_option
def watch(name: str, server: str | None, output: str, **words: Any) -> int:
    """Watch a run until it ends; the exit status tells how

    NAME is its name or id, or @latest. On stdout: the run as it ended.
    """
    look = look_of(words)
    run = watch_run(Client(server), name, look)
    print_run(run, output, look)
    return status_of_exit(run)


def watch_run(client: Client, name: str, look: Look) -> dict[str, Any]:
    """The run as it ended; until then it is shown on stderr."""
    state = {"run": get_run(client, name)}
    which = id_of(state["run"])  # @latest may be another one by and by
    if is_screen():
        with open_tree(lambda: state["run"], look):
            while not is_over(state["run"]):
                time.sleep(POLL_S)
                state["run"] = get_run(client, which)
        return state["run"]
    steps, waits = Steps(look), _Waits()
    while True:
        for node in steps.ended(in_order(state["run"])):
            steps.say(node)
        waits.say(state["run"])
        if is_over(state["run"]):
            return state["run"]
        time.sleep(POLL_S)
        state["run"] = get_run(client, which)


def wait_for(client: Client, name: str) -> dict[str, Any]:
    """The run as it ended. What it waits for meanwhile is said on stderr: it may be whoever waits for it."""
    run = get_run(client, name)
    which, waits = id_of(run), _Waits()
    while not is_over(run):
        waits.say(run)
        time.sleep(POLL_S)
        run = get_run(client, which)
    return run


class _Waits:
    """Says what a run waits for, whenever that is something else."""

    def __init__(self) -> None:
        self._said = ""

    def say(self, run: dict[str, Any]) -> None:
        waits = waits_of(run) if run["status"].get("startedAt") else ""
        if waits and waits != self._said:
            to_stderr(f"{run['metadata']['name']} waits for {waits}")
        self._said = waits


def check_follow_up(words: dict[str, Any], output: str) -> None:
    """
    Raises:
        ConfigError: stdout is wanted for two things.
    """
    if words["log"] and output != "table":
        raise ConfigError(f"-o {output} and --log both print on stdout; leave one out")


def follow_up(client: Client, names: Sequence[str], words: dict[str, Any], output: str) -> int:
    """Wait for runs, watch them or print their logs, as the options say; the exit status. Only where `output` is a
    table there is more on stdout than that was printed already."""
    from retrain.cli.run_logs import read_log, write

    if not (words["wait"] or words["watch"] or words["log"]):
        return 0
    ended: list[dict[str, Any]] = []
    for name in names:
        if words["log"]:
            write(read_log(client, name, follow="true"))
        if words["watch"]:
            ended.append(watch_run(client, name, Look()))
            if output == "table":
                print_run(ended[-1], output, Look())
        else:
            ended.append(wait_for(client, name))
    return max((status_of_exit(run) for run in ended), default=0)


def status_of_exit(run: dict[str, Any]) -> int:
    """0 if a run succeeded, else 1."""
    return 0 if run["status"]["phase"] == "Succeeded" else 1
