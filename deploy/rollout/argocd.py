"""Argo CD: the Application is synced to the promotion's commit or one on top of it, that is over, and it is healthy.

`Healthy` alone is the state of the commit before. Read from the Application object by the Kubernetes API: no Argo CD
API server, no token of its own.

Source: https://argo-cd.readthedocs.io/en/stable/operator-manual/application.yaml, and a controller of v3.2 watched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, cast

from pydantic import Field

from deploy.rollout.check import (
    SKEW,
    Finding,
    Memory,
    ObjectSpec,
    Subject,
    moment,
    objects,
    part,
    poke,
    steady,
    text,
    words,
)
from deploy.rollout.tools import Tools
from retrain.events import JsonValue
from retrain.kube import path_of

FOLLOWS = True
GROUP, VERSION, PLURAL = "argoproj.io", "v1alpha1", "applications"
REFRESH = {"argocd.argoproj.io/refresh": "normal"}
COMPLAINTS = frozenset({"ComparisonError", "InvalidSpecError"})
KEPT = ("sync", "health", "operationState", "conditions", "reconciledAt")

_MANIFESTS = re.compile(
    r"manifest generation error|failed to unmarshal|error converting yaml|kustomize build|helm template|jsonnet|"
    r"app path does not exist",
    re.IGNORECASE,
)
"""What a comparison fails with because of what is committed. Anything else may be the network's or a server's fault."""


class Spec(ObjectSpec):
    """`application` in `namespace` is deployed from the promotion's repository.

    `refresh`: tell Argo CD once that there is a new commit; without it that takes up to three minutes.
    """

    kind: Literal["argocd"]
    application: str = Field(min_length=1, max_length=253)
    namespace: str = Field(default="argocd", min_length=1, max_length=63)
    refresh: bool = True


async def ask(spec: Spec, subject: Subject, memory: Memory, tools: Tools) -> JsonValue:  # noqa: ARG001 - all kinds'
    """The Application as it is, and which of its revisions follow the commit.

    Raises:
        NotFound, ConfigError: it is not there, or may not be read.
        Transient: the API server or the repository is away.
    """
    path = path_of(GROUP, VERSION, PLURAL, spec.namespace, spec.application)
    app = await (await tools.cluster(spec.kubeconfig)).get(path)
    status = part(app, "status")
    seen = {*revisions(part(status, "sync")), *operated(status)}
    follows = [one for one in sorted(seen) if await tools.follows(one)]
    answer: dict[str, Any] = {"follows": follows, "spec": _spec(app), "status": {k: status.get(k) for k in KEPT}}
    if spec.refresh and "poked" not in memory and not set(revisions(part(status, "sync"))) & set(follows):
        answer["poked"] = await poke(tools, spec.kubeconfig, path, REFRESH)
    return answer


def _spec(app: Mapping[str, Any]) -> dict[str, Any]:
    spec = part(app, "spec")
    automated = spec.get("syncPolicy") and part(spec, "syncPolicy").get("automated") is not None
    enabled = part(spec, "syncPolicy", "automated").get("enabled") is not False
    return {"hydrated": "sourceHydrator" in spec, "automated": bool(automated and enabled)}


def revisions(one: Mapping[str, Any]) -> list[str]:
    """The revisions of a sync or its result: of one source, or of several."""
    many = one.get("revisions")
    found = cast("list[Any]", many) if isinstance(many, list) else [one.get("revision")]
    return [each for each in found if each and isinstance(each, str)]


def operated(status: Mapping[str, Any]) -> list[str]:
    """What the last operation was for."""
    done = revisions(part(status, "operationState", "syncResult"))
    return done or revisions(part(status, "operationState", "operation", "sync"))


def judge(spec: Spec, subject: Subject, answer: JsonValue, memory: Memory, now: datetime) -> Finding:
    """Whether the Application has come to the commit, and how it is there."""
    found = part(answer)
    kept: dict[str, JsonValue] = {"poked": found["poked"]} if "poked" in found else {}
    follows = set(cast("list[str]", found.get("follows") or ()))
    verdict, reason, definite = _look(part(found, "spec"), part(found, "status"), follows, subject)
    status = part(found, "status")
    if verdict == "pending" and part(status, "health").get("status") != "Degraded":
        kept |= {} if _complaints(status) else {"bad": None}
    figures = _figures(status) | ({"refresh": refused} if (refused := kept.get("poked", memory.get("poked"))) else {})
    return steady(spec, Finding(verdict, reason, figures, kept, definite), memory, now)


Look = tuple[Literal["pass", "fail", "error", "pending"], str, bool]


def _look(spec: Mapping[str, Any], status: Mapping[str, Any], follows: set[str], subject: Subject) -> Look:
    """The verdict of one look, why, and whether it is one for good."""
    if spec.get("hydrated"):
        return "error", "spec.sourceHydrator is not supported: what is synced is another branch's commit", True
    sync, operation = part(status, "sync"), part(status, "operationState")
    here = bool(follows.intersection(revisions(sync)))
    if bad := next(_blamed(status, here, subject), None):
        return "fail", bad, False
    phase = text(operation, "phase")
    if phase in {"Failed", "Error"} and follows.intersection(operated(status)):
        return "fail", f"the sync of {_short(operated(status))} {phase.lower()}: {_said(operation)}", True
    if not here:
        return "pending", _not_here(spec, status), False
    if sync.get("status") != "Synced":
        return "pending", _not_synced(spec, status), False
    if phase in {"Running", "Terminating"}:
        return "pending", f"the sync of {_short(revisions(sync))} is not over: {_said(operation)}", False
    return _health(status)


def _health(status: Mapping[str, Any]) -> Look:
    health, at = part(status, "health"), _short(revisions(part(status, "sync")))
    match text(health, "status"):
        case "Healthy":
            return "pass", f"Synced at {at} and Healthy", False
        case "Degraded":
            return "fail", f"Degraded at {at}{_because(health)}", False
        case other:
            return "pending", f"Synced at {at}, but {other or 'of unknown health'}{_because(health)}", False


def _complaints(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in objects(status.get("conditions")) if text(one, "type") in COMPLAINTS]


def _blamed(status: Mapping[str, Any], here: bool, subject: Subject) -> Iterator[str]:
    """Complaints that are about what was committed: at the commit, or (a failed comparison names none) since then."""
    for one in _complaints(status):
        at = moment(one.get("lastTransitionTime"))
        message = words(one.get("message"))
        since = here or (at is not None and at >= subject.since - SKEW)
        if since and (text(one, "type") == "InvalidSpecError" or _MANIFESTS.search(message)):
            yield f"{one.get('type')}: {message}"


def _not_here(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    if complaints := _complaints(status):
        return f"not at the commit; {complaints[0].get('type')}: {words(complaints[0].get('message'))}"
    at = _short(revisions(part(status, "sync"))) or "nothing"
    return f"not at the commit: Argo CD looks at {at}" + _by_hand(spec)


def _not_synced(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    sync = part(status, "sync")
    told = f"{text(sync, 'status') or 'not compared'} at {_short(revisions(sync))}"
    operation = part(status, "operationState")
    phase = text(operation, "phase")
    if phase and set(operated(status)) & set(revisions(sync)):  # not that of the commit before
        return f"{told}; {phase}: {_said(operation)}"
    return told + _by_hand(spec)


def _by_hand(spec: Mapping[str, Any]) -> str:
    return "" if spec.get("automated") else "; the Application does not sync by itself, somebody must"


def _said(operation: Mapping[str, Any]) -> str:
    return words(operation.get("message")) or "without a message"


def _because(health: Mapping[str, Any]) -> str:
    return f" ({words(health.get('message'))})" if health.get("message") else ""


def _short(many: Sequence[str]) -> str:
    return ", ".join(one[:7] if re.fullmatch(r"[0-9a-f]{40,64}", one) else words(one, 40) for one in many)


def _figures(status: Mapping[str, Any]) -> dict[str, JsonValue]:
    sync, operation = part(status, "sync"), part(status, "operationState")
    found: dict[str, JsonValue] = {
        "sync": sync.get("status"),
        "revision": ",".join(revisions(sync)) or None,
        "health": part(status, "health").get("status"),
        "operation": operation.get("phase"),
    }
    return found | ({"retries": operation["retryCount"]} if operation.get("retryCount") else {})
