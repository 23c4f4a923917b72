"""Which kinds of document there are, and who reads each: the one place where an apiVersion meets a stage's model.

Models are imported when the first document of their kind comes, so that a command that reads one kind starts fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, cast

from pydantic import BaseModel

from retrain.app.projects import plugins
from retrain.manifests import Document, Finding, Kinds, Problem, Severity, is_ours, validate
from retrain.manifests.advice import nearest

ARGO = "argoproj.io/v1alpha1"
OURS = "retrain.dev/v1"

Naming = Literal["name", "advised", "generateName"]
"""Whether a kind must have a name, should have one (upstream's linter lets it pass), or may have either of the two."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind is read: `model` of `module`, then the module's `check`. No module: the document is let through."""

    module: str | None = None
    model: str = ""
    unknown: Severity = "error"
    naming: Naming = "name"
    together: bool = False
    """Checked by `check_workflows` when all documents are there, not by itself."""
    note: str = ""
    """What to warn of whenever such a document comes."""
    group: str = ""
    """The entry-point group whose kinds it may name."""


NO_BUS = "files choose no bus, RETRAIN_BUS_URL does; on a cluster its status says which it means"

KINDS: dict[tuple[str, str], Kind] = {
    # Kubernetes drops unknown fields of these two in silence; manifests that rely on it load.
    (ARGO, "EventSource"): Kind("eventsources.spec", "EventSourceDocument", unknown="warning"),
    (ARGO, "Sensor"): Kind("sensors.spec", "SensorDocument", unknown="warning"),
    (ARGO, "EventBus"): Kind(note=NO_BUS),
    (OURS, "EventSource"): Kind("eventsources.spec", "EventSourceDocument", group=plugins.SOURCES),
    (OURS, "Sensor"): Kind("sensors.spec", "SensorDocument", group=plugins.TRIGGERS),
    (OURS, "Promotion"): Kind("deploy.spec", "PromotionDocument", group=plugins.GATES),
    (ARGO, "Workflow"): Kind("pipelines.spec", "WorkflowDocument", naming="generateName", together=True),
    (ARGO, "WorkflowTemplate"): Kind("pipelines.spec", "WorkflowTemplateDocument", naming="advised", together=True),
    (ARGO, "ClusterWorkflowTemplate"): Kind(
        "pipelines.spec", "WorkflowTemplateDocument", naming="advised", together=True
    ),
    (ARGO, "CronWorkflow"): Kind("pipelines.spec", "CronWorkflowDocument", together=True),
    (ARGO, "WorkflowEventBinding"): Kind("pipelines.spec", "WorkflowEventBindingDocument", together=True),
    ("v1", "ConfigMap"): Kind("retrain.manifests.core", "ConfigMapDocument"),
    ("v1", "Secret"): Kind("retrain.manifests.core", "SecretDocument"),
    ("v1", "PersistentVolumeClaim"): Kind("retrain.manifests.core", "VolumeClaimDocument"),
}

_NEIGHBOURS = frozenset(
    {
        *("Application", "ApplicationSet", "AppProject", "ArgoCD", "NotificationsConfiguration"),
        *("Rollout", "AnalysisRun", "AnalysisTemplate", "ClusterAnalysisTemplate", "Experiment"),
        *("WorkflowTaskSet", "WorkflowTaskResult", "WorkflowArtifactGCTask"),
    }
)
"""Kinds of argoproj.io that belong to Argo CD, to Argo Rollouts, or to the inside of Argo Workflows."""


@dataclass(frozen=True, slots=True)
class Item:
    """A document with its model; None where the kind is let through."""

    document: Document
    model: Any


Changed = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""A document's body as it is submitted, of the one that is written."""


def bodies(items: Iterable[Item]) -> list[dict[str, Any]]:
    """The documents as they were written."""
    return [item.document.body for item in items]


def build(document: Document, installed: Mapping[str, Kinds] | None = None) -> tuple[Item | None, list[Finding]]:
    """Read a document by its kind. None if a finding is an error, or the document is not for us.

    `installed`: plugins' kinds by group, to share between documents what was looked up.
    """
    key = (document.api_version, document.kind)
    kind = KINDS.get(key)
    if kind is None:
        return None, [_unknown_kind(document)]
    findings = [document.finding(p) for p in _general(document, kind)]
    if kind.module is None:
        return Item(document, None), findings
    module = import_module(kind.module)
    kinds = (installed or plugins.installed()).get(kind.group)
    shape = cast("type[BaseModel]", getattr(module, kind.model))
    model, wrong = validate(document, shape, unknown=kind.unknown, kinds=kinds)
    findings += wrong
    if model is not None and not kind.together:
        check = cast("Callable[[BaseModel], Iterable[Problem]]", module.check)
        findings += [document.finding(problem) for problem in check(model)]
    failed = any(f.severity == "error" for f in findings)
    return None if failed else Item(document, model), findings


def check_workflows(items: Sequence[Item], beside: Sequence[Item], changed: Changed | None = None) -> Iterator[Finding]:
    """What is wrong with workflows and templates, as upstream's linter sees it with all of `beside` in the cluster.

    What only our own engine cannot run yet is a warning here: Argo may run it. `retrain run` refuses it. `changed`:
    a Workflow as it is submitted, of the one that is written.
    """
    if not items:
        return
    from pipelines.checks.advice import advise
    from pipelines.checks.workflow import check, unsupported
    from pipelines.core.plan import Catalog
    from pipelines.spec import normalize

    catalog = Catalog.of(item.document.body for item in beside)
    for item in items:
        submitted = item.model
        if changed is not None and item.document.kind == "Workflow":
            submitted = changed(item.document.body)
        yield from (item.document.finding(problem) for problem in check(submitted, catalog))
        body = normalize(item.document.body)
        yield from (item.document.finding(problem) for problem in (*unsupported(body), *advise(body)))


def _general(document: Document, kind: Kind) -> Iterable[Problem]:
    if kind.note:
        yield Problem(("kind",), "ignored-kind", kind.note, "warning")
    metadata = document.body.get("metadata")
    fields: dict[str, Any] = metadata if isinstance(metadata, dict) else {}
    if fields.get("name"):
        return
    path = ("metadata", "name")
    if kind.naming == "name":
        yield Problem(path, "missing-name", f"metadata.name is missing; every {document.kind} has one")
    elif kind.naming == "advised":
        message = "metadata.name is missing; nothing can refer to it, and Kubernetes would refuse it"
        yield Problem(path, "missing-name", message, "warning")
    elif not fields.get("generateName"):
        message = "neither metadata.name nor metadata.generateName; Kubernetes would refuse it, locally it gets a name"
        yield Problem(path, "missing-name", message, "warning")


def _unknown_kind(document: Document) -> Finding:
    version, kind = document.api_version, document.kind
    if not is_ours(version, kind) or (version.startswith("argoproj.io/") and kind in _NEIGHBOURS):
        message = f"{kind} of {version} is not a kind of ours; it is passed over"
        return document.finding(Problem(("kind",), "foreign-kind", message, "warning"))
    if versions := [v for v, k in KINDS if k == kind]:
        return document.finding(
            Problem(("apiVersion",), "unknown-kind", f"{kind} has apiVersion {' or '.join(versions)}, not {version!r}")
        )
    kinds = [k for v, k in KINDS if v == version] or list(dict.fromkeys(k for _, k in KINDS))
    near = nearest(kind, kinds)
    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(kinds)}"
    return document.finding(Problem(("kind",), "unknown-kind", f"unknown kind {kind!r} of {version}; {hint}"))
