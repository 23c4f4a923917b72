"""What the API server is told of an object: `lint`'s findings, as a refusal or as warnings. Pure.

Only what is wrong with the object itself counts. What it refers to may come a moment later: `kubectl apply -f DIR` goes
by the names of the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from retrain.app.projects.project import project_of
from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.manifests import Finding, Loaded
from retrain.manifests.objects import TOO_DEEP, document_of, too_deep

API = "admission.k8s.io/v1"
BETWEEN = frozenset(
    {
        *("unknown-source", "unknown-template", "unknown-promotion", "unknown-environment", "template-reference"),
        *("missing-name", "foreign-kind", "ignored-kind"),
    }
)
"""Findings that are about other objects, or about what the API server sees to itself."""
MOST = 20
"""Findings that one answer has at most."""
WARNING = 250
"""Characters of a warning: kubectl is given no more than 256 of each."""
ASKED = frozenset({"CREATE", "UPDATE"})


def answered(review: Any) -> dict[str, JsonValue]:
    """The AdmissionReview that answers one.

    Raises:
        ConfigError: it is no AdmissionReview with an object that can be read.
    """
    request = _mapping(_mapping(review).get("request"))
    uid = request.get("uid")
    if _mapping(review).get("kind") != "AdmissionReview" or not isinstance(uid, str):
        raise ConfigError(f"this is no AdmissionReview of {API}: kind or request.uid is missing")
    response = {"uid": uid, **_judged(request)}
    return {"apiVersion": API, "kind": "AdmissionReview", "response": response}


def _judged(request: Mapping[str, Any]) -> dict[str, JsonValue]:
    found = _mapping(request.get("object"))
    if request.get("operation") not in ASKED or _mapping(found.get("metadata")).get("deletionTimestamp"):
        return {"allowed": True}
    findings = findings_of(found)
    errors = [one for one in findings if one.severity == "error"]
    warnings = [one for one in findings if one.severity != "error"]
    if errors and not _says_the_same(found, _mapping(request.get("oldObject"))):
        status: JsonValue = {"code": 422, "reason": "Invalid", "message": _text(errors)}
        return {"allowed": False, "status": status, **_warned(warnings)}
    return {"allowed": True, **_warned([*errors, *warnings])}


def findings_of(found: Mapping[str, Any]) -> list[Finding]:
    """What `lint` says of an object by itself.

    Raises:
        ConfigError: it has no apiVersion and kind.
    """
    if not all(isinstance(found.get(name), str) for name in ("apiVersion", "kind")):
        raise ConfigError("request.object has no apiVersion and kind")
    document = document_of(found, "object")
    if too_deep(found):
        return [document.finding(TOO_DEEP)]
    project = project_of(Loaded(("object",), (), (document,), ()))
    return [one for one in project.findings if one.code not in BETWEEN]


def _says_the_same(found: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """A change that makes nothing worse: an object that was there before the webhook can still be labelled, or let go.

    The object itself is asked for, so that it can be annotated; what it says is its spec.
    """
    return bool(before) and found.get("spec") == before.get("spec") and found.get("kind") == before.get("kind")


def _text(errors: Sequence[Finding]) -> str:
    lines = [said(one) for one in errors[:MOST]]
    if len(errors) > MOST:
        lines.append(f"and {len(errors) - MOST} more; `retrain lint FILE` says all of them")
    return "\n".join(lines)


def _warned(findings: Iterable[Finding]) -> dict[str, JsonValue]:
    lines = [_cut(said(one)) for one in findings][:MOST]
    return {"warnings": cast("list[JsonValue]", lines)} if lines else {}


def said(finding: Finding) -> str:
    """A finding with its path: `spec.triggers[0].template: what is wrong; what would be right`."""
    return f"{finding.path}: {finding.message}" if finding.path else finding.message


def _cut(text: str) -> str:
    return text if len(text) <= WARNING else text[: WARNING - 1] + "…"


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
