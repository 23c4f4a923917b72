"""A platform whose workflows run on a cluster that a test breaks: orders in, Workflows there, and what both must say.

An order is a CloudEvent with an id of its own, which its sender repeats until it is acknowledged. A sensor submits one
Workflow for each: a wait of a second and a step that is skipped, so no pod is needed.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from tests.e2e.platform_driver import Answer, Platform, Unreachable
from tests.e2e.submitting import Submits
from tests.servers.kube_lab import Lab
from tests.servers.kube_proxy import KubeProxy, proxied

FIRING, RUN = "retrain.dev/firing", "retrain.dev/run"
BATCH = 50
START_S = 180.0
NUDGE_S = 15.0
SUBMITS = Submits(
    ("shop", "order"),
    "number",
    "number",
    {"steps": [[{"name": "wait", "template": "wait"}], [{"name": "never", "template": "wait", "when": "false"}]]},
    ({"name": "wait", "suspend": {"duration": "1"}},),
)
SENSOR = yaml.safe_dump(SUBMITS.sensor("train", "retrain.dev/v1"))
BINDING = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowEventBinding
metadata: {name: train}
spec:
  event: {selector: discriminator == "order"}
  submit:
    workflowTemplateRef: {name: train}
    arguments: {parameters: [{name: number, valueFrom: {event: payload.number}}]}
"""
TEMPLATE = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": "train"},
    "spec": {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": "number"}]},
        "templates": [{"name": "main", "suspend": {"duration": "1"}}],
    },
}
"""What the binding submits: the cluster has it, too."""


