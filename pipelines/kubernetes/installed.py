"""What a cluster has of Argo Workflows: its version, and the templates that a Workflow names."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import anyio

from pipelines.kubernetes import versions
from pipelines.kubernetes.submission import API_VERSION
from pipelines.kubernetes.versions import Version
from retrain.errors import NotFound, Permanent, RetrainError, Transient
from retrain.kube import Cluster, Denied, KindMissing, NamespaceMissing, path_of
from retrain.log import get_logger

AGAIN_S = 3600.0
"""Seconds for which a version counts; a cluster is not upgraded more often."""
SOON_S = 60.0
"""Seconds for which it counts that a version cannot be told, or that a template is there."""

NOBODY_NOW = "nobody now"
"""Who tells a version while the server is away; the one that was told before still counts."""

log = get_logger()


class Installed:
    """What is known of a cluster's Argo Workflows; asked when it is needed first, then now and then."""

    def __init__(self) -> None:
        self._version: Version | None = None
        self._ask_at = 0.0
        self._asking = anyio.Lock()
        self._there: dict[str, float] = {}

    async def version(self, cluster: Cluster, namespace: str) -> Version | None:
        """Its version, as the first says it that may be asked: the controller's Deployment, the definition of
        Workflows, a pod of a workflow of this namespace. None where none does: a new one, probably."""
        if time.monotonic() < self._ask_at:
            return self._version
        async with self._asking:
            if time.monotonic() >= self._ask_at:
                found, how = await _find(cluster, namespace)
                if how == NOBODY_NOW:
                    found = self._version
                if found != self._version or self._ask_at == 0.0:
                    log.info("cluster.argo", version=str(found or "unknown"), told_by=how)
                self._version = found
                self._ask_at = time.monotonic() + (AGAIN_S if found and how != NOBODY_NOW else SOON_S)
        return self._version

    async def check_template(self, cluster: Cluster, workflow: Mapping[str, Any], namespace: str) -> None:
        """Whether the template that the whole Workflow is of is there. Where that may not be asked, its controller says
        it.

        Raises:
            Permanent: it is not.
            NotFound: the cluster has no Argo Workflows.
            Transient: the server is away.
        """
        ref: Mapping[str, Any] = (workflow.get("spec") or {}).get("workflowTemplateRef") or {}
        name, in_all = str(ref.get("name") or ""), ref.get("clusterScope") is True
        if not name:
            return
        path = template_path(name, namespace, in_all=in_all)
        if self._there.get(path, 0.0) > time.monotonic():
            return
        try:
            await cluster.get(path)
        except Denied:
            pass
        except (KindMissing, NamespaceMissing):
            raise
        except NotFound as error:
            kind = "ClusterWorkflowTemplate" if in_all else "WorkflowTemplate"
            where = "on the cluster" if in_all else f"in the cluster's namespace {namespace}"
            raise Permanent(
                f"there is no {kind} {name!r} {where}: templates of this project's folder are not applied by "
                f"themselves; apply it with kubectl, and redrive this"
            ) from error
        self._there = {one: until for one, until in self._there.items() if until > time.monotonic()}
        self._there[path] = time.monotonic() + SOON_S


def template_path(name: str, namespace: str, *, in_all: bool) -> str:
    """Where a template is."""
    group, version = API_VERSION.split("/")
    plural = "clusterworkflowtemplates" if in_all else "workflowtemplates"
    return path_of(group, version, plural, "" if in_all else namespace, name)


async def _find(cluster: Cluster, namespace: str) -> tuple[Version | None, str]:
    """The version, and who has told it."""
    for ask in (_by_name, _by_label, _by_definition, _by_pod):
        try:
            if found := await ask(cluster, namespace):
                return found, ask.__doc__ or ""
        except Transient:
            return None, NOBODY_NOW
        except RetrainError:  # it may not be asked, or is not there
            continue
    return None, "nobody"


async def _by_name(cluster: Cluster, _namespace: str) -> Version | None:
    """its controller's Deployment, as Argo's own manifests name it"""
    query = {"fieldSelector": "metadata.name=workflow-controller"}
    return versions.of_deployments(await _items(cluster, path_of("apps", "v1", "deployments"), query))


async def _by_label(cluster: Cluster, _namespace: str) -> Version | None:
    """its controller's Deployment, as its Helm chart labels it"""
    query = {"labelSelector": "app.kubernetes.io/component=workflow-controller"}
    return versions.of_deployments(await _items(cluster, path_of("apps", "v1", "deployments"), query))


async def _by_definition(cluster: Cluster, _namespace: str) -> Version | None:
    """the fields of the definition of Workflows"""
    path = path_of("apiextensions.k8s.io", "v1", "customresourcedefinitions", "", "workflows.argoproj.io")
    return versions.of_definition(await cluster.get(path))


async def _by_pod(cluster: Cluster, namespace: str) -> Version | None:
    """the executor in a pod of a workflow"""
    query = {"labelSelector": "workflows.argoproj.io/workflow", "limit": "5"}
    return versions.of_pods(await _items(cluster, path_of("", "v1", "pods", namespace), query))


async def _items(cluster: Cluster, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
    found: Any = (await cluster.get(path, query)).get("items")
    return found or []
