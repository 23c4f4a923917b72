"""`retrain run --dry-run`: the tree of what would run, with every command filled in as far as it is known."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from pipelines.pictures.reading import plain, short
from pipelines.pictures.tree import ASCII, UTF8, Corners
from retrain.cli.output import emit

MOST_LETTERS = 110
SOURCE_LINES = 12
"""Lines of a script that are shown; `-o json` has all."""


def print_plans(plans: Sequence[Mapping[str, Any]], output: str, *, utf8: bool) -> None:
    """Print what each workflow would do."""
    for one in plans:
        if output in {"json", "yaml", "name"}:
            emit(one, output, name=lambda plan: str(plan["name"]), table=click.echo)
            continue
        click.echo(f"{'Name:':<20} {plain(str(one['name']))}")
        click.echo(f"{'Entrypoint:':<20} {plain(str(one['entrypoint']))}")
        click.echo("")
        for line in lines(one, utf8=utf8):
            click.echo(line)


def lines(plan: Mapping[str, Any], *, utf8: bool = True) -> Iterator[str]:
    """The tree: each node with what decides about it, each leaf with what it would do."""
    corners = UTF8 if utf8 else ASCII
    for node in plan["nodes"]:
        yield from _draw(node, "", "", corners)


def _draw(node: Mapping[str, Any], here: str, under: str, corners: Corners) -> Iterator[str]:
    children: Sequence[Mapping[str, Any]] = node.get("children") or ()
    yield here + _title(node)
    bar = under + (corners.bar if children else corners.blank) + " "
    for line in _details(node):
        yield bar + line
    for index, child in enumerate(children):
        last = index == len(children) - 1
        corner, bar = (corners.last, corners.blank) if last else (corners.middle, corners.bar)
        yield from _draw(child, f"{under}{corner} ", f"{under}{bar} ", corners)


def _title(node: Mapping[str, Any]) -> str:
    parts = [plain(str(node.get("displayName") or node.get("name")))]
    if node.get("loop"):
        parts.append(str(node["loop"]))
    template = node.get("template")
    if template and template != node.get("displayName"):
        parts.append(f"[{plain(str(template))}]")
    if needs := node.get("needs"):
        parts.append("after " + ", ".join(plain(str(one)) for one in needs))
    return " ".join(parts)


def _details(node: Mapping[str, Any]) -> Iterator[str]:
    if when := node.get("when"):
        decided = {True: "yes", False: "no", None: "not known yet"}[when.get("decided")]
        yield f"when: {_one_line(when.get('text'))} ({decided})"
    if retry := node.get("retry"):
        yield f"retry: {_one_line(json.dumps(retry, default=str))}"
    for name, value in ((node.get("inputs") or {}).get("parameters") or {}).items():
        yield f"{plain(str(name))} = {_one_line(value)}"
    for one in (node.get("inputs") or {}).get("artifacts") or ():
        yield f"artifact {plain(str(one.get('name')))} at {_one_line(one.get('path') or '')}"
    yield from _does(node.get("does") or {})
    if note := node.get("note"):
        yield _one_line(note)


def _does(does: Mapping[str, Any]) -> Iterator[str]:
    words = [str(word) for part in ("command", "args") for word in does.get(part) or ()]
    if does.get("image"):
        yield f"image: {_one_line(does['image'])}"
    for one in does.get("env") or ():
        yield f"env: {plain(str(one.get('name')))}={_one_line(one.get('value', '(from elsewhere)'))}"
    if words:
        yield f"$ {_one_line(shlex.join(words))}"
    source = str(does.get("source") or "").rstrip("\n").splitlines()
    for line in source[:SOURCE_LINES]:
        yield f"| {short(plain(line), MOST_LETTERS)}"
    if len(source) > SOURCE_LINES:
        yield f"| ... and {len(source) - SOURCE_LINES} lines more; -o json has them all"
    for name, value in does.items():
        if name not in {"command", "args", "image", "env", "source"} and value not in (None, "", "container", "script"):
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            yield f"{plain(str(name))}: {_one_line(text)}"


def _one_line(value: Any) -> str:
    return short(plain(" ".join(str(value).split())), MOST_LETTERS)
