"""Objects of the `k8s` trigger without a cluster: the engine's own runs, shown as Workflows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from pipelines.host import control
from retrain.errors import Permanent, Refused
from retrain.events import JsonValue
from retrain.store import runs
from retrain.store.runs import RunRow
from triggers.argo_workflow import record_run
from triggers.object_change import adjusted, check_labels, difference, merged, overlaid, patched, shown
from triggers.object_policy import read_policy
from triggers.object_request import JSON, MERGE, Request, read_request
from triggers.port import Firing, Later, Tools
from triggers.workflow_request import finished


class LocalObjects:
    """The engine's runs as objects."""

    topic = "runs"

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def record(self, connection: Connection, firing: Firing, now: datetime) -> JsonValue | Later:
        """Write down what is asked; once only, whatever happens.

        The result: `{"run", "name"}` of a new run, else `{"object", "changed": [...]}`.

        Raises:
            Permanent: what is asked for cannot be here; the message says what.
        """
        request = read_request(firing)
        _check_kind(request)
        run = runs.named(connection, request.name, request.namespace) if request.operation != "create" else None
        match request.operation:
            case "delete":
                return _delete(connection, request, run)
            case "update" | "patch" if run is not None and run.firing_id != firing.id:
                if read_policy(firing.action.get("policy")) is not None:
                    raise Permanent(f"policy.k8s goes with what makes an object; {request.name} was there")
                return _change(connection, run, _wanted(request, run))
            case _:
                _check_new(request)
                return record_run(connection, finished(request.body, firing), firing, self._tools, now)


def _check_kind(request: Request) -> None:
    kind, version = request.body["kind"], str(request.body.get("apiVersion") or "argoproj.io/v1alpha1")
    if kind != "Workflow" or not version.startswith("argoproj.io/"):
        raise Permanent(
            f"k8s: the local engine has Workflows only, and {kind} of {version} needs a Kubernetes cluster; "
            "to run something here, create a Workflow"
        )
    if request.operation == "patch" and request.strategy not in {MERGE, JSON}:
        raise Permanent(
            f"k8s patchStrategy {request.strategy} is not for a Workflow: Kubernetes refuses it for its custom "
            f"resources; use {MERGE}"
        )


def _check_new(request: Request) -> None:
    if request.operation == "patch" and request.strategy == JSON:
        raise Permanent(f"k8s: there is no Workflow {request.name!r} to make a JSON patch to")
    if request.live is not None:
        raise Permanent(f"k8s: there is no Workflow {request.name!r}, and liveObject changes one that is there")
    metadata = request.body["metadata"]
    if not metadata.get("name") and not metadata.get("generateName"):
        raise Permanent("k8s: the object has neither metadata.name nor metadata.generateName")


def _wanted(request: Request, run: RunRow) -> dict[str, Any]:
    now = shown(run)
    if request.live is not None:
        return adjusted(now, request.live)
    if request.operation == "update":
        return overlaid(now, request.body)
    if request.strategy == JSON:
        return patched(now, request.body.get("patch"))
    # Where the sensor says nothing of the namespace, the run's own is meant.
    return merged(now, request.body)


def _change(connection: Connection, run: RunRow, wanted: dict[str, Any]) -> JsonValue:
    change = difference(run, wanted)
    for verb in change.verbs:
        try:
            control.ask(connection, run, verb)
        except Refused as error:
            raise Permanent(str(error)) from error
    changed: list[str] = list(change.verbs)
    if change.labels is not None:
        check_labels(run, change.labels)
        runs.relabel(connection, run.id, change.labels)
        changed.append("labels")
    return {"object": run.name, "id": run.id, "changed": changed}


def _delete(connection: Connection, request: Request, run: RunRow | None) -> JsonValue:
    """A run that is open ends at once. What is known of it stays: it is the history of what it led to."""
    if run is None:
        return {"object": request.name, "changed": []}
    ended = runs.ask(connection, run.id, "terminate")
    return {"object": run.name, "id": run.id, "changed": ["terminate"] if ended else []}
