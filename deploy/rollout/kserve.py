"""KServe: the InferenceService in the cluster names the promoted model, has loaded it, and is ready.

Source: https://kserve.github.io/website/docs/reference/crd-api (InferenceServiceStatus, ModelStatus)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, cast

from pydantic import Field

from deploy.rollout.check import Finding, Memory, ObjectSpec, Subject, objects, part, steady, text, words
from deploy.rollout.flux import condition, told
from deploy.rollout.tools import Tools
from retrain.events import JsonValue
from retrain.kube import path_of

FOLLOWS = True
SERVICES = ("serving.kserve.io", "v1beta1", "inferenceservices")
LOST = frozenset({"BlockedByFailedLoad", "InvalidSpec"})
GIVEN_UP = frozenset({"RevisionFailed", "ProgressDeadlineExceeded"})
"""Reasons of a condition that is False after which nothing more is tried."""
MOST = 50


class Spec(ObjectSpec):
    """`service` in `namespace`. It must name a model that the commit wrote (the candidate's uri)."""

    kind: Literal["kserve"]
    service: str = Field(min_length=1, max_length=253)
    namespace: str = Field(default="default", min_length=1, max_length=63)


async def ask(spec: Spec, subject: Subject, memory: Memory, tools: Tools) -> JsonValue:  # noqa: ARG001 - all kinds'
    """The InferenceService as it is.

    Raises:
        NotFound, ConfigError: it is not there, or may not be read.
        Transient: the API server is away.
    """
    one = await (await tools.cluster(spec.kubeconfig)).get(path_of(*SERVICES, spec.namespace, spec.service))
    status = part(one, "status")
    return {
        "uris": list(uris(one.get("spec")))[:MOST],
        "generation": part(one, "metadata").get("generation"),
        "observed": status.get("observedGeneration"),
        "model": dict(part(status, "modelStatus")),
        "conditions": status.get("conditions"),
    }


def uris(value: object) -> Iterator[str]:
    """Every address of a model in a spec: `storageUri`, and `uri` among `storageUris`."""
    if isinstance(value, list):
        for one in cast("list[Any]", value):
            yield from uris(one)
    for name, inner in part(value).items():
        if name == "storageUri" and isinstance(inner, str):
            yield inner
        elif name == "storageUris" and isinstance(inner, list):
            yield from (uri for one in objects(cast("object", inner)) if (uri := text(one, "uri")))
        else:
            yield from uris(inner)


def judge(spec: Spec, subject: Subject, answer: JsonValue, memory: Memory, now: datetime) -> Finding:
    """Whether it is the promoted model that is live, and loaded."""
    found = part(answer)
    verdict, reason = _look(found, subject)
    model = part(found, "model")
    figures: dict[str, JsonValue] = {
        "uri": ",".join(_named(found)) or None,
        "ready": condition(found.get("conditions"), "Ready").get("status"),
        "transition": model.get("transitionStatus"),
    }
    forget: dict[str, JsonValue] = {"bad": None} if verdict == "pending" else {}
    return steady(spec, Finding(verdict, reason, figures, forget), memory, now)


def _look(found: Mapping[str, Any], subject: Subject) -> tuple[Literal["pass", "fail", "pending"], str]:
    there = _named(found)
    wanted = [value for value in subject.values if value in there]
    if not wanted:
        return "pending", f"it names {', '.join(words(one, 100) for one in there) or 'no model'}, not the promoted one"
    if found.get("observed") is not None and found.get("observed") != found.get("generation"):
        return "pending", "KServe has not seen its last change yet"
    model, conditions = part(found, "model"), found.get("conditions")
    if text(model, "transitionStatus") in LOST:
        return "fail", f"{model['transitionStatus']}{_failure(model)}"
    if given_up := next((one for one in _not_true(conditions) if text(one, "reason") in GIVEN_UP), None):
        return "fail", f"{given_up.get('type')}: {told(given_up)}"
    if condition(conditions, "Ready").get("status") != "True":
        return "pending", f"not ready: {told(condition(conditions, 'Ready'))}"
    if waiting := next(iter(_not_true(conditions)), None):
        return "pending", f"{waiting.get('type')} is {waiting.get('status')}: {told(waiting)}"
    if model and model.get("transitionStatus") != "UpToDate":
        return "pending", f"its model is {model.get('transitionStatus') or 'of unknown state'}"
    return "pass", f"ready with {words(wanted[0], 200)}"


def _named(found: Mapping[str, Any]) -> list[str]:
    named = found.get("uris")
    return [str(one) for one in cast("list[Any]", named)] if isinstance(named, list) else []


def _not_true(conditions: object) -> list[Mapping[str, Any]]:
    return [one for one in objects(conditions) if text(one, "status") != "True" and text(one, "type") != "Stopped"]


def _failure(model: Mapping[str, Any]) -> str:
    info = part(model, "lastFailureInfo")
    said = ": ".join(filter(None, (words(info.get("reason")), words(info.get("message")))))
    return f": {said}" if said else ""
