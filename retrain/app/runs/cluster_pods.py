"""The pods of a run on a cluster: which steps have one, and what of its log is to be had elsewhere once it is gone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.kubernetes import kinds
from pipelines.kubernetes.foreground import NODE_ID, WORKFLOW
from pipelines.kubernetes.reading import offloaded
from pipelines.kubernetes.requests import path_to_run
from pipelines.kubernetes.retrying import pod_of
from pipelines.local.logs import LogLine
from pipelines.pictures.reading import depths, in_order
from retrain.app.runs.archived_logs import Archived, archived_logs, ended_at
from retrain.app.runs.artifacts import located, where_of
from retrain.app.runs.log_wish import LogPlace, LogWish, StepLine, chosen, nodes_meant
from retrain.errors import NotFound
from retrain.kube import Cluster, path_of
from retrain.store import runs
from retrain.store.runs import RunRow

ENDED = frozenset({"Succeeded", "Failed", "Error", "Skipped", "Omitted"})
Object = Mapping[str, Any]
NODE_NAME = "workflows.argoproj.io/node-name"
LAST = re.compile(r"[^.(]*(?:\(.*\))?$")
"""What of a node's name is its step: `count(0:a)` of `w[0].count(0:a)`."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step with a pod. `node` is Argo's node object; of other kinds of objects one that is made of the pod."""

    node: Object
    pod: str

    @property
    def begun(self) -> bool:
        """Whether it may have said something."""
        return self.node.get("phase") != "Pending"

    @property
    def over(self) -> bool:
        return self.node.get("phase") in ENDED

    def notice(self, text: str) -> StepLine:
        """What we say in the place of its log."""
        return StepLine(self.node, "main", LogLine(ended_at(self.node), "both", f"({text})", whole=True))


@dataclass(slots=True)
class Pods:
    """The pods of a run, as far as somebody wants their logs."""

    place: LogPlace
    cluster: Cluster
    wish: LogWish
    _seen: object = None
    _known: list[Step] = field(default_factory=list[Step])

    async def steps(self, run: RunRow) -> Sequence[Step]:
        """The steps that are meant, in the order in which they began.

        Raises:
            NotFound: there is none of this name.
            ConfigError, Transient: as the API server says, for kinds whose pods it alone knows.
        """
        if run.engine == "object":
            return await self._of_object(run)
        version = ((run.object or {}).get("metadata") or {}, run.phase)
        if version != self._seen:
            self._known = await (self._of_pods(run) if nodes_elsewhere(run) else self._of_nodes(run))
            self._seen = version
        return self._known

    async def pod(self, run: RunRow, name: str) -> Object | None:
        """A pod as it is; None where it is gone.

        Raises:
            ConfigError, Transient: as the API server says.
        """
        try:
            return await self.cluster.get(path_of("", "v1", "pods", run.namespace, name))
        except NotFound:
            return None

    def archived(self, run: RunRow, step: Step) -> Iterator[tuple[str, Archived]]:
        """The logs of a step that were kept as artifacts, by container."""
        if self.place.artifacts is None:
            return
        for container, artifact in archived_logs(step.node, ()):
            if self.wish.container in (None, container):
                there = located(run, step.node, artifact)
                yield container, Archived(self.place.artifacts, there, where_of(run, step.node), ended_at(step.node))

    async def _of_nodes(self, run: RunRow) -> list[Step]:
        nodes = await self.place.store.read(lambda c: nodes_meant(c, run, self.wish))
        meant = in_order(chosen(run, nodes, self.wish), depths(nodes))
        return [Step(node, pod_of(_named(run), node)) for node in meant]

    async def _of_pods(self, run: RunRow) -> list[Step]:
        # Which step each is of the controller has written at it.
        return self._meant(run, [_step_of_workflow(pod) for pod in await self._listed(run, f"{WORKFLOW}={run.name}")])

    async def _of_object(self, run: RunRow) -> list[Step]:
        # Whose pods they are the object says itself, while it is there.
        selector = await self._selector(run)
        return self._meant(run, [_step_of(pod) for pod in await self._listed(run, selector)] if selector else [])

    async def _listed(self, run: RunRow, selector: str) -> list[Object]:
        """The pods that fit, the oldest first."""
        found: list[Object] = []
        path = path_of("", "v1", "pods", run.namespace)
        async with aclosing(self.cluster.pages(path, {"labelSelector": selector})) as pages:
            async for pods, _version in pages:
                found += pods
        return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def _meant(self, run: RunRow, steps: Sequence[Step]) -> list[Step]:
        nodes = {step.node["id"]: step.node for step in steps}
        meant = {node["id"] for node in chosen(run, nodes, self.wish)}
        return [step for step in steps if step.node["id"] in meant]

    async def _selector(self, run: RunRow) -> str:
        try:
            there = await self.cluster.get(await path_to_run(self.cluster, run))
        except NotFound:
            return ""
        kind = kinds.kind_of(there)
        return kind.pods(there) if kind is not None else ""


def _named(run: RunRow) -> Object:
    """As much of the Workflow as the names of its pods follow from."""
    metadata: Object = (run.object or {}).get("metadata") or {}
    return {"metadata": {**metadata, "name": run.name}}


def _step_of(pod: Object) -> Step:
    metadata, status = pod["metadata"], pod.get("status") or {}
    name = str(metadata["name"])
    phase = "Succeeded" if status.get("phase") == "Succeeded" else status.get("phase") or "Pending"
    node = {
        "id": name,
        "name": name,
        "displayName": name,
        "type": "Pod",
        "phase": phase if phase in {"Pending", "Running", "Succeeded", "Failed"} else "Error",
        "startedAt": status.get("startTime") or metadata["creationTimestamp"],
    }
    return Step(node, name)


def _step_of_workflow(pod: Object) -> Step:
    """As far as a pod of a Workflow says which step it is of."""
    step, said = _step_of(pod), pod["metadata"].get("annotations") or {}
    name = str(said.get(NODE_NAME) or step.pod)
    shown = LAST.search(name)
    node = {**step.node, "id": said.get(NODE_ID) or step.pod, "name": name, "displayName": shown[0] if shown else name}
    return replace(step, node=node)


def nodes_elsewhere(run: RunRow) -> bool:
    """Whether its nodes are in Argo's database, where they cannot be read."""
    return bool(offloaded((run.object or {}).get("status") or {})) and run.engine == "argo"


async def reload(place: LogPlace, run: RunRow) -> RunRow | None:
    """The run as it is now."""
    return await place.store.read(lambda c: runs.get(c, run.id))
