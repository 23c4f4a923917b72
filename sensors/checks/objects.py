"""What is wrong with what a `k8s` trigger says of its object: how it is changed, when it has ended, what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pipelines.agents.conditions import compile_condition
from pipelines.agents.kubepath import compile_kubepath
from retrain.manifests import Problem
from sensors.checks.filters import Where, compiles
from sensors.checks.triggers import Scope
from sensors.trigger_spec import K8s, K8sPolicy

JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
STRATEGIES = ("application/merge-patch+json", JSON, STRATEGIC, "application/apply-patch+yaml")
FOREIGN = frozenset({"sparkoperator.k8s.io", "snapshot.storage.k8s.io", "metrics.k8s.io"})
OURS = ("successCondition", "failureCondition", "outputs", "track")
OUR_POLICY = ("conditions", "jsonPath")
ENDS = ("successCondition", "failureCondition", "outputs")


def check_object(body: K8s, here: Where, scope: Scope) -> Iterator[Problem]:
    """Every problem of a `k8s` template beside its source and its parameters."""
    yield from _of_ours(body, OURS, here, scope)
    yield from _check_strategy(body, here)
    if body.live_object and body.operation != "update":
        message = "liveObject is of the operation update; here it changes nothing"
        yield Problem((*here, "liveObject"), "ignored-field", message, "warning")
    yield from _check_end(body, here)
    if body.source is not None and isinstance(body.source.resource, dict):
        yield from _check_resource(body, body.source.resource, (*here, "source", "resource"))


def check_policy(policy: K8sPolicy, here: Where, scope: Scope) -> Iterator[Problem]:
    """Every problem of `policy.k8s`."""
    yield from _of_ours(policy, OUR_POLICY, here, scope)
    if not policy.labels and not policy.conditions and not policy.json_path:
        yield Problem((*here, "labels"), "missing-field", "policy.k8s waits for labels, and names none")
    for path in policy.json_path or ():
        yield from _reads(compile_kubepath, path, (*here, "jsonPath", path))


def _of_ours(one: Any, fields: tuple[str, ...], here: Where, scope: Scope) -> Iterator[Problem]:
    written = {str(type(one).model_fields[name].alias) for name in one.model_fields_set}
    for name in fields:
        if not scope.ours and name in written:
            message = f"{name} is a field of retrain.dev/v1; Argo Events drops it"
            yield Problem((*here, name), "not-portable", message, "warning")


def _check_strategy(body: K8s, here: Where) -> Iterator[Problem]:
    strategy = body.patch_strategy
    if strategy and strategy not in STRATEGIES:
        message = f"patchStrategy {strategy!r} is none of {', '.join(STRATEGIES)}"
        yield Problem((*here, "patchStrategy"), "wrong-value", message)
    elif strategy and body.operation != "patch":
        message = f"patchStrategy is of the operation patch; with {body.operation or 'create'} it changes nothing"
        yield Problem((*here, "patchStrategy"), "ignored-field", message, "warning")


def _check_end(body: K8s, here: Where) -> Iterator[Problem]:
    yield from _reads(compile_condition, body.success_condition, (*here, "successCondition"))
    yield from _reads(compile_condition, body.failure_condition, (*here, "failureCondition"))
    for name, path in (body.outputs or {}).items():
        yield from _reads(compile_kubepath, path, (*here, "outputs", name))
    said = [
        name
        for name, value in zip(ENDS, (body.success_condition, body.failure_condition, body.outputs), strict=True)
        if value
    ]
    for name in said:
        if body.operation == "delete" or body.track is False:
            why = "a deletion" if body.operation == "delete" else "track: false"
            message = f"with {why} nobody follows the object to its end: {name} changes nothing"
            yield Problem((*here, name), "ignored-field", message, "warning")
    if body.failure_condition and not body.success_condition:
        message = "without a successCondition the run never succeeds; it ends when the failureCondition holds"
        yield Problem((*here, "failureCondition"), "never-true", message, "warning")


def _reads(compiled: Callable[[str], object], text: str, at: Where) -> Iterator[Problem]:
    if text:
        yield from compiles(compiled, text, at, "bad-condition")


def _check_resource(body: K8s, resource: dict[str, Any], at: Where) -> Iterator[Problem]:
    if body.operation != "patch":
        return
    group = str(resource.get("apiVersion") or "").rpartition("/")[0]
    if body.patch_strategy == STRATEGIC and not _is_built_in(group):
        message = f"Kubernetes knows strategic patches of its own kinds alone, and not of {group}; take {STRATEGIES[0]}"
        yield Problem((*at, "apiVersion"), "wrong-value", message)
    is_filled = isinstance(resource.get("patch"), list) or any(one.dest.startswith("patch") for one in body.parameters)
    if body.patch_strategy == JSON and not is_filled:
        yield Problem((*at, "patch"), "missing-field", "a JSON patch stands under patch, as a list of operations")


def _is_built_in(group: str) -> bool:
    """Whether a group is Kubernetes' own; some others end like those."""
    return "." not in group or (group.endswith(".k8s.io") and group not in FOREIGN)
