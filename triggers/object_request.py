"""What a `k8s` firing asks for, read from its action; and the object that is made of it. Pure.

The names of what is made follow from the firing, and its labels say where it comes from. When it ends, and what comes
of it, stands in its annotations, so that whoever sees the object knows.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from pipelines.agents.conditions import compile_condition
from pipelines.agents.kubepath import compile_kubepath
from pipelines.kubernetes.kinds import kind_of
from pipelines.kubernetes.kinds.conditioned import FAILURE, OUTPUTS, SUCCESS, TRACK
from pipelines.kubernetes.sightings import RUN
from pipelines.kubernetes.submission import MANAGED_BY
from retrain.errors import ConfigError, Permanent
from retrain.events import JsonValue
from triggers.port import CREATED, Firing
from triggers.workflow_request import finished, run_id_of

Operation = Literal["create", "update", "patch", "delete"]
OPERATIONS: tuple[Operation, ...] = ("create", "update", "patch", "delete")
TRACKING = ("successCondition", "failureCondition", "outputs", "track")
FIELDS = frozenset(
    {"kind", "operation", "patchStrategy", "liveObject", "live", "resource", "retryStrategy", "policy", CREATED}
) | frozenset(TRACKING)
MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
STRATEGIES = (MERGE, JSON, STRATEGIC, APPLY)


@dataclass(frozen=True, slots=True)
class Request:
    """What a `k8s` firing asks for: `body` is the object; `strategy` the content type of a patch.

    `live`: parameters that are put into the object as it is on the cluster; None where that is not asked for.
    """

    operation: Operation
    body: dict[str, Any]
    strategy: str
    live: tuple[Mapping[str, Any], ...] | None = None

    @property
    def name(self) -> str:
        return str(self.body["metadata"].get("name") or "")

    @property
    def namespace(self) -> str:
        return str(self.body["metadata"].get("namespace") or "")


def read_request(firing: Firing) -> Request:
    """What a `k8s` firing asks for.

    Raises:
        Permanent: a field is not known, or the object is none.
    """
    action = firing.action
    if unknown := sorted(set(action) - FIELDS):
        raise Permanent(f"k8s.{unknown[0]} is not supported by this trigger; take it out of the sensor")
    operation = action.get("operation") or "create"
    if operation not in OPERATIONS:
        raise Permanent(f"k8s operation {operation!r} is unknown; there are {', '.join(OPERATIONS)}")
    strategy = action.get("patchStrategy") or MERGE
    if strategy not in STRATEGIES:
        raise Permanent(f"k8s patchStrategy {strategy!r} is unknown; there are {', '.join(STRATEGIES)}")
    request = Request(operation, _object(action.get("resource")), str(strategy), _live(action, operation))
    if operation != "create" and not request.name:
        raise Permanent(f"k8s {operation} needs the object's metadata.name")
    return request


def _object(resource: JsonValue) -> dict[str, Any]:
    if not isinstance(resource, Mapping):
        raise Permanent("k8s has no resource; write the object under source.resource")
    # The firing's action stays as it was recorded.
    body: dict[str, Any] = copy.deepcopy(dict(cast("Mapping[str, Any]", resource)))
    if not body.get("kind"):
        raise Permanent("k8s: the object has no kind")
    body.setdefault("metadata", {})
    for part in ("metadata", "spec"):
        if body.get(part) is None:
            body.pop(part, None)
        elif not isinstance(body[part], dict):
            raise Permanent(f"k8s: {part} of the object must be an object")
    body.setdefault("metadata", {})
    return body


def _live(action: Mapping[str, JsonValue], operation: str) -> tuple[Mapping[str, Any], ...] | None:
    if not action.get("liveObject") or operation != "update":
        return None  # lint says that it changes nothing
    steps: Any = action.get("live") or ()
    return tuple(cast("Sequence[Mapping[str, Any]]", steps))


def made_of(request: Request, firing: Firing) -> dict[str, Any]:
    """The object to create: with the name, labels and annotations that its firing gives it.

    Raises:
        Permanent: its metadata is none, or a condition cannot be read.
    """
    body = copy.deepcopy(request.body)
    metadata: dict[str, Any] = body["metadata"]
    if not metadata.get("name") and not metadata.get("generateName"):
        metadata["generateName"] = f"{str(body['kind']).lower()}-"
    if said := tracking_of(firing.action):
        written: Any = metadata.get("annotations")
        metadata["annotations"] = {**(written if isinstance(written, dict) else {}), **said}
    finished(body, firing)
    metadata = body["metadata"]
    metadata.pop("generateName", None)  # a name was made of it
    metadata["labels"] |= {MANAGED_BY: "retrain"} | ({RUN: run_id_of(firing.id)} if kind_of(body) else {})
    return body


def tracking_of(action: Mapping[str, JsonValue]) -> dict[str, str]:
    """The annotations by which an object says when it ends and what comes of it.

    Raises:
        Permanent: a condition or a path cannot be read.
    """
    said: dict[str, str] = {}
    for field, name in (("successCondition", SUCCESS), ("failureCondition", FAILURE)):
        if text := action.get(field):
            said[name] = _readable(f"k8s.{field}", compile_condition, text)
    if outputs := action.get("outputs"):
        if not isinstance(outputs, Mapping):
            raise Permanent("k8s.outputs is an object: the name of each output, and its jsonPath")
        paths = {str(key): _readable(f"k8s.outputs.{key}", compile_kubepath, path) for key, path in outputs.items()}
        said[OUTPUTS] = json.dumps(paths)
    if action.get("track") is False:
        said[TRACK] = "false"
    return said


def _readable(where: str, compiled: Any, text: JsonValue) -> str:
    try:
        compiled(str(text))
    except ConfigError as error:
        raise Permanent(f"{where}: {error}") from error
    return str(text)
