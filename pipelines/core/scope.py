"""What `{{steps.NAME...}}` and `{{tasks.NAME...}}` mean to one `steps` or `dag` template that runs.

Looked up when asked for: a fan-out whose results nobody reads is never aggregated, so it cannot fail for it.

Source: `buildLocalScope`, `addSkippedNodeOutputsToScope` of Argo's controller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.core.expand import aggregated_parameters, aggregated_results, aggregated_values
from pipelines.core.naming import member_index
from pipelines.core.nodes import Node, Outputs, Phase, to_rfc3339
from pipelines.core.substitute import ABSENT, Found, Lookup

Declared = Callable[[str], Mapping[str, Any]]


class Scope:
    """`node_of(name)` gives a step's node and, if it is a fan-out, its members; None for what this scope cannot see."""

    def __init__(
        self,
        prefix: str,
        node_of: Callable[[str], tuple[Node, Sequence[Node] | None] | None],
        declared: Declared,
        known: Lookup,
    ) -> None:
        self._prefix = prefix + "."
        self._node_of = node_of
        self._declared = declared
        self._known = known
        self._cache: dict[str, Found] = {}

    def __call__(self, tag: str) -> Found:
        if not tag.startswith(self._prefix):
            return self._known(tag)
        if tag not in self._cache:
            name, _, rest = tag[len(self._prefix) :].partition(".")
            found = self._node_of(name)
            self._cache[tag] = None if found is None else self._of_step(name, rest, *found)
        return self._cache[tag]

    def _of_step(self, name: str, rest: str, node: Node, members: Sequence[Node] | None) -> Found:
        if members is not None and rest.startswith("outputs."):
            return _aggregate(members, rest)
        own = of_node(node, rest)
        if own is None and node.phase in (Phase.Skipped, Phase.Omitted):
            return self._skipped(name, rest)
        return own

    def _skipped(self, name: str, rest: str) -> Found:
        """What a step that did not run would have given: its declared default, else nothing."""
        outputs: Mapping[str, Any] = self._declared(name).get("outputs") or {}
        for parameter in outputs.get("parameters") or ():
            if rest == f"outputs.parameters.{parameter['name']}":
                default = (parameter.get("valueFrom") or {}).get("default")
                return ABSENT if default is None else default
        return ABSENT if rest == "outputs.result" else None


def of_node(node: Node, rest: str) -> str | None:
    """`status`, `outputs.result` and the like of one node; None if it has none such."""
    match rest:
        case "id":
            return node.id
        case "status":
            return str(node.phase)
        case "startedAt":
            return to_rfc3339(node.started_at)
        case "finishedAt":
            return to_rfc3339(node.finished_at)
        case "exitCode":
            return node.outputs.exit_code
        case "outputs.result":
            return node.outputs.result
        case _:
            name = rest.removeprefix("outputs.parameters.")
            return node.outputs.parameters.get(name) if name != rest else None


def _aggregate(members: Sequence[Node], rest: str) -> Found:
    ordered = sorted(
        (node for node in members if not node.hooked and not node.retried), key=lambda n: member_index(n.name)
    )
    outputs: list[Outputs] = [node.outputs for node in ordered if node.phase is Phase.Succeeded]
    if rest == "outputs.result":
        return aggregated_results(outputs)
    if rest == "outputs.parameters":
        return aggregated_parameters(outputs)
    name = rest.removeprefix("outputs.parameters.")
    values = [output.parameters[name] for output in outputs if name in output.parameters]
    return aggregated_values(values) if values else None
