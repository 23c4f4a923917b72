"""How a run is printed: in words, as JSON or YAML, as a picture."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import click

from pipelines.pictures.tree import Keep
from retrain.cli.output import coloured, emit

FORMATS = ("table", "json", "yaml", "name", "short", "wide", "dot", "mermaid", "svg", "gantt", "gantt-svg")
GANTT_COLUMNS = 120
"""Columns of a chart that is not for a terminal."""

picture_option = click.option(
    "-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print"
)
utf8_option = click.option("--no-utf8", is_flag=True, help="Draw with plain letters only")
colour_option = click.option("--no-color", is_flag=True, help="Print without colours")


@dataclass(frozen=True, slots=True)
class Look:
    """How a person wants to see runs."""

    utf8: bool = True
    colour: bool = True
    keep: Keep | None = None


def look_of(words: Mapping[str, Any]) -> Look:
    """What the options say.

    Raises:
        ConfigError: the node field selector cannot be read.
    """
    return Look(not words.get("no_utf8"), not words.get("no_color"), keep_of(words))


def keep_of(words: Mapping[str, Any]) -> Keep | None:
    """Which nodes to show, by `--node-field-selector` and `--status`; None is all."""
    selector, phases = words.get("node_field_selector"), words.get("status")
    checks: list[Keep] = []
    if selector:
        from pipelines.core.node_selector import compile_selector
        from pipelines.core.nodes import Node

        fits = compile_selector(str(selector))
        checks.append(lambda node: fits(Node.from_argo(node)))
    if phases:
        wanted = frozenset(str(phases).split(","))
        checks.append(lambda node: str(node.get("phase")) in wanted)
    return (lambda node: all(check(node) for check in checks)) if checks else None


def print_run(run: dict[str, Any], output: str, look: Look) -> None:
    """Print a Workflow object on stdout."""
    if output in {"table", "short", "wide"}:
        print_text(run, output, look)
    elif output in PICTURES:
        click.echo(PICTURES[output](run, look), nl=False)
    else:
        emit(run, output, name=lambda one: str(one["metadata"]["name"]), table=click.echo)


def print_text(run: Mapping[str, Any], output: str, look: Look) -> None:
    """The run in words: `short` is the tree alone. Coloured on a terminal."""
    from retrain.cli import run_grid, run_text

    now, width = datetime.now(UTC), cast("run_grid.Width", output)
    screen = sys.stdout.isatty()
    if output != "short":
        for line in run_text.head(run, now):
            click.echo(line)
    tree = list(run_text.lines(run, now, width, utf8=look.utf8, keep=look.keep))
    if not tree:
        return
    if output != "short":
        click.echo()
    room = shutil.get_terminal_size().columns if screen else None
    in_colours = look.colour and coloured()
    for line, rest in run_grid.columns(tree, width, room, whole=True):
        name = click.style(line.name, line.colour) if in_colours and line.colour else line.name
        click.echo(f"{line.prefix}{name}{rest}".rstrip())


def _dot(run: Mapping[str, Any], look: Look) -> str:
    from pipelines.pictures.dot import dot

    return dot(_kept(run, look))


def _mermaid(run: Mapping[str, Any], look: Look) -> str:
    from pipelines.pictures.mermaid import mermaid

    return mermaid(_kept(run, look))


def _svg(run: Mapping[str, Any], look: Look) -> str:
    from pipelines.pictures.svg import svg

    return svg(_kept(run, look))


def _gantt(run: Mapping[str, Any], look: Look) -> str:
    from pipelines.pictures.gantt import gantt

    width = shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else GANTT_COLUMNS
    return gantt(run, datetime.now(UTC), width=width, utf8=look.utf8, keep=look.keep)


def _gantt_svg(run: Mapping[str, Any], look: Look) -> str:
    from pipelines.pictures.gantt import gantt_svg

    return gantt_svg(run, datetime.now(UTC), keep=look.keep)


def _kept(run: Mapping[str, Any], look: Look) -> Mapping[str, Any]:
    """The run with the nodes alone that are to be shown."""
    if look.keep is None:
        return run
    status: Mapping[str, Any] = run.get("status") or {}
    nodes: Mapping[str, Any] = status.get("nodes") or {}
    return {**run, "status": {**status, "nodes": {key: node for key, node in nodes.items() if look.keep(node)}}}


PICTURES: Mapping[str, Callable[[Mapping[str, Any], Look], str]] = {
    "dot": _dot,
    "mermaid": _mermaid,
    "svg": _svg,
    "gantt": _gantt,
    "gantt-svg": _gantt_svg,
}
