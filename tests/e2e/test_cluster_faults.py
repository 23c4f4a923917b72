"""Orders become Workflows, each once, and each end is told once, while the cluster behind the platform fails.

The cluster is a real API server with its etcd and Argo's own controller; what stands between is a proxy of this test.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path

import pytest

from retrain.bus.embedded import free_port
from tests.e2e.cluster_world import BATCH, ClusterWorld, cluster_world
from tests.e2e.workflow_world import SEED
from tests.servers.kube_lab import Lab
from tests.servers.kube_proxy import Spoil, spoil
from tests.support.size import size

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

MANY = 200
SOME = 60
KILLS = 4

TROUBLES: dict[str, tuple[Spoil, ...]] = {
    "429 with a pause": (spoil("answer", "create", "get", "list", "watch", share=0.3, status=429, after_s=1),),
    "500": (spoil("answer", "create", "get", "list", "watch", share=0.3, status=500),),
    "503": (spoil("answer", "create", "get", "list", "watch", share=0.3, status=503),),
    "connections refused": (spoil("refuse", "create", "get", "list", "watch", share=0.3),),
    "answers lost": (spoil("lose", "create", share=0.3), spoil("lose", "get", "list", share=0.3)),
    "slow": (spoil("delay", "create", "get", "list", "watch", share=0.5, after_s=0.5),),
    "410 for watches": (spoil("expire", "watch", share=0.7),),
    "each event twice, and bookmarks": (spoil("echo", "watch"),),
    "all of it": (
        spoil("answer", "create", "list", "watch", share=0.1, status=429, after_s=1),
        spoil("answer", "create", "list", "watch", share=0.1, status=500),
        spoil("refuse", "create", "list", "watch", share=0.1),
        spoil("lose", "create", "get", share=0.1),
        spoil("expire", "watch", share=0.3),
        spoil("echo", "watch", share=0.5),
    ),
}


@pytest.fixture
def world(tmp_path: Path, kube_lab: Lab) -> Generator[ClusterWorld]:
    with cluster_world(tmp_path, kube_lab) as made:
        made.start(free_port())
        yield made


def send_many(world: ClusterWorld, count: int, halfway: Callable[[], object]) -> None:
    """Send orders in batches; when some are on the cluster and some are not, something happens."""
    middle = count // 2 // BATCH * BATCH
    for first in range(0, count, BATCH):
        if first == middle:
            world.platform.wait(world.created, "a part of them is on the cluster")
            halfway()
        world.send_until_taken(range(first, min(first + BATCH, count)))


def hold(world: ClusterWorld, count: int) -> None:
    world.await_settled(count)
    world.check_everything_once(count)


def test_all_orders_are_run_once_while_the_api_server_is_killed_and_restarted(world: ClusterWorld) -> None:
    def restart() -> None:
        world.lab.kill_api()
        world.send_until_taken(range(MANY - BATCH, MANY))
        world.lab.api.start()

    send_many(world, MANY, restart)

    hold(world, MANY)


def test_all_orders_are_run_once_while_etcd_is_killed_and_restarted(world: ClusterWorld) -> None:
    send_many(world, MANY, world.lab.restart_etcd)

    hold(world, MANY)


def test_runs_end_once_where_the_controller_was_killed_in_the_middle(world: ClusterWorld) -> None:
    world.send_until_taken(range(SOME))
    world.platform.wait(world.running, "a Workflow runs")
    world.lab.controller.kill()
    world.lab.controller.start()

    hold(world, SOME)


def test_what_ended_while_the_platform_was_down_is_told_once(world: ClusterWorld) -> None:
    world.send_until_taken(range(SOME))
    world.platform.wait(lambda: world.created() == SOME, "all are on the cluster")
    world.platform.kill()
    world.platform.wait(world.all_over, "all have ended")
    world.start(free_port())

    hold(world, SOME)


def test_watches_that_are_cut_every_two_seconds_lose_nothing(world: ClusterWorld) -> None:
    with world.proxy.cutting(2.0):
        for first in range(0, SOME, 10):
            world.send_until_taken(range(first, first + 10))
            done = world.proxy.done["cut"]
            world.platform.wait(lambda done=done: world.proxy.done["cut"] > done, "a watch is cut")
        hold(world, SOME)

    # Who is cut goes on where it was. A list is made once, by whoever has watched nothing yet.
    assert world.proxy.seen["list workflows"] <= 1


@pytest.mark.parametrize("trouble", size(("429 with a pause", "500", "answers lost", "all of it"), tuple(TROUBLES)))
def test_all_orders_are_run_once_by_a_cluster_in_trouble(world: ClusterWorld, trouble: str) -> None:
    world.proxy.spoils = TROUBLES[trouble]

    world.send_until_taken(range(SOME))
    hold(world, SOME)

    assert world.proxy.done.total() > 0, "there was trouble"


@pytest.mark.parametrize("hours", [-1, 1], ids=["behind", "ahead"])
def test_a_cluster_whose_clock_is_an_hour_off_is_followed_like_any_other(world: ClusterWorld, hours: int) -> None:
    world.proxy.skew = timedelta(hours=hours)

    world.send_until_taken(range(SOME))

    hold(world, SOME)


def test_kills_of_the_platform_at_any_moment_double_and_lose_nothing(world: ClusterWorld) -> None:
    dice = random.Random(SEED)
    port = free_port()
    for first in range(0, MANY, BATCH):
        world.send_until_taken(range(first, first + BATCH))
        for _ in range(KILLS * BATCH // MANY):
            time.sleep(dice.uniform(0, 1))  # any moment is meant, so none is waited for
            world.platform.kill()
            world.start(port)

    print(f"RETRAIN_TEST_SEED={SEED}")  # noqa: T201 - pytest shows it beside the failure
    hold(world, MANY)
