"""What the local engine refuses to run, by name, and what it passes over because it speaks to a cluster alone.

Nothing that would change a result is passed over in silence: a field is done, or refused, or named as ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipelines.spec import AnyDocument, written
from retrain.manifests import Problem

Path = tuple[str | int, ...]
CODE = "unsupported-field"
IGNORED = "cluster-only"

_SPEC = {"executorPlugins": "there is no pod of an agent to run it in"}
_TEMPLATE = {"plugin": "executor plugins need a cluster; a container or script can do the same"}
CONTAINER = {
    "lifecycle": "do in the command what must be done first or last",
    "livenessProbe": "use a timeout",
    "startupProbe": "use a readinessProbe",
    "volumeDevices": "block devices need a cluster; use volumeMounts",
    "restartPolicy": "use sidecars",
}
"""Fields of a container that would change how it runs or ends; `restartPolicy` only where it is Always."""
_STARTED_ONCE = {field: reason for field, reason in CONTAINER.items() if field != "restartPolicy"}
_LOCATIONS = {
    "azure": "use s3, gcs, http or raw",
    "oss": "use s3, which OSS speaks too",
    "hdfs": "use http, which WebHDFS speaks",
}

CLUSTER_SPEC = (
    "affinity", "automountServiceAccountToken", "dnsConfig", "dnsPolicy", "executor", "hostAliases", "hostNetwork",
    "imagePullSecrets", "nodeSelector", "podDisruptionBudget", "podPriority", "podPriorityClassName", "podResources",
    "podSpecPatch", "resourceClaims", "schedulerName", "securityContext", "tolerations",
)  # fmt: skip
"""Fields of a workflow that only say where and how a cluster runs its pods."""
CLUSTER_TEMPLATE = (
    "affinity", "automountServiceAccountToken", "executor", "hostAliases", "nodeSelector", "podResources",
    "podSpecPatch", "priority", "priorityClassName", "resourceClaims", "schedulerName", "securityContext",
    "serviceAccountName", "tolerations",
)  # fmt: skip


def unsupported(document: AnyDocument | Mapping[str, Any]) -> Iterator[Problem]:
    """Everything in a document (normalized, if a mapping) that the local engine refuses to run.

    Warnings: Argo itself would run it. The engine refuses to begin where there is one.
    """
    for spec, path in _specs(document):
        yield from _refused(spec, _SPEC, path)
        yield from _artifacts(spec.get("arguments"), (*path, "arguments"))
        for name, hook in (spec.get("hooks") or {}).items():
            yield from _artifacts(hook.get("arguments"), (*path, "hooks", name, "arguments"))
        for where, template in templates_of(spec):
            yield from unsupported_template(template, path + where)


def ignored(document: AnyDocument | Mapping[str, Any]) -> Iterator[Problem]:
    """One note for a document that has fields which mean something on a cluster only: they are kept for it."""
    for spec, path in _specs(document):
        names = [field for field in CLUSTER_SPEC if spec.get(field)]
        for _, template in templates_of(spec):
            names += [field for field in CLUSTER_TEMPLATE if template.get(field)]
        if names:
            fields = ", ".join(dict.fromkeys(names))
            yield Problem(path, IGNORED, f"for a cluster only, a local run passes over it: {fields}",
                          "warning")  # fmt: skip


def _specs(document: AnyDocument | Mapping[str, Any]) -> Iterable[tuple[Mapping[str, Any], Path]]:
    body = document if isinstance(document, Mapping) else written(document)
    spec: Mapping[str, Any] = body.get("spec") or {}
    inner: Mapping[str, Any] | None = spec.get("workflowSpec")
    return [(inner, ("spec", "workflowSpec"))] if inner is not None else [(spec, ("spec",))]


def templates_of(spec: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The templates of a spec with the paths below it; those written inline are parts of theirs."""
    for index, template in enumerate(spec.get("templates") or ()):
        yield ("templates", index), template
    if spec.get("templateDefaults"):
        yield ("templateDefaults",), spec["templateDefaults"]


def steps_of(template: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The steps or tasks of a template."""
    for index, group in enumerate(template.get("steps") or ()):
        for at, step in enumerate(group):
            yield ("steps", index, at), step
    for at, task in enumerate((template.get("dag") or {}).get("tasks") or ()):
        yield ("dag", "tasks", at), task


def containers_of(template: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every container of a template: its own, those of a set, before it and beside it."""
    for kind in ("container", "script"):
        if template.get(kind):
            yield (kind,), template[kind]
    for index, one in enumerate((template.get("containerSet") or {}).get("containers") or ()):
        yield ("containerSet", "containers", index), one
    for kind in ("initContainers", "sidecars"):
        for index, one in enumerate(template.get(kind) or ()):
            yield (kind, index), one


def unsupported_template(template: Mapping[str, Any], path: Path = ()) -> Iterator[Problem]:
    """The same for one template."""
    yield from _refused(template, _TEMPLATE, path)
    for side in ("inputs", "outputs"):
        yield from _artifacts(template.get(side), (*path, side))
    for where, container in containers_of(template):
        fields = CONTAINER if container.get("restartPolicy") == "Always" else _STARTED_ONCE
        yield from _refused(container, fields, path + where)
    for where, step in steps_of(template):
        yield from _artifacts(step.get("arguments"), (*path, *where, "arguments"))
        if step.get("inline"):
            yield from unsupported_template(step["inline"], (*path, *where, "inline"))


def _refused(part: Mapping[str, Any], fields: Mapping[str, str], path: Path) -> Iterator[Problem]:
    for field, reason in fields.items():
        if part.get(field):
            yield Problem((*path, field), CODE, f"{field} is not done by the local engine: {reason}", "warning")


def _artifacts(side: Mapping[str, Any] | None, path: Path) -> Iterator[Problem]:
    for index, artifact in enumerate((side or {}).get("artifacts") or ()):
        yield from _refused(artifact, _LOCATIONS, (*path, "artifacts", index))
