"""What a cluster's API does to an object before it keeps it: checks it, and fills in `metadata`.

Source: the API reference of Kubernetes for ConfigMap, Secret and PersistentVolumeClaim.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, cast
from uuid import NAMESPACE_URL, uuid5

from pipelines.agents.objects import KINDS, MADE_BY, Body, Ref, values_of
from pipelines.agents.port import Owner
from pipelines.core.nodes import to_rfc3339
from retrain.errors import ConfigError

PLURALS = {
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "Workflow": "workflows.argoproj.io",
}
"""Kinds as messages of a cluster name them."""

OF_FILES = ("WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "WorkflowEventBinding")
"""Kinds that are documents of the project, and nothing that a step makes."""

MAX_BYTES = 1024 * 1024
"""Of the data of one ConfigMap or Secret."""

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")


@dataclass(frozen=True, slots=True)
class Maker:
    """Who creates an object, and when."""

    owner: Owner
    now: datetime

    @property
    def mark(self) -> str:
        """What the maker recognises his own by."""
        return f"{self.owner.run_id}/{self.owner.node_id}"


def kind_of(manifest: Mapping[str, Any]) -> str:
    """The kind of a manifest that can be had locally.

    Raises:
        ConfigError: it has none, another `apiVersion`, or needs a cluster.
    """
    kind, version = str(manifest.get("kind") or ""), str(manifest.get("apiVersion") or "")
    if not kind or not version:
        raise ConfigError("the manifest needs apiVersion and kind")
    if {**KINDS, "Workflow": "argoproj.io/v1alpha1"}.get(kind) != version:
        raise not_held(f"{kind} of {version}", kind)
    return kind


def not_held(shown: str, kind: str) -> ConfigError:
    """Why there is no such object here."""
    if kind in OF_FILES:
        return ConfigError(f"{shown} is a document of the project, not made by steps; put it beside the workflow")
    there = ", ".join(sorted({*KINDS, "Workflow"}))
    return ConfigError(f"{shown} needs a cluster; locally there are {there}")


def ref_in(manifest: Mapping[str, Any], maker: Maker) -> Ref:
    """Which object a manifest is about. A `generateName` always gives the same name to the same node.

    Raises:
        ConfigError: there is no name, or none that an object can have, or it names another namespace.
    """
    kind = kind_of(manifest)
    metadata = metadata_of(manifest)
    name = str(metadata.get("name") or "")
    if not name and metadata.get("generateName"):
        name = str(metadata["generateName"]) + _letters(f"{maker.mark}/{kind}", 5)
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{kind}: {name!r} is no name: lower-case letters, digits, '-' and '.', 253 of them at most")
    namespace = metadata.get("namespace")
    if namespace and namespace != maker.owner.namespace:
        raise ConfigError(
            f"{kind} {name} is of namespace {namespace}, the run of {maker.owner.namespace}: "
            "locally a project is one namespace"
        )
    return Ref(kind, name)


def metadata_of(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Its metadata, which may be missing."""
    found = manifest.get("metadata") or {}
    if not isinstance(found, Mapping):
        raise ConfigError("metadata is no map")
    return cast("Mapping[str, Any]", found)


def created(manifest: Mapping[str, Any], ref: Ref, maker: Maker) -> dict[str, Any]:
    """The object that comes of a manifest."""
    metadata = {key: value for key, value in metadata_of(manifest).items() if key != "generateName"}
    annotations = {**(metadata.get("annotations") or {}), MADE_BY: maker.mark}
    filled: dict[str, Any] = {
        **metadata,
        "name": ref.name,
        "namespace": maker.owner.namespace,
        "uid": str(uuid5(NAMESPACE_URL, f"{maker.mark}/{ref.kind}/{ref.name}")),
        "creationTimestamp": to_rfc3339(maker.now),
        "annotations": annotations,
    }
    if maker.owner.owned:
        filled["ownerReferences"] = [*(metadata.get("ownerReferences") or ()), owner_reference(maker.owner)]
    body = {**manifest, "apiVersion": manifest["apiVersion"], "kind": ref.kind, "metadata": filled}
    if ref.kind == "PersistentVolumeClaim":
        body["status"] = {"phase": "Bound"}
    return admitted(body)


def owner_reference(owner: Owner) -> dict[str, Any]:
    """What `setOwnerReference` adds."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def kept_identity(live: Body, body: Mapping[str, Any]) -> dict[str, Any]:
    """A changed object with what no change can change of it.

    Raises:
        ConfigError: the object is immutable and its data changed.
    """
    fixed = {
        key: value
        for key, value in metadata_of(live).items()
        if key in {"name", "namespace", "uid", "creationTimestamp"}
    }
    out = admitted({**body, "apiVersion": live["apiVersion"], "kind": live["kind"],
                    "metadata": {**metadata_of(body), **fixed}})  # fmt: skip
    if live["kind"] == "PersistentVolumeClaim":
        out["status"] = live.get("status") or {"phase": "Bound"}
    if live.get("immutable") and (not out.get("immutable") or values_of(live) != values_of(out)):
        raise ConfigError(f"{live['kind']} {fixed.get('name')} is immutable: its data cannot be changed")
    return out


def admitted(body: Mapping[str, Any]) -> dict[str, Any]:
    """The object as it is kept.

    Raises:
        ConfigError: the API would not take it.
    """
    kind = str(body["kind"])
    if kind == "PersistentVolumeClaim":
        return dict(body)
    out = dict(body)
    data = _texts(body, "data")
    if kind == "Secret":
        plain = _texts(body, "stringData")
        data |= {key: b64encode(value.encode()).decode() for key, value in plain.items()}
        out.pop("stringData", None)
        out.setdefault("type", "Opaque")
    if data:
        out["data"] = data
    size = sum(len(key) + len(value) for key, value in data.items())
    if size > MAX_BYTES:
        raise ConfigError(f"{kind} {metadata_of(body).get('name')}: its data are {size} bytes, {MAX_BYTES} are allowed")
    values_of(out)
    return out


def _texts(body: Mapping[str, Any], field: str) -> dict[str, str]:
    found = body.get(field) or {}
    if not isinstance(found, Mapping):
        raise ConfigError(f"{body['kind']}: {field} is no map")
    for key, value in cast("Mapping[Any, Any]", found).items():
        if not isinstance(value, str):
            raise ConfigError(f"{body['kind']}: {field}.{key} is no text; put it in quotes")
        if not _KEY.fullmatch(str(key)):
            raise ConfigError(f"{body['kind']}: {field}.{key}: a key has letters, digits, '-', '_' and '.'")
    return dict(cast("Mapping[str, str]", found))


def _letters(seed: str, count: int) -> str:
    number = int.from_bytes(sha256(seed.encode()).digest()[:8])
    letters: list[str] = []
    for _ in range(count):
        number, at = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[at])
    return "".join(letters)
