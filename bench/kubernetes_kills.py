"""What a `kill -9` in the middle of a burst costs: orders that were acknowledged and have no Workflow, or two.

    python -m bench.kubernetes_kills [--orders N] [--rounds N] [--no-peer] [--json]

The process that creates Workflows is killed when a part of them is there, and started again at once: ours is all of the
platform, Argo Events' is its sensor, once as it is by default and once with `atLeastOnce: true`. Every order was
acknowledged before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import cluster
from bench.load import Load, post
from bench.report import Row, finish
from bench.world import kill
from tests.servers.kube_lab import Lab

PART = 0.2
"""Of the orders have a Workflow when the process is killed."""
LIMIT_S = 300.0
QUIET_S = 40.0
"""Longer than the 30 s after which Argo Events' bus gives an event again that was not acknowledged."""


def measure(orders: int, rounds: int, *, peer: bool) -> list[Row]:
    """The rows of this measurement."""
    if wanted := cluster.missing():
        cluster.say(f"not measured: run {wanted}")
        return []
    rows: list[Row] = []
    with cluster.ground() as (made, kubeconfig):
        ours = [_ours(made, kubeconfig, orders) for _ in range(rounds)]
        rows += _row(f"killed in a burst of {orders}: ours", ours)
        if peer and cluster.has_argo_events():
            rows += _row("Argo Events, default", [_theirs(made, kubeconfig, orders) for _ in range(rounds)])
            careful = [_theirs(made, kubeconfig, orders, atLeastOnce=True) for _ in range(rounds)]
            rows += _row("Argo Events, atLeastOnce", careful)
    return rows


def _row(what: str, found: list[cluster.Came]) -> list[Row]:
    goal = 0.0 if what.endswith("ours") else None
    return [
        Row(f"{what}: lost", sum(one.lost for one in found), "", None, "", goal, at_least=False),
        Row(f"{what}: doubled", sum(one.doubled for one in found), "", None, "", goal, at_least=False),
    ]


def _ours(made: Lab, kubeconfig: Path, orders: int) -> cluster.Came:
    with tempfile.TemporaryDirectory(prefix="retrain-bench-kill-") as folder:
        before = _numbers(made, cluster.OURS)
        with cluster.ours(kubeconfig, Path(folder)) as ours:
            sent = post(Load(ours.port, cluster.ENDPOINT, orders)).sent
            _part_is_there(made, cluster.OURS, len(before) + int(PART * orders))
            kill(ours.world.pid)
        with cluster.ours(kubeconfig, Path(folder)):
            return _came(made, cluster.OURS, sent, before)


def _theirs(made: Lab, kubeconfig: Path, orders: int, **more: object) -> cluster.Came:
    with (
        tempfile.TemporaryDirectory(prefix="retrain-bench-peer-") as folder,
        cluster.theirs(made, Path(folder) / "data", **more) as peer,
        cluster.watched(kubeconfig, cluster.PEER) as watching,
    ):
        cluster.warm_up(peer.source.port, watching)
        before = _numbers(made, cluster.PEER)
        sent = post(Load(peer.source.port, cluster.ENDPOINT, orders)).sent
        _part_is_there(made, cluster.PEER, len(before) + int(PART * orders))
        peer.sensor.kill()
        peer.sensor.start()
        return _came(made, cluster.PEER, sent, before)


def _numbers(made: Lab, namespace: str) -> list[tuple[int, int]]:
    """The order's number of each Workflow that there is."""
    found = made.workflows(namespace)
    return [(int(one["spec"]["arguments"]["parameters"][0]["value"]), 0) for one in found]


def _part_is_there(made: Lab, namespace: str, count: int) -> None:
    _wait(lambda: len(_numbers(made, namespace)) >= count, f"{count} Workflows")


def _came(made: Lab, namespace: str, sent: list[int], before: list[tuple[int, int]]) -> cluster.Came:
    """What there is when all is there, or nothing more has come for a while."""
    known, since = len(before), time.monotonic()

    def over() -> bool:
        nonlocal known, since
        if (now := len(_numbers(made, namespace))) != known:
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
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    finish("kubernetes_kills", measure(chosen.orders, chosen.rounds, peer=not chosen.no_peer))


if __name__ == "__main__":
    sys.exit(main())
