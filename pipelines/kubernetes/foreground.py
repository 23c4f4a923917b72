"""Runs one workflow on a cluster and stays with it to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from pipelines.kubernetes.creating import put
from pipelines.kubernetes.following import follow
from pipelines.kubernetes.installed import Installed
from pipelines.kubernetes.reading import unpacked
from pipelines.kubernetes.spelling import spelled
from pipelines.kubernetes.submission import path_to, terminated, to_object
from retrain.errors import NotFound, Refused, Transient
from retrain.kube import Cluster, path_of

NODE_ID = "workflows.argoproj.io/node-id"
EXECUTORS = " argo=true"
"""In what Argo's executor says in a step's log."""
WORKFLOW = "workflows.argoproj.io/workflow"


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """A workflow to run, and what it needs beside it: templates, ConfigMaps, Secrets, claims, in that order."""

    manifest: Mapping[str, Any]
    name: str
    namespace: str
    labels: Mapping[str, str]
    beside: Sequence[Mapping[str, Any]] = ()

    @property
    def wanted(self) -> dict[str, Any]:
        """The object to create."""
        return to_object(self.manifest, self.name, self.namespace, self.labels)


async def submit(cluster: Cluster, run: ClusterRun, *, dry_run: bool = False) -> dict[str, Any]:
    """Put what it needs and then itself there; the object as the server has stored it. The same again is no error.

    What it needs is applied as `kubectl apply --server-side` does it, and nothing that others manage is taken over.

    Raises:
        Refused: another Workflow has its name, or an object is another's.
        ConfigError, Transient: the server does not take it, or is away.
    """
    for body in run.beside:
        await _apply(cluster, body, run.namespace, dry_run=dry_run)
    version = await Installed().version(cluster, run.namespace)
    return await put(cluster, spelled(run.wanted, version), dry_run=dry_run)


async def _apply(cluster: Cluster, body: Mapping[str, Any], namespace: str, *, dry_run: bool) -> None:
    resource = await cluster.resource(body["apiVersion"], body["kind"])
    metadata: Mapping[str, Any] = body.get("metadata") or {}
    if not metadata.get("name"):
        raise Refused(f"a {body['kind']} without metadata.name cannot be applied; give it one")
    where = str(metadata.get("namespace") or namespace)
    await cluster.patch(resource.at(where, metadata["name"]), body, "apply", dry_run=dry_run)


async def watch_to_end(
    cluster: Cluster,
    submitted: dict[str, Any],
    see: Callable[[dict[str, Any]], object],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The Workflow as it ended. `see` is called with it after each change.

    Raises:
        NotFound: it was deleted before its end was seen.
    """
    latest = unpacked(submitted)
    async with aclosing(follow(cluster, submitted, say)) as changes:
        async for found in changes:
            latest = unpacked(found)
            see(latest)
    return latest


async def terminate(cluster: Cluster, submitted: Mapping[str, Any]) -> None:
    """End it at once, without its exit handlers."""
    metadata = submitted["metadata"]
    with suppress(NotFound):
        await cluster.patch(path_to(metadata["namespace"], metadata["name"]), terminated())


async def end_of_log(cluster: Cluster, workflow: Mapping[str, Any], node_id: str, lines: int) -> str:
    """The end of what a step's main container has printed; "" where its pod is gone or says nothing."""
    metadata = workflow["metadata"]
    query = {"labelSelector": f"{WORKFLOW}={metadata['name']}"}
    async with aclosing(cluster.pages(path_of("", "v1", "pods", metadata["namespace"]), query)) as pages:
        async for pods, _version in pages:
            for pod in pods:
                if (pod["metadata"].get("annotations") or {}).get(NODE_ID) == node_id:
                    return await _log(cluster, pod["metadata"], lines)
    return ""


async def _log(cluster: Cluster, pod: Mapping[str, Any], lines: int) -> str:
    asked = {"container": "main", "tailLines": str(lines + 1)}
    try:
        said = await cluster.text(path_of("", "v1", "pods", pod["namespace"], pod["name"], "log"), asked)
    except (NotFound, Refused, Transient):  # a container that never began has no log
        return ""
    return "\n".join([line for line in said.splitlines() if EXECUTORS not in line][-lines:])
