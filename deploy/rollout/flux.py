"""Flux: the Kustomization has applied the promotion's commit or one on top of it, and is ready.

Source: https://fluxcd.io/flux/components/kustomize/kustomizations/#kustomization-status
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, cast

from pydantic import Field

from deploy.rollout.check import Finding, Memory, ObjectSpec, Subject, objects, part, poke, steady, text, words
from deploy.rollout.tools import Tools
from retrain.errors import NotFound
from retrain.events import JsonValue
from retrain.kube import path_of

FOLLOWS = True
APPLIES = ("kustomize.toolkit.fluxcd.io", "v1", "kustomizations")
SOURCES = ("source.toolkit.fluxcd.io", "v1", "gitrepositories")
REQUEST = "reconcile.fluxcd.io/requestedAt"
OURS = frozenset({"BuildFailed", "HealthCheckFailed", "ReconciliationFailed", "PruneFailed", "InvalidCELExpression"})
"""Reasons of `Ready: False` that are about what is committed; the others are about servers, or other Kustomizations."""

_REVISION = re.compile(r"(?:.*[@/:])?([0-9a-f]{64}|[0-9a-f]{40})")


class Spec(ObjectSpec):
    """`kustomization` in `namespace`, whose source is a GitRepository of the promotion's repository.

    `refresh`: ask Flux once to look at the repository now; without it the interval is waited for.
    """

    kind: Literal["flux"]
    kustomization: str = Field(min_length=1, max_length=253)
    namespace: str = Field(default="flux-system", min_length=1, max_length=63)
    refresh: bool = True


def commit_of(revision: object) -> str:
    """The commit of a revision as Flux writes it: `main@sha1:...`, `sha1:...`, or `main/...` of older versions."""
    found = _REVISION.fullmatch(revision) if isinstance(revision, str) else None
    return found[1] if found else ""


async def ask(spec: Spec, subject: Subject, memory: Memory, tools: Tools) -> JsonValue:
    """The Kustomization and its source as they are, and which of their revisions follow the commit.

    Raises:
        NotFound, ConfigError: the Kustomization is not there, or may not be read.
        Transient: the API server or the repository is away.
    """
    cluster = await tools.cluster(spec.kubeconfig)
    one = await cluster.get(path_of(*APPLIES, spec.namespace, spec.kustomization))
    ref, status = part(one, "spec", "sourceRef"), part(one, "status")
    where = str(ref.get("namespace") or spec.namespace), str(ref.get("name") or "")
    source: Mapping[str, Any] = {}
    if ref.get("kind") == "GitRepository":
        try:
            source = await cluster.get(path_of(*SOURCES, *where))
        except NotFound as error:
            source = {"missing": words(error)}
    fetched = part(source, "status", "artifact").get("revision")
    seen = {commit_of(rev) for rev in (status.get("lastAppliedRevision"), status.get("lastAttemptedRevision"), fetched)}
    follows = [sha for sha in sorted(seen - {""}) if await tools.follows(sha)]
    answer: dict[str, Any] = {"follows": follows, **_kept(one, source)}
    if spec.refresh and "poked" not in memory and source and commit_of(fetched) not in follows:
        note = {REQUEST: subject.since.isoformat()}
        answer["poked"] = await poke(tools, spec.kubeconfig, path_of(*SOURCES, *where), note)
    return answer


def _kept(one: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    spec, status = part(one, "spec"), part(one, "status")
    return {
        "source": part(spec, "sourceRef").get("kind"),
        "suspended": spec.get("suspend") is True or part(source, "spec").get("suspend") is True,
        "checked": bool(spec.get("wait") or spec.get("healthChecks") or spec.get("healthCheckExprs")),
        "generation": part(one, "metadata").get("generation"),
        "observed": status.get("observedGeneration"),
        "applied": status.get("lastAppliedRevision"),
        "attempted": status.get("lastAttemptedRevision"),
        "conditions": status.get("conditions"),
        "missing": source.get("missing"),
        "fetched": part(source, "status", "artifact").get("revision"),
        "fetching": part(source, "status").get("conditions"),
    }


def condition(conditions: object, name: str) -> Mapping[str, Any]:
    """The condition of that type; empty where there is none."""
    return next((one for one in objects(conditions) if text(one, "type") == name), {})


def told(one: Mapping[str, Any]) -> str:
    """What a condition says, in words."""
    return ": ".join(filter(None, (words(one.get("reason")), words(one.get("message"))))) or "without a reason"


def judge(spec: Spec, subject: Subject, answer: JsonValue, memory: Memory, now: datetime) -> Finding:  # noqa: ARG001
    """Whether the Kustomization has applied the commit, and how it is."""
    found = part(answer)
    kept: dict[str, JsonValue] = {"poked": found["poked"]} if "poked" in found else {}
    follows = set(cast("list[str]", found.get("follows") or ()))
    verdict, reason, definite = _look(found, follows)
    ready = condition(found.get("conditions"), "Ready")
    figures: dict[str, JsonValue] = {
        "applied": found.get("applied"),
        "fetched": found.get("fetched"),
        "ready": ready.get("status"),
        "reason": ready.get("reason"),
    }
    if refused := kept.get("poked", memory.get("poked")):
        figures["refresh"] = refused
    return steady(spec, Finding(verdict, reason, figures, kept, definite), memory, now)


Look = tuple[Literal["pass", "fail", "error", "pending"], str, bool]


def _look(found: Mapping[str, Any], follows: set[str]) -> Look:
    if found.get("source") != "GitRepository":
        return "error", f"its source is {words(found.get('source'))!r}; only GitRepository is supported", True
    ready, stalled = (condition(found.get("conditions"), name) for name in ("Ready", "Stalled"))
    tried = commit_of(found.get("attempted")) in follows
    if tried and stalled.get("status") == "True":
        return "fail", f"stalled: {told(stalled)}", False
    if tried and ready.get("status") == "False" and text(ready, "reason") in OURS:
        return "fail", told(ready), False
    if commit_of(found.get("applied")) not in follows:
        return "pending", _not_here(found, follows), False
    if found.get("observed") != found.get("generation"):
        return "pending", "Flux has not seen the Kustomization's last change yet", False
    if ready.get("status") != "True":
        return "pending", f"not ready: {told(ready)}", False
    doubt = "" if found.get("checked") else "; it has neither wait nor healthChecks: nobody looked at what was applied"
    return "pass", f"applied {commit_of(found.get('applied'))[:7]} and ready{doubt}", False


def _not_here(found: Mapping[str, Any], follows: set[str]) -> str:
    if found.get("suspended"):
        return "not at the commit: it or its source is suspended"
    if found.get("missing"):
        return f"not at the commit: {found['missing']}"
    if commit_of(found.get("fetched")) not in follows:
        fetching = condition(found.get("fetching"), "Ready")
        why = f"; its source: {told(fetching)}" if fetching.get("status") == "False" else ""
        return f"not at the commit: its source has {words(found.get('fetched'), 60) or 'nothing'}{why}"
    ready = condition(found.get("conditions"), "Ready")
    return f"its source has the commit, it has applied {words(found.get('applied'), 60) or 'nothing'}: {told(ready)}"
