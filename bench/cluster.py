"""What the measurements on a cluster share: an API server of their own, the Workflow that all create, who creates it.

The API server and its etcd run as tests start them; without Argo's controller, which would take its part of the two
cores while it looks at each Workflow, from all alike. The Workflows are suspended, so nothing would come of them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from bench.load import Load, post
from bench.observer import Observer, observer
from bench.world import World, started
from pipelines.kubernetes.submission import path_to
from retrain.kube import cluster
from tests.servers.argo_events import ArgoEvents, argo_events
from tests.servers.kube_lab import Lab, lab
from tests.servers.launch import free_port
from tests.servers.program import cache

OURS, BARE, PEER = "ours", "bare", "peer"
"""A namespace for each."""
ENDPOINT = "/orders"
SETTINGS = ("RETRAIN_PIPELINES_ENGINE", "RETRAIN_KUBERNETES_KUBECONFIG", "RETRAIN_KUBERNETES_NAMESPACE")
LISTENS_S = 60.0
QUIET_S = 3.0
PROGRAMS = {"kube": "kubeapi.sh", "workflow-controller": "argo.sh"}


def missing() -> str:
    """What to install before anything of this can be measured; empty: nothing."""
    there = cache() / "kubernetes" / "bin"
    return ", ".join(
        f"tests/servers/{script} install" for one, script in PROGRAMS.items() if not (there / one).exists()
    )


def has_argo_events() -> bool:
    """Whether the peer is on this machine."""
    return (cache() / "argo_events" / "bin" / "argo-events").exists()


@contextmanager
def ground() -> Generator[tuple[Lab, Path]]:
    """The API server with a namespace for each, and its administrator's kubeconfig as a file."""
    with (
        tempfile.TemporaryDirectory(prefix="retrain-bench-cluster-") as folder,
        lab(Path(folder) / "lab", controller=False) as made,
    ):
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text(made.kubeconfig)
        for name in (OURS, BARE, PEER):
            made.api.make_namespace(name)
        yield made, kubeconfig


# --- the same Workflow, made by each ---------------------------------------------------------------------------------


def workflow(number: int | str = "") -> dict[str, Any]:
    """What all create. Its parameter is the order's number."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "bench-"},
        "spec": {
            "suspend": True,
            "entrypoint": "main",
            "arguments": {"parameters": [{"name": "n", "value": str(number)}]},
            "templates": [{"name": "main", "container": {"image": "busybox", "command": ["true"]}}],
        },
    }


def trigger(kind: str) -> dict[str, Any]:
    """A trigger that creates it: `argoWorkflow` (operation submit) or `k8s` (create)."""
    source = {"dependencyName": "it", "dataKey": "body.n"}
    action = {
        "operation": "submit" if kind == "argoWorkflow" else "create",
        "source": {"resource": workflow()},
        "parameters": [{"src": source, "dest": "spec.arguments.parameters.0.value"}],
    }
    return {"template": {"name": "act", kind: action}}


def sensor(kind: str, **more: object) -> dict[str, Any]:
    """A Sensor's spec, the same for both but for the kind of its trigger."""
    dependency = {"name": "it", "eventSourceName": "hook", "eventName": "in"}
    return {"dependencies": [dependency], "triggers": [{**trigger(kind), **more}]}


@dataclass(frozen=True, slots=True)
class Ours:
    """A platform with a webhook at `port` + ENDPOINT, and what is known of its process."""

    world: World
    port: int


