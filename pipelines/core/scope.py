"""What `{{steps.NAME...}}` and `{{tasks.NAME...}}` mean to one `steps` or `dag` template that runs.

Looked up when asked for: a fan-out whose results nobody reads is never aggregated, so it cannot fail for it.

Source: `buildLocalScope`, `addSkippedNodeOutputsToScope` of Argo's controller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pipelines.core.aggregate import (
    aggregated_artifact,
    aggregated_parameters,
    aggregated_results,
    aggregated_values,
    counted,
)
from pipelines.core.nodes import NO_INPUTS, Artifact, Inputs, Node, Phase, to_rfc3339
from pipelines.core.variables import ABSENT, Absent, Found, Lookup, Moment, Variables, variables_of

Declared = Callable[[str], Mapping[str, Any]]
NodeOf = Callable[[str], tuple[Node, Sequence[Node] | None] | None]

HOST = "localhost"
"""`hostNodeName` of everything that ran: there is one machine."""
_NOWHERE = ("Steps", "StepGroup", "DAG", "TaskGroup", "Retry", "Skipped", "Suspend")
_PARAMETER, _ARTIFACT = "outputs.parameters.", "outputs.artifacts."
_BRANCHES = ("", "outputs", "outputs.parameters", "outputs.artifacts")
_PLAIN = ("id", "status", "startedAt", "finishedAt", "ip", "exitCode", "hostNodeName", "outputs.result")


def _nobody() -> Iterable[str]:
    return ()


class Scope:
    """`node_of(name)` gives a step's node and, if it is a fan-out, its members; None for what this scope cannot see.

    `declared(name)` is the step's template. `inputs` are those of the template around. `names` lists the steps that can
    be seen: it is asked only by an expression that reads `steps` or `tasks` as a whole.
    """

    def __init__(
        self, prefix: str, node_of: NodeOf, declared: Declared, known: Variables | Lookup,
        inputs: Inputs = NO_INPUTS, names: Callable[[], Iterable[str]] = _nobody,
    ) -> None:  # fmt: skip
        self._prefix = prefix
        self._start = prefix + "."
        self._node_of = node_of
        self._declared = declared
        self._known = variables_of(known)
        self._inputs = inputs
        self._names = names
        self._cache: dict[str, Found] = {}

    def __call__(self, tag: str, /) -> Found:
        if tag.startswith("inputs."):
            return self._input(tag)
        if not tag.startswith(self._start):
            return self._known(tag)
        if tag not in self._cache:
            name, _, rest = tag[len(self._start) :].partition(".")
            found = self._node_of(name)
            self._cache[tag] = None if found is None else self._of_step(name, rest, *found)
        return self._cache[tag]

    def _input(self, tag: str) -> Found:
        found = self._inputs.parameters.get(tag.removeprefix("inputs.parameters."))
        return self._known(tag) if found is None else found

    def _of_step(self, name: str, rest: str, node: Node, members: Sequence[Node] | None) -> Found:
        if members is not None and rest.startswith("outputs."):
            return self._aggregate(name, rest, members)
        own = of_node(node, rest)
        if own is None and node.phase in (Phase.Skipped, Phase.Omitted):
            return self._skipped(name, rest)
        return own

    def _skipped(self, name: str, rest: str) -> Found:
        """What a step that did not run would have given: its declared default, else nothing."""
        parameter = self._output(name, "parameters", rest.removeprefix(_PARAMETER))
        if rest.startswith(_PARAMETER) and parameter is not None:
            default = (parameter.get("valueFrom") or {}).get("default")
            return ABSENT if default is None else default
        return ABSENT if rest == "outputs.result" else None

    def _output(self, name: str, kind: str, output: str) -> Mapping[str, Any] | None:
        outputs: Mapping[str, Any] = self._declared(name).get("outputs") or {}
        return next((one for one in outputs.get(kind) or () if one["name"] == output), None)

    def _aggregate(self, name: str, rest: str, members: Sequence[Node]) -> Found:
        outputs = [node.outputs for _, node in counted(members)]
        if rest == "outputs.result":
            return aggregated_results(outputs)
        if rest == "outputs.parameters":
            return aggregated_parameters(outputs)
        parameter = rest.removeprefix(_PARAMETER)
        values = [value for output in outputs if (value := output.parameters.get(parameter)) is not None]
        if values or self._output(name, "parameters", parameter) is not None:
            return aggregated_values(values)
        return None

    # --- artifacts --------------------------------------------------------------------------------------------------

    def artifact(self, tag: str, /) -> Artifact | Absent | None:
        """The artifact of that name. ABSENT is one of a skipped step in `steps`, which is there and lies nowhere."""
        if tag.startswith("inputs.artifacts."):
            name = tag.removeprefix("inputs.artifacts.")
            own = next((one for one in self._inputs.artifacts if one["name"] == name), None)
            return self._known.artifact(tag) if own is None else own
        if not tag.startswith(self._start):
            return self._known.artifact(tag)
        step, _, rest = tag[len(self._start) :].partition(".")
        found = self._node_of(step) if rest.startswith(_ARTIFACT) else None
        return None if found is None else self._artifact_of(step, rest.removeprefix(_ARTIFACT), *found)

    def _artifact_of(
        self, step: str, name: str, node: Node, members: Sequence[Node] | None
    ) -> Artifact | Absent | None:
        if members is not None:
            return aggregated_artifact(name, members)
        own = next((one for one in node.outputs.artifacts if one["name"] == name), None)
        skipped = node.phase in (Phase.Skipped, Phase.Omitted) and self._prefix == "steps"
        return ABSENT if own is None and skipped and self._output(step, "artifacts", name) is not None else own

    # --- as a whole -------------------------------------------------------------------------------------------------

    def under(self, prefix: str, /) -> Iterable[str]:
        """What can be read below a name, for expressions that read a branch as a whole."""
        start = prefix + "."
        names: Iterable[str]
        if self._start.startswith(start):
            names = [name for step in self._names() for name in self._of(step)]
        elif prefix.startswith(self._start):
            step, _, rest = prefix[len(self._start) :].partition(".")
            names = self._of(step) if rest in _BRANCHES else ()
        else:
            own = [f"inputs.parameters.{name}" for name in self._inputs.parameters]
            own += [f"inputs.artifacts.{one['name']}" for one in self._inputs.artifacts]
            names = (*own, *self._known.under(prefix))
        return [name for name in names if name.startswith(start)]

    def _of(self, step: str) -> list[str]:
        found = self._node_of(step)
        if found is None:
            return []
        node, members = found
        given = [node.outputs] if members is None else [member.outputs for _, member in counted(members)]
        outputs: Mapping[str, Any] = self._declared(step).get("outputs") or {}
        parameters = [one["name"] for one in outputs.get("parameters") or ()]
        parameters += [name for output in given for name in output.parameters]
        artifacts = [one["name"] for output in given for one in output.artifacts]
        names = [*_PLAIN, *(_PARAMETER + name for name in dict.fromkeys(parameters))]
        own = [f"{self._start}{step}.{name}" for name in names]
        own = [name for name in own if not (members is not None and name.endswith(".outputs.result"))]
        kept = [name for name in own if self(name) is not None]
        return [*kept, *(f"{self._start}{step}.{_ARTIFACT}{name}" for name in dict.fromkeys(artifacts))]

    def moment(self) -> Moment:
        return self._known.moment()


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
        case "ip":
            return node.pod_ip or None
        case "hostNodeName":
            return None if node.type in _NOWHERE else HOST
        case "exitCode":
            return node.outputs.exit_code
        case "outputs.result":
            return node.outputs.result
        case _:
            name = rest.removeprefix(_PARAMETER)
            return node.outputs.parameters.get(name) if name != rest else None
