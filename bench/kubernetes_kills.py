"""What `kill -9` in the middle of a burst costs: orders that were acknowledged and have no Workflow, or two.

    python -m bench.kubernetes_kills [--orders N] [--kills N] [--rounds N] [--peer-orders N] [--no-peer] [--json]

The process that creates Workflows is killed when a part of them is there, and started again at once: ours is all of the
platform, which is killed several times; Argo Events' is its sensor, once as it is by default and once with
`atLeastOnce: true`. Every order was acknowledged before the first kill, and at each kill some had no Workflow yet.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import cluster
from bench.load import Load, post
from bench.report import Row, finish
from bench.world import kill
from pipelines.kubernetes.submission import path_to
from tests.servers.kube_lab import Lab

LIMIT_S = 300.0
QUIET_S = 40.0
"""Longer than the 30 s after which Argo Events' bus gives an event again that was not acknowledged."""
PEERS_KILLS = 1
"""By default nothing comes of what it had taken, so there is no part to wait for before a second one."""


@dataclass(frozen=True, slots=True)
class Killed:
    """What came of a burst. `open`: orders that had no Workflow, at each kill."""

    came: cluster.Came
    open: list[int]


def measure(orders: int, kills: int, rounds: int, peers_orders: int) -> list[Row]:
    """The rows of this measurement. `peers_orders`: 0 leaves Argo Events out."""
    if wanted := cluster.missing():
        cluster.say(f"not measured: run {wanted}")
        return []
    with cluster.ground() as (made, kubeconfig):
        what = f"{kills} kills in a burst of {orders:,}, ours"
        rows = _rows(what, [_ours(made, kubeconfig, orders, kills) for _ in range(rounds)], goal=0.0)
        if peers_orders and cluster.has_argo_events():
            for name, more in (("default", {}), ("atLeastOnce", {"atLeastOnce": True})):
                found = [_theirs(made, kubeconfig, peers_orders, **more) for _ in range(rounds)]
                rows += _rows(f"{PEERS_KILLS} kill in a burst of {peers_orders:,}, Argo Events, {name}", found)
    return rows


def _rows(what: str, found: list[Killed], goal: float | None = None) -> list[Row]:
    figures = {
        "lost": sum(one.came.lost for one in found),
        "doubled": sum(one.came.doubled for one in found),
    }
    rows = [Row(f"{what}: {name}", figure, "", None, "", goal, at_least=False) for name, figure in figures.items()]
    return [*rows, Row(f"{what}: fewest open at a kill", min(count for one in found for count in one.open), "")]


def _ours(made: Lab, kubeconfig: Path, orders: int, kills: int) -> Killed:
    with tempfile.TemporaryDirectory(prefix="retrain-bench-kill-") as folder:
        before = _numbers(made, cluster.OURS)
        sent: list[int] = []
        left: list[int] = []
        for part in _parts(orders, kills):
            with cluster.ours(kubeconfig, Path(folder)) as ours:
                sent = sent or post(Load(ours.port, cluster.ENDPOINT, orders)).sent
                _await_part(made, cluster.OURS, len(before) + part)
                kill(ours.world.pid)
                left.append(_open(made, cluster.OURS, len(before) + orders))
        with cluster.ours(kubeconfig, Path(folder)):
            return Killed(_came(made, cluster.OURS, sent, before), left)


def _theirs(made: Lab, kubeconfig: Path, orders: int, **more: object) -> Killed:
    with (
        tempfile.TemporaryDirectory(prefix="retrain-bench-peer-") as folder,
        cluster.theirs(made, Path(folder) / "data", **more) as peer,
        cluster.watched(kubeconfig, cluster.PEER) as watching,
    ):
        cluster.warm_up(peer.source.port, watching)
        before = _numbers(made, cluster.PEER)
        sent = post(Load(peer.source.port, cluster.ENDPOINT, orders)).sent
        left: list[int] = []
        for part in _parts(orders, PEERS_KILLS):
            _await_part(made, cluster.PEER, len(before) + part)
            peer.sensor.kill()
            left.append(_open(made, cluster.PEER, len(before) + orders))
            peer.sensor.start()
        return Killed(_came(made, cluster.PEER, sent, before), left)


def _parts(orders: int, kills: int) -> list[int]:
    """How many Workflows there are to be at each kill: early enough that some are still to come."""
    return [max(1, orders * number // (3 * kills)) for number in range(1, kills + 1)]


def _open(made: Lab, namespace: str, all_of_them: int) -> int:
    """How many orders have no Workflow.

    Raises:
        RuntimeError: none, so the kill came when all was done, and says nothing.
    """
    left = all_of_them - _count(made, namespace)
    if left <= 0:
        raise RuntimeError("killed when every order had its Workflow: it takes more orders")
    return left


def _numbers(made: Lab, namespace: str) -> list[tuple[int, int]]:
    """The order's number of each Workflow that there is."""
    found = made.workflows(namespace)
    return [(int(one["spec"]["arguments"]["parameters"][0]["value"]), 0) for one in found]


def _count(made: Lab, namespace: str) -> int:
    """How many Workflows there are, by a request that lists one of them."""
    body = made.api.ask("GET", f"{path_to(namespace)}?limit=1")
    return len(body["items"]) + int(body["metadata"].get("remainingItemCount") or 0)


def _await_part(made: Lab, namespace: str, count: int) -> None:
    _wait(lambda: _count(made, namespace) >= count, f"{count} Workflows")


def _came(made: Lab, namespace: str, sent: list[int], before: list[tuple[int, int]]) -> cluster.Came:
    """What there is when all is there, or nothing more has come for a while."""
    known, since = len(before), time.monotonic()

    def over() -> bool:
        nonlocal known, since
        if (now := _count(made, namespace)) != known:
            known, since = now, time.monotonic()
        return time.monotonic() - since > QUIET_S

    _wait(over, "the last Workflow")
    found = _numbers(made, namespace)
    for one in before:
        found.remove(one)
    return cluster.came(sent, found)


def _wait(met: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not met():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {LIMIT_S:.0f} s")
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peer-orders", type=int, default=200, help="of Argo Events, which creates five a second")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    peers = 0 if chosen.no_peer else chosen.peer_orders
    finish("kubernetes_kills", measure(chosen.orders, chosen.kills, chosen.rounds, peers))


if __name__ == "__main__":
    sys.exit(main())
