"""What changes an object of a cluster: the difference of two states of it, as the smallest merge patch. Pure.

A patch names the version that it was made for, so that a change in between is a Conflict and not overwritten. Nodes
that the controller has packed are packed again: there they are changed as a whole.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from typing import Any, cast

import orjson

from pipelines.kubernetes.reading import offloaded, unpacked
from retrain.errors import Refused

Object = dict[str, Any]
MAX_OBJECT = 1024 * 1024
"""Bytes of a Workflow as JSON, beyond which Argo's controller packs its nodes."""


def whole(found: Mapping[str, Any]) -> Object:
    """A Workflow with all of its nodes, for whoever wants to change them.

    Raises:
        Refused: they are not in the object.
        Permanent: what is packed cannot be read.
    """
    status: Mapping[str, Any] = found.get("status") or {}
    if version := offloaded(status):
        raise Refused(
            f"{found['metadata']['name']}: its nodes lie in Argo's database (offloadNodeStatusVersion {version}); "
            "only Argo's own server reaches them there: `argo` with ARGO_SERVER can do this"
        )
    phase = status.get("phase")
    taken = unpacked(found)
    if not phase:
        taken["status"].pop("phase")
    return taken


def is_packed(found: Mapping[str, Any]) -> bool:
    """Whether the controller has packed its nodes."""
    return bool((found.get("status") or {}).get("compressedNodes"))


def patch_to(before: Mapping[str, Any], wanted: Mapping[str, Any], *, pack: bool) -> Object | None:
    """The patch that makes `wanted` of an object; None if it is so already. `pack`: its nodes were packed."""
    patch = merge_patch(before, wanted)
    if not patch:
        return None
    if "nodes" in (patch.get("status") or {}) and (pack or _size(wanted) > MAX_OBJECT):
        # What was not packed before is taken away; what was packed has none.
        patch["status"] |= {"nodes": None, "compressedNodes": packed(wanted["status"].get("nodes") or {})}
    return {**patch, "metadata": {**(patch.get("metadata") or {}), "resourceVersion": _version(before)}}


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> Object:
    """What RFC 7386 makes `new` of `old` with; empty for what is the same. No value in `new` may be null."""
    patch: Object = {key: None for key in old if key not in new and old[key] is not None}
    for key, value in new.items():
        before = old.get(key)
        if value == before:
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            patch[key] = merge_patch(cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", value))
        else:
            patch[key] = value
    return patch


def packed(nodes: Mapping[str, Any]) -> str:
    """Nodes as the controller packs them: JSON, gzip, base64."""
    return base64.b64encode(gzip.compress(orjson.dumps(nodes), mtime=0)).decode()


def _version(found: Mapping[str, Any]) -> str:
    return str(found["metadata"]["resourceVersion"])


def _size(wanted: Mapping[str, Any]) -> int:
    return len(orjson.dumps(wanted))
