"""What a Workflow of a cluster says of itself. Pure."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from retrain.errors import Permanent

ENDED = frozenset({"Succeeded", "Failed", "Error"})
MAX_NODES = 512 * 1024 * 1024
"""Bytes of unpacked nodes that are taken: a megabyte may unpack to a thousand."""
_OFFLOADED = (
    "the controller keeps the nodes of this run in its database (offloadNodeStatusVersion {0}); they cannot be read "
    "here, so only the whole is shown"
)


def unpacked(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """The Workflow with its nodes, which the controller packs where there are many.

    Nodes that lie in Argo's database are named in `status.message`.

    Raises:
        Permanent: what is packed is no mapping of nodes.
    """
    status = dict(workflow.get("status") or {})
    metadata = {key: value for key, value in (workflow.get("metadata") or {}).items() if key != "managedFields"}
    if packed := status.pop("compressedNodes", ""):
        status["nodes"] = _nodes(packed)
    elif version := offloaded(status):
        said = str(status.get("message") or "")
        status["message"] = f"{said}; {_OFFLOADED.format(version)}" if said else _OFFLOADED.format(version)
    status.setdefault("phase", "Pending")
    return {**workflow, "metadata": metadata, "status": status}


def offloaded(status: Mapping[str, Any]) -> str:
    """The version of a Workflow's nodes in Argo's database; empty where the object has them itself."""
    has_nodes = status.get("nodes") or status.get("compressedNodes")
    return "" if has_nodes else str(status.get("offloadNodeStatusVersion") or "")


def has_ended(workflow: Mapping[str, Any]) -> bool:
    """Whether nothing more will happen to it."""
    return (workflow.get("status") or {}).get("phase") in ENDED


def _nodes(packed: str) -> dict[str, Any]:
    try:
        # 16: with a gzip header
        unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
        body = unpacking.decompress(base64.b64decode(packed, validate=True), MAX_NODES)
        nodes = orjson.loads(body)
    except (binascii.Error, zlib.error, orjson.JSONDecodeError) as error:
        raise Permanent(f"status.compressedNodes cannot be read: {error}") from error
    if not isinstance(nodes, dict) or not unpacking.eof:
        raise Permanent("status.compressedNodes is no mapping of nodes, or has too many")
    return nodes
