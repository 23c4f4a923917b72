"""Artifacts of a run, for whoever wants to have them: found by step and name, streamed as they lie."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from posixpath import basename
from typing import Any, BinaryIO

import anyio.to_thread
from sqlalchemy import Connection

from pipelines.artifacts.port import ArtifactRun, Artifacts
from pipelines.core.naming import pod_name
from retrain.errors import NotFound
from retrain.store import Store, run_outlines, runs
from retrain.store.runs import RunRow

CHUNK = 256 * 1024
BUCKETS = ("s3", "gcs")
FORMATS = ("key", "keyFormat", "keyPrefix")
"""What a location says of its keys, and not of its bucket."""


@dataclass(frozen=True, slots=True)
class Download:
    """The bytes of an artifact, and the name of a file for them."""

    name: str
    parts: AsyncGenerator[bytes]


async def download(store: Store, artifacts: Artifacts, run: RunRow, node: str, name: str) -> Download:
    """An output (else an input) artifact of a step; `node` is its id, name or display name, or the run's own name.

    An archive is not unpacked; what is kept as a directory comes as one tar.

    Raises:
        NotFound: the run has no such step, or the step no such artifact, or nothing lies there any more.
    """
    found = await store.read(lambda c: node_of(c, run, node))
    artifact = located(run, found, artifact_of(found, name))
    file = await anyio.to_thread.run_sync(artifacts.open, artifact, where_of(run, found))
    return Download(_file_name(artifact), _parts(file))


def where_of(run: RunRow, node: Mapping[str, Any]) -> ArtifactRun:
    """For whom artifacts of a step are opened."""
    return ArtifactRun(
        run_id=run.id,
        workflow=run.name,
        namespace=run.namespace,
        node_id=node["id"],
        pod_name=pod_name(run.name, node["name"], node.get("templateName") or ""),
        repository=_repository(run.manifest),
        uid=run.id,
    )


def located(run: RunRow, node: Mapping[str, Any], artifact: Mapping[str, Any]) -> Mapping[str, Any]:
    """An artifact with the place where it lies. Of a run on a cluster the executor has written into it no more than
    the key: the bucket is that of its template's `archiveLocation`, else of the repository that the run names.

    Source: `getArtifactAndDriver` of Argo's server/artifacts
    """
    if run.object is None:
        return artifact
    for place in (archive_location(run, node), _repository_there(run)):
        for kind in BUCKETS:
            if (there := place.get(kind)) is not None:
                return _in_bucket(artifact, kind, there)
    return artifact


def _in_bucket(artifact: Mapping[str, Any], kind: str, there: Mapping[str, Any]) -> Mapping[str, Any]:
    own: Mapping[str, Any] = artifact.get(kind) or {}
    says_all = own.get("bucket") and (kind == "gcs" or own.get("endpoint"))
    if says_all or not own.get("key"):
        return artifact
    bucket = {key: value for key, value in there.items() if key not in FORMATS}
    return {**artifact, kind: {**bucket, "key": own["key"]}}


def archive_location(run: RunRow, node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `archiveLocation` of a step's template, as the cluster has it."""
    there: Mapping[str, Any] = run.object or {}
    status: Mapping[str, Any] = there.get("status") or {}
    spec = status.get("storedWorkflowTemplateSpec") or there.get("spec") or run.manifest.get("spec") or {}
    template = _stored(status, node) or _of_name(spec, node.get("templateName"))
    defaults: Mapping[str, Any] = spec.get("templateDefaults") or {}
    return template.get("archiveLocation") or defaults.get("archiveLocation") or {}


def _stored(status: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A template that the controller has taken from a WorkflowTemplate."""
    scope, name = str(node.get("templateScope") or ""), str(node.get("templateName"))
    if reference := node.get("templateRef"):
        kind = "cluster" if reference.get("clusterScope") else "namespaced"
        scope, name = f"{kind}/{reference.get('name')}", str(reference.get("template"))
    return (status.get("storedTemplates") or {}).get(f"{scope}/{name}")


def _of_name(spec: Mapping[str, Any], name: object) -> Mapping[str, Any]:
    templates: Sequence[Mapping[str, Any]] = spec.get("templates") or ()
    return next((one for one in templates if one.get("name") == name), {})


def _repository_there(run: RunRow) -> Mapping[str, Any]:
    status: Mapping[str, Any] = (run.object or {}).get("status") or {}
    return (status.get("artifactRepositoryRef") or {}).get("artifactRepository") or {}


def _repository(manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
    spec: Mapping[str, Any] = manifest.get("spec") or {}
    return spec.get("artifactRepositoryRef")


async def _parts(file: BinaryIO) -> AsyncGenerator[bytes]:
    try:
        while part := await anyio.to_thread.run_sync(file.read, CHUNK):
            yield part
    finally:
        file.close()


def node_of(connection: Connection, run: RunRow, which: str) -> Mapping[str, Any]:
    """The step of this id, else the one of this name or display name.

    Raises:
        NotFound: there is none, or there are several.
    """
    if (found := run_outlines.node(connection, run.id, which)) is not None:
        return found
    nodes = runs.load_nodes(connection, run.id)
    fitting = [one for one in nodes.values() if which in {one["name"], one.get("displayName")}]
    if not fitting:
        raise NotFound(f"{run.name} has no step {which!r}; `retrain runs get {run.name}` shows them")
    if len(fitting) > 1:
        raise NotFound(f"{run.name} has {len(fitting)} steps {which!r}; say the id of one: {fitting[0]['id']}, ...")
    return fitting[0]


def artifact_of(node: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An output (else an input) artifact of a step.

    Raises:
        NotFound: it has none of this name.
    """
    known: list[str] = []
    for part in ("outputs", "inputs"):
        artifacts: Sequence[Mapping[str, Any]] = (node.get(part) or {}).get("artifacts") or ()
        for one in artifacts:
            if one.get("name") == name:
                return one
            known.append(str(one.get("name")))
    there = ", ".join(known) or "none"
    raise NotFound(f"{node.get('displayName')} has no artifact {name!r}; there are {there}")


def _file_name(artifact: Mapping[str, Any]) -> str:
    """The last part of where it lies, else its name: one that is safe in a header and on a disk."""
    place: Mapping[str, Any] = artifact.get("s3") or artifact.get("gcs") or artifact.get("http") or {}
    key = str(place.get("key") or place.get("url") or "").rstrip("/")
    name = basename(key.partition("?")[0]) or str(artifact.get("name"))
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name).lstrip(".") or "artifact"