@dataclass
class ClusterWorld:
    """One platform, its namespace on the cluster, and the orders that were acknowledged."""

    lab: Lab
    proxy: KubeProxy
    platform: Platform
    space: str
    bound: bool = False
    """Whether orders are for a WorkflowEventBinding, which has a door of its own."""
    acknowledged: set[int] = field(default_factory=set)

    def start(self, port: int) -> None:
        """Start the platform, however busy the machine is."""
        self.platform.launch(port=port)
        self.platform.await_ready(START_S)

    # --- what goes in --------------------------------------------------------------------------------------------

    def send(self, numbers: Sequence[int]) -> None:
        """Send orders, as their sender does every time: the same ids, the same bodies.

        Raises:
            Unreachable: whether they were taken is not known.
        """
        for answer in self._answers(numbers):
            if not answer.taken:
                raise Unreachable(f"the orders were not taken: {answer}")
        self.acknowledged.update(numbers)

    def _answers(self, numbers: Sequence[int]) -> list[Answer]:
        if not self.bound:
            return [self.platform.emit(*[order(number) for number in numbers])]
        door = "/api/v1/events/default/order"
        return [self.platform.post(door, {"number": one}, {"X-Event-Id": order(one)["id"]}) for one in numbers]

    def send_or_die(self, numbers: Sequence[int]) -> None:
        """Send orders to a platform that dies of them, soon or late."""
        with suppress(Unreachable):
            self.send(numbers)

    def send_until_taken(self, numbers: Sequence[int]) -> None:
        """Send orders again and again until they are acknowledged."""

        def taken() -> bool:
            self.send(numbers)
            return True

        self.platform.wait(taken, f"the orders {numbers[0]} to {numbers[-1]} are acknowledged")

    # --- what comes out ------------------------------------------------------------------------------------------

    def created(self) -> int:
        """How many Workflows there are."""
        return len(self.lab.workflows(self.space))

    def running(self) -> int:
        """How many of them run."""
        return sum(phase == "Running" for phase in self._phases())

    def all_over(self) -> bool:
        """Whether all of them have ended."""
        return set(self._phases()) <= {"Succeeded", "Failed", "Error"}

    def _phases(self) -> list[str]:
        return [(one.get("status") or {}).get("phase", "") for one in self.lab.workflows(self.space)]

    def settled(self, count: int, firings: int) -> bool:
        """Whether there are so many firings and `count` runs, and nothing is left to do, by the store."""
        ask = self.platform.rows
        (done,) = ask("SELECT count(*) FROM firings WHERE state = 'done'")[0]
        (runs,) = ask("SELECT count(*) FROM runs")[0]
        (open_,) = ask("SELECT count(*) FROM runs WHERE phase NOT IN ('Succeeded', 'Failed', 'Error')")[0]
        (untold,) = ask("SELECT count(*) FROM outbox")[0]
        return done >= firings and runs >= count and not open_ and not untold

    def await_settled(self, count: int, firings: int | None = None, timeout_s: float = 120.0) -> None:
        """Wait until `count` orders have gone the whole way, each by way of a firing where nothing else is said."""
        nudged = time.monotonic()

        def over() -> bool:
            nonlocal nudged
            if time.monotonic() - nudged > NUDGE_S:
                with suppress(OSError):
                    self.lab.nudge(self.space)
                nudged = time.monotonic()
            return self.settled(count, count if firings is None else firings) or bool(
                self.platform.rows("SELECT 1 FROM deadletters")
            )

        try:
            self.platform.wait(over, f"{count} orders have gone the whole way", timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.progress()}") from error

    def progress(self) -> str:
        """How far everything is, for messages."""
        ask = self.platform.rows
        found = {
            "firings": ask("SELECT state, count(*) FROM firings GROUP BY 1"),
            "errors": ask("SELECT error, count(*) FROM firings WHERE state != 'done' GROUP BY 1"),
            "runs": ask("SELECT phase, count(*) FROM runs GROUP BY 1"),
            "dead letters": ask("SELECT kind, reason FROM deadletters LIMIT 5"),
            "untold": ask("SELECT count(*) FROM outbox"),
            "workflows": Counter(self._phases()),
        }
        return "\n".join(f"{name}: {value}" for name, value in found.items())

    def check_everything_once(self, count: int) -> None:
        """Every order has one firing, one Workflow, one run that says what the Workflow says, and one end."""
        firings = self.platform.items("firings")
        assert len(firings) == count
        of_firings = once([one["metadata"]["labels"][FIRING] for one in self.lab.workflows(self.space)])
        assert of_firings == {one["id"] for one in firings}
        self.check_runs_once(count)

    def check_runs_once(self, count: int) -> None:
        """Every order has one Workflow, one run that says what the Workflow says, and one end."""
        assert self.acknowledged == set(range(count)), "every order was acknowledged"
        assert self.platform.items("deadletters") == []
        objects = self.lab.workflows(self.space)
        numbers = once([one["spec"]["arguments"]["parameters"][0]["value"] for one in objects])
        assert numbers == {str(number) for number in range(count)}
        rows = self.platform.rows("SELECT id, phase, object FROM runs")
        kept = {run_id: (phase, json.loads(body)["metadata"]["uid"]) for run_id, phase, body in rows}
        there = {one["metadata"]["labels"][RUN]: (one["status"]["phase"], one["metadata"]["uid"]) for one in objects}
        assert kept == there
        nodes = dict(self.platform.rows("SELECT run_id, count(*) FROM nodes GROUP BY run_id"))
        assert nodes == {one["metadata"]["labels"][RUN]: len(one["status"]["nodes"]) for one in objects}
        told = self.platform.rows("SELECT cause, subject, count(*) FROM events WHERE source = 'retrain' GROUP BY 1, 2")
        once_each = {(run_id, subject): 1 for run_id in kept for subject in ("run.started", "run.succeeded")}
        assert {(run_id, subject): number for run_id, subject, number in told} == once_each


@contextmanager
def cluster_world(place: Path, lab: Lab, documents: Mapping[str, str] | None = None) -> Generator[ClusterWorld]:
    """A platform that is not started yet, and a namespace of its own, which stays."""
    space = f"orders-{uuid4().hex[:8]}"
    lab.api.make_namespace(space)
    kubeconfig = place / "kubeconfig"
    with proxied(lab.api) as proxy:
        kubeconfig.write_text(lab.account(space, by=proxy.address))
        environment = {
            "RETRAIN_PIPELINES_ENGINE": "argo",
            "RETRAIN_KUBERNETES_KUBECONFIG": str(kubeconfig),
            "RETRAIN_KUBERNETES_NAMESPACE": space,
        }
        platform = Platform(place / "platform", environment=environment)
        for name, text in (documents or {"sensor.yaml": SENSOR}).items():
            platform.write(name, text)
        try:
            yield ClusterWorld(lab, proxy, platform, space)
        finally:
            platform.kill()
            platform.sweep()


def order(number: int) -> dict[str, Any]:
    """One order, the same each time."""
    return {
        "specversion": "1.0",
        "id": f"order-{number:04}",
        "source": "shop",
        "type": "order",
        "subject": "order",
        "datacontenttype": "application/json",
        "data": {"number": number},
    }


def once(things: Sequence[str]) -> set[str]:
    """All of them, if each is there once."""
    more = {thing: count for thing, count in Counter(things).items() if count > 1}
    assert not more, f"there more than once: {more}"
    return set(things)