@contextmanager
def ours(kubeconfig: Path, place: Path) -> Generator[Ours]:
    """`retrain up` with the engine argo: a webhook, and a sensor that submits. What is in `place` already goes on."""
    port = free_port()
    hook = {"endpoint": ENDPOINT, "port": str(port), "method": "POST"}
    documents: list[Mapping[str, object]] = [
        _document("EventSource", "hook", {"webhook": {"in": hook}}),
        _document("Sensor", "act", sensor("argoWorkflow")),
    ]
    os.environ.update(zip(SETTINGS, ("argo", str(kubeconfig), OURS), strict=True))
    try:
        project = place / "project"
        project.mkdir(exist_ok=True)
        (project / "all.yaml").write_text("\n---\n".join(map(json.dumps, documents)))
        with started(project, place / "data", place / "log") as world:
            yield Ours(world, port)
    finally:
        for name in SETTINGS:
            os.environ.pop(name, None)


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "retrain.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@contextmanager
def theirs(made: Lab, data: Path, **more: object) -> Generator[ArgoEvents]:
    """Argo Events with the same webhook, and a sensor that creates the same object. `more` is said of its trigger.

    Its trigger `k8s` it is: `argoWorkflow` runs the `argo` program for each event, which takes far longer.
    """
    document = {"metadata": {"name": "act", "namespace": PEER}, "spec": sensor("k8s", **more)}
    with argo_events(data, made.kubeconfig, ENDPOINT, document, PEER) as running:
        yield running


# --- what is sent and what comes -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Came:
    """Milliseconds from the sending of each order until its Workflow was heard of; `lost` and `doubled` orders."""

    waits: list[float]
    lost: int
    doubled: int
    seconds: float
    """From the first sending to the last arrival."""


def came(sent: Sequence[int], arrivals: Sequence[tuple[int, int]]) -> Came:
    """What became of orders; `sent` are nanoseconds by number."""
    first: dict[int, int] = {}
    for number, at in arrivals:
        first.setdefault(number, at)
    waits = [(first[number] - at) / 1e6 for number, at in enumerate(sent) if number in first]
    seconds = (max(first.values(), default=0) - min(sent)) / 1e9
    return Came(waits, len(sent) - len(first), len(arrivals) - len(first), seconds)


def send(port: int, watching: Observer, count: int, pace: float, limit_s: float) -> Came:
    """Post `count` orders, and wait for their Workflows. `pace`: orders a second, 0 for all at once."""
    posted = post(Load(port, ENDPOINT, count, connections=64 if not pace else 4, pace=pace))
    return came(posted.sent, watching.wait(count, limit_s))


def warm_up(port: int, watching: Observer) -> None:
    """Post until the first one has come: a sensor may say that it is there before it listens."""
    deadline = time.monotonic() + LISTENS_S
    while not watching.wait(1, 1.0):
        post(Load(port, ENDPOINT, 1, connections=1))
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing came of orders to port {port}")
    while watching.wait(1, QUIET_S):  # what comes of the other ones
        pass


@contextmanager
def watched(kubeconfig: Path, namespace: str) -> Generator[Observer]:
    """An observer of a namespace, from now on."""
    with observer(kubeconfig, namespace) as watching:
        yield watching


def create_bare(kubeconfig: Path, watching: Observer, count: int, pace: float, limit_s: float) -> Came:
    """The same Workflows, created by requests alone, `pace` a second (0: 32 at once)."""
    return came(anyio.run(_create, kubeconfig.read_text(), count, pace), watching.wait(count, limit_s))


async def _create(kubeconfig: str, count: int, pace: float) -> list[int]:
    sent = [0] * count
    room = anyio.CapacityLimiter(32)
    async with cluster(kubeconfig) as server:
        await server.get("/version")  # connects

        async def one(number: int, due: int) -> None:
            async with room:
                sent[number] = max(due, time.time_ns() - 1_000_000) if due else time.time_ns()
                await server.create(path_to(BARE), workflow(number))

        begin = time.time_ns()
        async with anyio.create_task_group() as group:
            for number in range(count):
                due = begin + int(number / pace * 1e9) if pace else 0
                await anyio.sleep(max(0.0, (due - time.time_ns()) / 1e9))
                group.start_soon(one, number, due)
    return sent


def say(text: str) -> None:
    """To who waits for the figures."""
    print(text, file=sys.stderr, flush=True)
