"""Brings the Services of EventSources to what the objects say: looks, asks `doors` what to do, and does it.

What belongs to others is never touched. One object's trouble does not hold up the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from retrain.app.operator.doors import (
    MANAGED_BY,
    OURS,
    SOURCE,
    Act,
    Place,
    Wanted,
    decide,
    labels_of,
    name_of,
    wanted,
)
from retrain.app.operator.ports import Moves, Which
from retrain.app.operator.said import Said
from retrain.app.operator.watched import Object
from retrain.app.settings import KubernetesGroup
from retrain.errors import NotFound, RetrainError
from retrain.kube import AlreadyExists, Cluster, path_of

log = structlog.get_logger()

CONDITION = "Service"
SAYS_NOTHING = frozenset({"", "Ready"})
Moved = Callable[[], Mapping[Which, Moves]]
"""The ports that are served under other numbers than are written."""


class Services:
    """One platform's. `where` tells the place of its pod once the cluster is known."""

    def __init__(
        self,
        open_cluster: Callable[[], Awaitable[Cluster]],
        where: Callable[[Cluster], Place],
        moved: Moved = dict,
    ) -> None:
        self._open = open_cluster
        self._where = where
        self._moved = moved

    async def settle(self, sources: Sequence[Object]) -> list[Said]:
        """Look at each, and put right what is not; what is to be said of them. Doing it again changes nothing."""
        server = await self._open()
        place, moved = self._where(server), self._moved()
        said: list[Said] = []
        for source in sources:
            metadata = source["metadata"]
            if metadata.get("deletionTimestamp"):
                continue
            asked = wanted(source, place, moved.get((metadata["namespace"], metadata["name"])))
            try:
                told = await self._settle_one(server, source, asked, place)
            except RetrainError as error:
                told = _said(source, "NotPossible", f"Service {name_of(source)}: {error}", warning=True)
            said += [told] if told is not None else []
        return said

    async def _settle_one(self, server: Cluster, source: Object, asked: Wanted | None, place: Place) -> Said | None:
        found = await _get(server, _service(source, name_of(source))) if asked or _had(source) else None
        act = decide(source, asked, found)
        if asked is not None and not act.elsewhere:
            await _slices(server, source, asked)  # before the Service leads there
        await _do(server, source, asked, act)
        if asked is not None and asked.slice is not None and act.elsewhere:
            await _remove(server, _slice(source, name_of(source)))
        if asked is None or act.delete:
            return None
        if not place.address and asked.slice is not None and not act.warning:
            message = (
                f"Service {name_of(source)} is in another namespace than our pod, and kubernetes.address is not set"
            )
            return _said(source, "NoAddress", message, warning=True)
        if act.reason not in SAYS_NOTHING:
            log.info("service.settled", service=name_of(source), reason=act.reason)
        if act.warning:
            return _said(source, act.reason, act.message, warning=True)
        return _said(source, "Ready", f"Service {name_of(source)} leads here")


def _had(source: Object) -> bool:
    """Whether a Service was told of, and may be left over: not every source is asked for at every look."""
    conditions = (source.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == CONDITION for one in conditions)


def open_services(group: KubernetesGroup, open_cluster: Callable[[], Awaitable[Cluster]], moved: Moved) -> Services:
    """As the settings say where this platform's pod is."""

    def where(server: Cluster) -> Place:
        return Place(server.namespace, group.selector, group.address or "")

    return Services(open_cluster, where, moved)


async def _do(server: Cluster, source: Object, asked: Wanted | None, act: Act) -> None:
    path = _service(source, name_of(source))
    if act.create and asked is not None:
        await server.create(_service(source), asked.service)
    elif act.delete:
        await _remove(server, path)
        await _remove(server, _slice(source, name_of(source)))
    elif act.change is not None:
        await server.patch(path, act.change)


async def _slices(server: Cluster, source: Object, asked: Wanted) -> None:
    """The EndpointSlice of a Service in another namespace than the pod's."""
    if asked.slice is None:
        return
    path = _slice(source, name_of(source))
    found = await _get(server, path)
    if found is None:
        try:
            await server.create(_slice(source), asked.slice)
        except AlreadyExists:
            return  # it is looked at again in a moment
    elif (found.get("metadata", {}).get("labels") or {}).items() >= labels_of(source).items() and any(
        found.get(name) != asked.slice[name] for name in ("endpoints", "ports")
    ):
        await server.patch(path, {name: asked.slice[name] for name in ("endpoints", "ports")})


async def _get(server: Cluster, path: str) -> Object | None:
    try:
        return await server.get(path)
    except NotFound:
        return None


async def _remove(server: Cluster, path: str) -> None:
    found = await _get(server, path)
    labels = (found["metadata"].get("labels") or {}) if found is not None else {}
    if found is not None and labels.get(MANAGED_BY) == OURS and SOURCE in labels:
        await server.delete(path, uid=str(found["metadata"]["uid"]))


def _service(source: Object, name: str = "") -> str:
    return path_of("", "v1", "services", source["metadata"]["namespace"], name)


def _slice(source: Object, name: str = "") -> str:
    return path_of("discovery.k8s.io", "v1", "endpointslices", source["metadata"]["namespace"], name)


def _said(source: Object, reason: str, message: str, *, warning: bool = False) -> Said:
    metadata = source["metadata"]
    return Said(
        source["kind"],
        str(metadata["namespace"]),
        str(metadata["name"]),
        CONDITION,
        reason,
        message,
        warning,
        status=not warning,
    )
