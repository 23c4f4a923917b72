"""What people ask of a Workflow on a cluster, as the change of its object by which `argo` does it. Pure.

A change is made of the object as it is and gives the object as it shall be; `patching` makes a patch of the two. What
may not be asked is refused in the same words as of a local run.

Source: `SuspendWorkflow`, `ResumeWorkflow`, `StopWorkflow`, `SetWorkflow` of Argo's workflow/util.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pipelines.core.happenings import Resume, SetNodes, Stop, Suspend
from pipelines.core.node_selector import compile_selector
from pipelines.core.nodes import Inputs, Node, Phase, to_rfc3339
from pipelines.core.supplied import Supplied, check_supplied, defaults, supplied_outputs
from pipelines.kubernetes.patching import Object
from pipelines.kubernetes.reading import has_ended
from retrain.errors import ConfigError, Refused

Request = Stop | Suspend | Resume | SetNodes


def needs_nodes(request: Request) -> bool:
    """Whether the change is one of nodes: then it wants the whole object."""
    return not (isinstance(request, Suspend) or (isinstance(request, Stop) and not request.selector))


def asked(workflow: Object, request: Request, now: datetime) -> Object:
    """The Workflow as it is once the request is done. Asking twice is asking once.

    Raises:
        Refused: it is over, or is to end already.
        ConfigError: a selector cannot be read or chooses no node that waits, or a value does not fit.
    """
    match request:
        case Stop() if not request.selector:
            return _ending(workflow, request.strategy)
        case Suspend():
            _check_goes_on(workflow, "suspend")
            return _with_spec(workflow, suspend=True)
        case Resume() if not request.selector:
            _check_goes_on(workflow, "resume")
            return _ended(_with_spec(workflow, suspend=None), _waiting(workflow, ""), request, now)
        case _:
            return _nodes_asked(workflow, request, now)


def _ending(workflow: Object, strategy: str) -> Object:
    verb = strategy.lower()
    _check_open(workflow, verb)
    if _shutdown(workflow) == "Terminate" and strategy != "Terminate":
        raise Refused(f"{_name(workflow)} was asked to terminate already; it cannot be asked to {verb}")
    return _with_spec(workflow, shutdown=strategy)


def _check_goes_on(workflow: Object, verb: str) -> None:
    _check_open(workflow, verb)
    if shutdown := _shutdown(workflow):
        raise Refused(f"{_name(workflow)} was asked to {shutdown.lower()} already; it cannot be asked to {verb}")


def _check_open(workflow: Object, verb: str) -> None:
    if has_ended(workflow):
        raise Refused(f"{_name(workflow)} is over ({workflow['status']['phase']}); there is nothing to {verb}")


# --- suspended nodes --------------------------------------------------------------------------------------------------


def _nodes_asked(workflow: Object, request: Resume | SetNodes | Stop | Suspend, now: datetime) -> Object:
    assert not isinstance(request, Suspend)
    if has_ended(workflow):
        raise Refused(f"{_name(workflow)} is over ({workflow['status']['phase']}); none of its nodes waits")
    chosen = _waiting(workflow, request.selector)
    if not chosen:
        no_one = f"no suspended node matches: {request.selector}" if request.selector else "none of its nodes waits"
        raise ConfigError(no_one)
    return _ended(workflow, chosen, request, now)


def _waiting(workflow: Object, selector: str) -> Sequence[Object]:
    """The suspended nodes that a selector matches; all of them for none.

    Raises:
        ConfigError: it cannot be read.
    """
    fits = compile_selector(selector) if selector else None
    nodes: Mapping[str, Object] = (workflow.get("status") or {}).get("nodes") or {}
    waiting = [node for node in nodes.values() if node.get("type") == "Suspend" and node.get("phase") == "Running"]
    return [node for node in waiting if fits is None or fits(Node.from_argo(node))]


def _ended(workflow: Object, chosen: Sequence[Object], request: Resume | SetNodes | Stop, now: datetime) -> Object:
    """
    Raises:
        ConfigError: a value does not fit, or one is missing; of every node.
    """
    changed: dict[str, Object] = {}
    wrong: list[str] = []
    for node in chosen:
        try:
            changed[node["id"]] = _changed(node, request, now)
        except ConfigError as error:
            wrong.append(f"{node.get('displayName') or node['name']}: {error}")
    if wrong:
        raise ConfigError("\n".join(wrong))
    if not changed:
        return workflow
    status = {**workflow["status"], "nodes": {**workflow["status"]["nodes"], **changed}}
    if isinstance(request, SetNodes):
        status |= _globals(status, changed.values(), request.outputs.parameters)
    return {**workflow, "status": status}


def _changed(node: Object, request: Resume | SetNodes | Stop, now: datetime) -> Object:
    match request:
        case Resume():
            said = request.message or (f"Resumed by: map[User:{request.by}]" if request.by else "")
            message = "; ".join(part for part in (str(node.get("message") or ""), said) if part)
            return _over(_filled(node, {}), Phase.Succeeded, message, now)
        case Stop():
            return _over(node, Phase.Failed, request.message, now)
        case SetNodes():
            return _set(node, request, now)


def _set(node: Object, request: SetNodes, now: datetime) -> Object:
    expected = _expected(node)
    given = request.outputs.parameters
    again = [one["name"] for one in _parameters(node) if one["name"] in given and not _is_supplied(one)]
    if again:
        raise ConfigError(f"output parameter '{again[0]}' was already set")
    check_supplied(expected, given)
    message = request.message or str(node.get("message") or "")
    if request.phase is Phase.Succeeded:
        return _over(_filled(node, given), request.phase, message, now)
    changed = _with_values(node, given)
    if request.phase is not None:
        return _over(changed, request.phase, message, now)
    return {**changed, "message": message} if message else changed


def _filled(node: Object, given: Mapping[str, str | None]) -> Object:
    """With all values that a suspension must have at its end."""
    values = defaults(_expected(node), given)
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise ConfigError(f"output parameter '{missing[0]}' has no value and no default: set it first")
    return _with_values(node, values)


def _expected(node: Object) -> tuple[Supplied, ...]:
    """The outputs that a person is still to supply. A node's `inputs` and `outputs` are in a template's shape."""
    return supplied_outputs(node, Inputs.from_argo(node.get("inputs")))


def _with_values(node: Object, given: Mapping[str, str | None]) -> Object:
    if not given:
        return node
    parameters = [
        {**{key: said for key, said in one.items() if key != "valueFrom"}, "value": given[one["name"]]}
        if given.get(one["name"]) is not None
        else one
        for one in _parameters(node)
    ]
    return {**node, "outputs": {**node["outputs"], "parameters": parameters}}


def _over(node: Object, phase: Phase, message: str, now: datetime) -> Object:
    said = {"message": message} if message else {}
    return {**node, "phase": str(phase), "finishedAt": to_rfc3339(now), **said}


def _globals(status: Object, changed: Any, given: Mapping[str, str | None]) -> Object:
    """The outputs of the workflow, with the values just given that have a `globalName`."""
    values = {
        one["globalName"]: one["value"]
        for node in changed
        for one in _parameters(node)
        if one.get("globalName") and one["name"] in given
    }
    if not values:
        return {}
    outputs: Object = status.get("outputs") or {}
    rest = [one for one in outputs.get("parameters") or () if one["name"] not in values]
    return {"outputs": {**outputs, "parameters": [*rest, *({"name": k, "value": v} for k, v in values.items())]}}


def _parameters(node: Object) -> Sequence[Object]:
    return (node.get("outputs") or {}).get("parameters") or ()


def _is_supplied(parameter: Object) -> bool:
    return (parameter.get("valueFrom") or {}).get("supplied") is not None


# --- the object -------------------------------------------------------------------------------------------------------


def _with_spec(workflow: Object, **words: Any) -> Object:
    """With other words in `spec`; None takes one away."""
    spec: Object = {**(workflow.get("spec") or {}), **words}
    return {**workflow, "spec": {key: value for key, value in spec.items() if value is not None}}


def _shutdown(workflow: Object) -> str:
    return str((workflow.get("spec") or {}).get("shutdown") or "")


def _name(workflow: Object) -> str:
    return str(workflow["metadata"]["name"])
