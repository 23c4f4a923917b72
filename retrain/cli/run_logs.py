"""`retrain runs logs`: what the steps of a run have printed, each step in its colour."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import coloured, emit, output_option, plain
from retrain.cli.run_names import path_of
from retrain.cli.run_print import colour_option
from retrain.errors import ConfigError

PALETTE = (
    "cyan",
    "magenta",
    "green",
    "yellow",
    "blue",
    "bright_cyan",
    "bright_magenta",
    "bright_green",
    "bright_yellow",
)
STREAM = "text/event-stream"

_COLOURING = re.compile(r"\x1b\[[0-9;]*m")


@click.command(short_help="Print what the steps of a run have printed.")
@click.argument("name")
@click.argument("node", required=False)
@click.option("-c", "--container", help="Only this container of each step: main, a sidecar, ...")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends")
@click.option("--grep", metavar="PATTERN", help="Only lines in which this regular expression is found")
@click.option("--since", metavar="AGE", help="Only lines that are not older: 90s, 1h30m, 2d")
@click.option("--since-time", metavar="TIME", help="Only lines since then: 2026-11-20T10:00:00Z")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Only the last lines of each step")
@click.option("--timestamps", is_flag=True, help="Say when each line was written")
@click.option("--node-field-selector", metavar="FIELD=VALUE,...", help="Only steps that fit, such as phase=Failed")
@colour_option
@server_option
@output_option
def logs(name: str, node: str | None, server: str | None, output: str, **words: Any) -> None:
    """Print what the steps of a run have printed, or one of them: NODE is its name or id

    NAME is the run's name or id, or @latest. Step after step, in the order in which they began; with `--follow` line by
    line as they are written.
    """
    if words["since"] and words["since_time"]:
        raise ConfigError("--since and --since-time both say when; leave one out")
    lines = read_log(
        Client(server),
        name,
        node=node,
        container=words["container"],
        follow="true" if words["follow"] else None,
        grep=words["grep"],
        since=words["since"] or words["since_time"],
        tail=words["tail"],
        nodeFieldSelector=words["node_field_selector"],
    )
    if output == "table":
        write(lines, timestamps=words["timestamps"], colour=not words["no_color"])
        return
    found = {"name": name, "lines": [line["text"] for line in lines if "text" in line]}
    emit(found, output, name=lambda f: f["name"], table=click.echo)


def read_log(client: Client, name: str, **words: Any) -> Iterator[dict[str, Any]]:
    """What the platform sends: first `{"many"}`, whether several steps speak; then a line of a step each."""
    for line in client.lines(path_of(name, "logs"), accept=STREAM, **words):
        if line.startswith("data: ") and (found := json.loads(line.removeprefix("data: "))):
            yield found


def write(lines: Iterator[dict[str, Any]], *, timestamps: bool = False, colour: bool = True) -> None:
    """Print the lines; where several steps speak, each with its name in its colour."""
    styles: dict[str, str] = {}
    many = False
    screen = sys.stdout.isatty()
    in_colours = colour and coloured()
    for line in lines:
        if "many" in line:
            many = bool(line["many"])
            continue
        text = readable(line["text"]) if screen else line["text"]
        time = f"{line['time']} " if timestamps else ""
        said = f"{plain(line['name'])}: " if many else ""
        if line["container"] != "main" and many:
            said = f"{plain(line['name'])}/{plain(line['container'])}: "
        if in_colours and said:
            said = click.style(said, styles.setdefault(line["node"], PALETTE[len(styles) % len(PALETTE)]))
        click.echo(f"{said}{time}{text}", color=in_colours or None)


def readable(text: str) -> str:
    """A line of a log for a terminal: colours taken off, what else would control it written out, tabs kept."""
    return "\t".join(plain(part) for part in _COLOURING.sub("", text).split("\t"))
