"""The moments between a cluster and the store, pinned: the platform dies by SIGKILL at each, and goes on after it.

Runs of firings are created on the cluster before they are written down, all others (here: of a binding) the other way
round, so the fault points differ.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrain.bus.embedded import free_port
from tests.e2e.cluster_world import BINDING, SENSOR, START_S, TEMPLATE, ClusterWorld, cluster_world
from tests.servers.kube_lab import WORKFLOWS, Lab
from tests.support.size import size

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

ORDERS = 10
MIRROR = ("cluster.before_mirror", "cluster.after_mirror")
FIRINGS = ("cluster.before_create", "cluster.after_create", "trigger.before_act", "trigger.after_act", *MIRROR)
ROWS = ("cluster.before_create", "cluster.after_create", "cluster.before_place", "cluster.after_place", *MIRROR)
PASSES = size((1,), (1, ORDERS // 2))
"""The first time, and when others are under way."""


def die_and_go_on(world: ClusterWorld, fault: str) -> None:
    """Start with the fault armed, see the platform die there (some moments come before it is ready), and go on."""
    port = free_port()
    world.platform.launch(fault=fault, port=port)
    if world.platform.is_ready_or_dead(START_S) == "ready":
        for number in range(ORDERS):
            world.send_or_die([number])
        assert world.platform.await_death() == -9, f"it was not killed at {fault}"
    world.start(port)
    world.send_until_taken(range(ORDERS))


@pytest.mark.parametrize("nth", PASSES)
@pytest.mark.parametrize("point", FIRINGS)
def test_a_firing_has_one_workflow_wherever_the_platform_dies(
    tmp_path: Path, kube_lab: Lab, point: str, nth: int
) -> None:
    with cluster_world(tmp_path, kube_lab, {"sensor.yaml": SENSOR}) as world:
        die_and_go_on(world, f"{point}:{nth}")

        world.await_settled(ORDERS)
        world.check_everything_once(ORDERS)


@pytest.mark.parametrize("nth", PASSES)
@pytest.mark.parametrize("point", ROWS)
def test_a_run_without_a_firing_has_one_workflow_wherever_the_platform_dies(
    tmp_path: Path, kube_lab: Lab, point: str, nth: int
) -> None:
    with cluster_world(tmp_path, kube_lab, {"binding.yaml": BINDING, "template.yaml": json.dumps(TEMPLATE)}) as world:
        kube_lab.api.ask("POST", f"{WORKFLOWS}/namespaces/{world.space}/workflowtemplates", TEMPLATE)
        world.bound = True
        die_and_go_on(world, f"{point}:{nth}")

        world.await_settled(ORDERS, firings=0)
        world.check_runs_once(ORDERS)
