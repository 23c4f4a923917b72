"""`retrain trace`: from any id to the whole chain."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import draw, emit, output_option


@click.command()
@click.argument("name", metavar="ID")
@server_option
@output_option
def trace(name: str, server: str | None, output: str) -> None:
    """Show the chain from an object to the live model.

    ID is an object's key, an event, a firing, a run, a promotion or a commit: any of them finds the whole chain.
    """
    emit(Client(server).get("/api/v1/trace", id=name), output, name=lambda _: name, table=_draw)


def _draw(chain: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.tree import Tree

    nodes = {node["id"]: node for node in chain["nodes"]}
    effects: dict[str, list[str]] = {}
    for cause, effect in sorted(chain["edges"], key=lambda edge: _when(nodes[edge[1]])):
        effects.setdefault(cause, []).append(effect)
    caused = {effect for _, effect in chain["edges"]}
    drawn: set[str] = set()

    def grow(tree: Tree, node_id: str) -> None:
        node = nodes[node_id]
        text = f"[bold]{node['kind']}[/] {escape(node_id)}  [dim]{escape(node['summary'])}[/]"
        if node_id in drawn:
            tree.add(f"{node['kind']} {escape(node_id)} [dim](see above)[/]")
            return
        drawn.add(node_id)
        branch = tree.add(text)
        for effect in effects.get(node_id, []):
            grow(branch, effect)

    for node_id in nodes:
        if node_id not in caused:
            root = Tree("", hide_root=True)
            grow(root, node_id)
            draw(root)


def _when(node: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(node["time"]) if node["time"] else datetime.max.replace(tzinfo=UTC)
