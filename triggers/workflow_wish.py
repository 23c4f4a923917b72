"""From a rendered `argoWorkflow` action to what it asks of runs that are there: stop, retry and the like. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from pipelines import argo_flags
from pipelines.host.control import RetryOptions
from retrain.errors import Permanent
from retrain.events import JsonValue
from retrain.store.runs import RunRow
from triggers.port import Firing

Operation = Literal["resubmit", "retry", "resume", "suspend", "stop", "terminate"]
OPERATIONS: tuple[Operation, ...] = ("resubmit", "retry", "resume", "suspend", "stop", "terminate")

Fits = Callable[[Mapping[str, str]], bool]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked, and of which runs: the newest of this `name` (in this `namespace`, "" for any), or all that are in
    a state for it and whose labels fit. `parameters`: new values for the workflow's arguments."""

    operation: Operation
    name: str
    namespace: str
    fits: Fits | None
    parameters: Mapping[str, str]
    retry: RetryOptions
    priority: int | None

    def means(self, run: RunRow) -> bool:
        """Whether a run is one of those that a selector asks for."""
        named = not self.name or run.name == self.name
        return named and self.namespace in {"", run.namespace} and (self.fits is None or self.fits(run.labels))


def build_wish(firing: Firing, operation: Operation) -> Wish:
    """What an `argoWorkflow` firing asks of runs.

    Raises:
        Permanent: nothing says of which, or a flag is not understood.
    """
    said = argo_flags.read_flags(operation, firing.action.get("args") or [])
    by_flag = {one.flag: one.value for one in said}
    parameters = dict(argo_flags.parameter(one.value) for one in said if one.flag == "parameter")
    fits = argo_flags.label_selector(by_flag["selector"]) if by_flag.get("selector") else None
    name, namespace = _named(firing.action.get("resource"))
    if not name and fits is None:
        flags = " or a label selector in args" if "-l" in argo_flags.FLAGS[operation] else ""
        raise Permanent(f"argoWorkflow {operation} needs the workflow's metadata.name in its resource{flags}")
    priority = by_flag.get("priority")
    return Wish(
        operation=operation,
        name=name,
        namespace=namespace,
        fits=fits,
        parameters=parameters,
        retry=RetryOptions(
            by_flag.get("restart-successful") == "true",
            by_flag.get("node-field-selector", ""),
            parameters,
            firing.depth,
        ),
        priority=None if priority is None else argo_flags.whole_number("--priority", priority),
    )


def _named(resource: JsonValue) -> tuple[str, str]:
    if resource is None:
        return "", ""
    if not isinstance(resource, Mapping):
        raise Permanent("argoWorkflow resource must be an object with metadata.name")
    body = cast("Mapping[str, Any]", resource)
    if (kind := body.get("kind") or "Workflow") != "Workflow":
        raise Permanent(f"argoWorkflow acts on a Workflow that is there; its resource is a {kind}")
    metadata = body.get("metadata")
    if metadata is None:
        return "", ""
    if not isinstance(metadata, Mapping):
        raise Permanent("argoWorkflow resource: metadata must be an object")
    words = cast("Mapping[str, Any]", metadata)
    return str(words.get("name") or ""), str(words.get("namespace") or "")
