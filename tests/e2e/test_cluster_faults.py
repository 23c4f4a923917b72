"""Orders become Workflows, each once, and each end is told once, while the cluster behind the platform fails.

The cluster is a real API server with its etcd and Argo's own controller; what stands between is a proxy of this test.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from tests.e2e.cluster_world import BATCH, ClusterWorld, cluster_world
from tests.servers.kube_lab import Lab
from tests.servers.kube_proxy import Spoil, spoil
from tests.support.size import size

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

MANY = 200


@pytest.fixture
def world(tmp_path: Path, kube_lab: Lab) -> Generator[ClusterWorld]:
    with cluster_world(tmp_path, kube_lab) as made:
        made.platform.start()
        yield made


def send_many(world: ClusterWorld, count: int, halfway: Callable[[], object]) -> None:
    """Send orders in batches; `halfway` through, when some are on the cluster and some are not, something happens."""
    for first in range(0, count, BATCH):
        world.send_until_taken(range(first, min(first + BATCH, count)))
        if first == count // 2 // BATCH * BATCH:
            world.platform.wait(lambda: world.created() >= count // 4, "a part of them is on the cluster")
            halfway()


def test_all_orders_are_run_once_while_the_api_server_is_killed_and_restarted(world: ClusterWorld) -> None:
    def restart() -> None:
        world.lab.kill_api()
        world.send_until_taken(range(MANY // 2, MANY // 2 + BATCH))
        world.lab.api.start()

    send_many(world, MANY, restart)
    world.await_settled(MANY)

    world.check_everything_once(MANY)
