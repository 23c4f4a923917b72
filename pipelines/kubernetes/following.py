"""Watching a Workflow to its end, through whatever happens to the API server meanwhile."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import anyio

from pipelines.kubernetes.reading import has_ended
from pipelines.kubernetes.submission import path_to
from retrain.errors import NotFound, Transient
from retrain.kube import Cluster, Expired

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0


class Gone(NotFound):
    """It was deleted while it ran."""


async def follow(
    cluster: Cluster, submitted: dict[str, Any], say: Callable[[str], None]
) -> AsyncGenerator[dict[str, Any]]:
    """The Workflow as it was submitted, and after each change; ends when it does. `say`: that the server is away.

    Raises:
        Gone: it was deleted before it ended, or another one has its name now.
    """
    metadata = submitted["metadata"]
    found, tries = submitted, 0
    while True:
        yield found
        if has_ended(found):
            return
        try:
            async with aclosing(_changes(cluster, found)) as changes:
                async for found in changes:
                    tries = 0
                    yield found
                    if has_ended(found):
                        return
            found = await _get(cluster, metadata)
        except Expired:
            found = await _get(cluster, metadata)
        except Transient as error:
            say(f"{error}; trying again")
            await anyio.sleep(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**tries))
            tries += 1
            found = await _looked_up(cluster, metadata, found)


async def _changes(cluster: Cluster, found: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
    metadata = found["metadata"]
    query = {"fieldSelector": f"metadata.name={metadata['name']}"}
    async with aclosing(cluster.watch(path_to(metadata["namespace"]), query, metadata["resourceVersion"])) as watch:
        async for events in watch:
            for event in events:
                if event.get("type") == "DELETED":
                    raise Gone(_deleted(metadata))
                if event.get("type") in {"ADDED", "MODIFIED"}:
                    yield event["object"]


async def _looked_up(cluster: Cluster, metadata: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """As it is now; as it was known, where the server is still away."""
    try:
        return await _get(cluster, metadata)
    except Transient:
        return known


async def _get(cluster: Cluster, metadata: dict[str, Any]) -> dict[str, Any]:
    try:
        found = await cluster.get(path_to(metadata["namespace"], metadata["name"]))
    except NotFound as error:
        raise Gone(_deleted(metadata)) from error
    if found["metadata"]["uid"] != metadata["uid"]:
        raise Gone(_deleted(metadata))
    return found


def _deleted(metadata: dict[str, Any]) -> str:
    where = f"{metadata['namespace']}/{metadata['name']}"
    return f"Workflow {where} was deleted before its end was seen (by somebody, or by its ttlStrategy)"
