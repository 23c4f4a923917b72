"""A Kubernetes API server: objects got, made, changed, deleted, listed in pages, and watched.

The official library knows how to reach it (connection.py); the requests are our own: its watch blocks a thread, and
cannot be stopped. Every call raises what refusals.py tells apart. Paths come from `Resource.at` or `path_of`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio

from retrain.errors import Transient
from retrain.kube.connection import Connection, connection
from retrain.kube.refusals import SAID, Expired, KindMissing
from retrain.kube.requests import Request, answered, call, call_text, read_one_of_many
from retrain.kube.resources import Resource, group_path, resources_in
from retrain.kube.streams import Stream, open_stream

PAGE = 500
PAUSES_S = (0.2, 0.5, 1.0, 2.0)
"""Seconds before a page is asked for once more, each time that it is."""
WATCH_S = 240
"""Seconds after which the server ends a watch; the next one goes on from there."""
MAX_LINE = 16 * 1024 * 1024
MANAGER = "retrain"
"""Whom `metadata.managedFields` names for what we have written."""
NONE: Mapping[str, str] = {}

Patch = Literal["merge", "json", "strategic", "apply"]
MEDIA: dict[Patch, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",  # JSON is YAML, too
}
Propagation = Literal["Background", "Foreground", "Orphan"]


class Cluster:
    """A server that one may ask, for as long as `cluster` is open."""

    def __init__(self, server: Connection) -> None:
        self._server = server
        self._known: dict[str, dict[str, Resource]] = {}

    @property
    def namespace(self) -> str:
        """The namespace of who asks: that of the kubeconfig's context or of this pod, else `default`."""
        return self._server.namespace

    # --- one object --------------------------------------------------------------------------------------------------

    async def get(self, path: str, query: Mapping[str, str] = NONE) -> dict[str, Any]:
        """An object, or whatever else is at a path."""
        return await call(self._server, Request("GET", path, query))

    async def text(self, path: str, query: Mapping[str, str] = NONE) -> str:
        """What is at a path and is no object: a pod's log."""
        return await call_text(self._server, Request("GET", path, query))

    async def stream(self, path: str, query: Mapping[str, str] = NONE) -> Stream:
        """The same while it is still being written; whoever opens it closes it."""
        return await open_stream(self._server, Request("GET", path, query, total_s=None))

    async def create(self, path: str, body: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """A new object, as the server has stored it. `path` is that of all of its kind.

        Raises:
            AlreadyExists: an object has this name.
        """
        return await call(self._server, Request("POST", path, _written(dry_run), body))

    async def replace(self, path: str, body: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Put the whole object; with `metadata.resourceVersion` in it, only if it is still of that version.

        Raises:
            Conflict: it is not.
        """
        return await call(self._server, Request("PUT", path, _written(dry_run), body))

    async def patch(
        self, path: str, body: Any, how: Patch = "merge", *, force: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """Change an object. `strategic` is for built-in kinds alone; `apply` makes it where it is not there.

        `force`: with `apply`, take over fields that others manage.

        Raises:
            Conflict: with `apply`, another manager owns a field; with `json`, a `test` fails or so.
        """
        query = {**_written(dry_run), **({"force": "true"} if force and how == "apply" else {})}
        return await call(self._server, Request("PATCH", path, query, body, MEDIA[how]))

    async def delete(
        self, path: str, *, uid: str = "", propagation: Propagation = "Background", dry_run: bool = False
    ) -> dict[str, Any]:
        """Delete an object; with `uid` only that one, not another of its name.

        Raises:
            Conflict: another one has its name.
            NotFound: it is gone already.
        """
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        options |= {"preconditions": {"uid": uid}} if uid else {}
        options |= {"dryRun": ["All"]} if dry_run else {}
        return await call(self._server, Request("DELETE", path, {}, options))

    async def resource(self, api_version: str, kind: str) -> Resource:
        """Where the objects of a kind are, as the server tells; asked once for each `apiVersion` that has the kind.

        Raises:
            KindMissing: the server knows no such kind.
            ConfigError: the apiVersion is none.
        """
        path = group_path(api_version)
        if kind not in self._known.get(api_version, {}):
            self._known[api_version] = resources_in(api_version, await self.get(path))
        if (found := self._known[api_version].get(kind)) is None:
            raise KindMissing(f"{self._server.host} knows no {kind} of {api_version}: is its CRD installed?")
        return found

    # --- many --------------------------------------------------------------------------------------------------------

    async def pages(
        self, path: str, query: Mapping[str, str], size: int = PAGE
    ) -> AsyncGenerator[tuple[list[dict[str, Any]], str]]:
        """All objects, a page of at most `size` at a time, each with the resourceVersion that the whole list is of.

        Raises:
            Expired: the list has taken so long that the server has forgotten it.
        """
        more: dict[str, str] = {"limit": str(size)}
        while True:
            body = await self._page(path, {**query, **more})
            metadata = body.get("metadata") or {}
            kind = {"apiVersion": body.get("apiVersion"), "kind": str(body.get("kind", "")).removesuffix("List")}
            yield [{**kind, **item} for item in body.get("items") or ()], str(metadata.get("resourceVersion", ""))
            if not metadata.get("continue"):
                return
            more["continue"] = str(metadata["continue"])

    async def _page(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """A page, asked for a few times: where each tenth request fails, a list of 40 would never come to its end."""
        for pause in PAUSES_S:
            try:
                return await call(self._server, Request("GET", path, query), many=True)
            except Expired:
                raise
            except Transient as error:
                asked: float | None = getattr(error, "after_s", None)
                await anyio.sleep(max(pause, asked or 0.0))
        return await call(self._server, Request("GET", path, query), many=True)

    async def watch(self, path: str, query: Mapping[str, str], version: str) -> AsyncGenerator[list[dict[str, Any]]]:
        """What has changed after a resourceVersion, as it comes: events, as many as are there. Ends after WATCH_S.

        Raises:
            Expired: the version is too old.
        """
        asked = {
            **query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_S),
            "resourceVersion": version,
        }
        rest = b""
        async with answered(self._server, Request("GET", path, asked, total_s=None)) as answer:
            yield []  # it watches now
            async for part in answer.content.iter_any():
                *lines, rest = (rest + part).split(b"\n")
                if len(rest) > MAX_LINE:
                    raise Transient(f"{self._server.host} sends an object of more than {MAX_LINE} bytes")
                if events := [_event(line) for line in lines if line.strip()]:
                    yield events


@asynccontextmanager
async def cluster(kubeconfig: str = "") -> AsyncGenerator[Cluster]:
    """The server that a kubeconfig's text names; without one that of this pod, or of the user's own kubeconfig.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    async with connection(kubeconfig) as server:
        yield Cluster(server)


def _written(dry_run: bool) -> dict[str, str]:
    return {"fieldManager": MANAGER, **({"dryRun": "All"} if dry_run else {})}


def _event(line: bytes) -> dict[str, Any]:
    event = read_one_of_many(line)
    if event.get("type") == "ERROR":
        status: Any = event.get("object") or {}
        if status.get("code") == 410:
            raise Expired("the watch's resourceVersion is too old")
        raise Transient(f"the watch ended: {str(status.get('message'))[:SAID]}")
    return event
