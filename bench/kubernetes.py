"""How fast an event becomes a Workflow on a cluster: beside a bare request, and beside Argo Events' own sensor.

    python -m bench.kubernetes [--rounds N] [--paced N] [--burst N] [--no-peer] [--json]

A real API server with its etcd, the real `retrain up`, and Argo Events' event source, sensor and bus, all with the same
webhook and the same Workflow, one after the other on the same two cores. A latency runs from the sending of an order
to the moment a watch of another process hears of its Workflow; a bare create is measured in the same way.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import cluster
from bench.report import Row, finish, percentile
from bench.world import cpu_s, family, memory_mb
from tests.servers.kube_lab import Lab

PACE = 20.0
"""Orders a second: far below what any of them can."""
LIMIT_S = 300.0
WITHIN_MS = 15.0
BURST_S = 30.0
PEERS_PACE = 4.0
"""Argo Events creates five objects a second (its client's default limit); faster orders would queue."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one of them took: orders at a pace and in a burst; RSS in MB before and after."""

    paced: list[cluster.Came]
    burst: cluster.Came
    before_mb: float = 0.0
    after_mb: float = 0.0
    cpu_s: float = 0.0
    """Seconds of processor for the burst, of all its processes."""

    def best(self, share: float) -> tuple[float, float]:
        """The best round's percentile, and the median of the rounds'."""
        figures = sorted(percentile(one.waits, share) for one in self.paced)
        return figures[0], figures[len(figures) // 2]


def measure(rounds: int, paced: int, burst: int, *, peer: bool) -> list[Row]:
    """The rows of this measurement."""
    if wanted := cluster.missing():
        cluster.say(f"not measured: run {wanted}")
        return []
    with cluster.ground() as (made, kubeconfig):
        bare = _bare(kubeconfig, rounds, paced, burst)
        ours = _ours(kubeconfig, rounds, paced, burst)
        theirs = _theirs(made, kubeconfig, rounds, paced, burst) if peer and cluster.has_argo_events() else None
    return _rows(bare, ours, theirs, burst)


def _bare(kubeconfig: Path, rounds: int, paced: int, burst: int) -> Taken:
    with cluster.watched(kubeconfig, cluster.BARE) as watching:
        cluster.create_bare(kubeconfig, watching, 20, PACE, LIMIT_S)
        taken = [cluster.create_bare(kubeconfig, watching, paced, PACE, LIMIT_S) for _ in range(rounds)]
        return Taken(taken, cluster.create_bare(kubeconfig, watching, burst, 0, LIMIT_S))


def _ours(kubeconfig: Path, rounds: int, paced: int, burst: int) -> Taken:
    with (
        tempfile.TemporaryDirectory(prefix="retrain-bench-ours-") as folder,
        cluster.ours(kubeconfig, Path(folder)) as made,
        cluster.watched(kubeconfig, cluster.OURS) as watching,
    ):
        cluster.warm_up(made.port, watching)
        taken = [cluster.send(made.port, watching, paced, PACE, LIMIT_S) for _ in range(rounds)]
        before, used = memory_mb(made.world.pid), _cpu(made.world.pid)
        came = cluster.send(made.port, watching, burst, 0, LIMIT_S)
        return Taken(taken, came, before, memory_mb(made.world.pid), _cpu(made.world.pid) - used)


def _theirs(made: Lab, kubeconfig: Path, rounds: int, paced: int, burst: int) -> Taken:
    with (
        tempfile.TemporaryDirectory(prefix="retrain-bench-peer-") as folder,
        cluster.theirs(made, Path(folder) / "data") as peer,
        cluster.watched(kubeconfig, cluster.PEER) as watching,
    ):
        cluster.warm_up(peer.source.port, watching)
        taken = [cluster.send(peer.source.port, watching, paced, PEERS_PACE, LIMIT_S) for _ in range(rounds)]
        pids = (peer.source.pid, peer.sensor.pid, peer.bus.pid)
        before, used = _memory(*pids[:2]), _cpu(*pids)
        came = cluster.send(peer.source.port, watching, burst, 0, LIMIT_S)
        return Taken(taken, came, before, _memory(*pids[:2]), _cpu(*pids) - used)


def _memory(*pids: int) -> float:
    return sum(memory_mb(one) for pid in pids for one in family(pid))


def _cpu(*pids: int) -> float:
    return sum(cpu_s(one) for pid in pids for one in family(pid))


def _rows(bare: Taken, ours: Taken, theirs: Taken | None, burst: int) -> list[Row]:
    rows: list[Row] = []
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        floor, _ = bare.best(share)
        best, median = ours.best(share)
        goal = floor + WITHIN_MS if share == 0.5 else None
        what = f"event sent -> Workflow created, {name}, {PACE:.0f}/s"
        rows.append(Row(what, best, "ms", floor, "bare create", goal, False, median))
        if theirs is not None:
            peer, _ = theirs.best(share)
            rows.append(Row(f"the same beside Argo Events at {PEERS_PACE:.0f}/s", best, "ms", peer, "Argo Events"))
    what = f"burst of {burst:,}: first sent -> last created"
    rows.append(Row(what, ours.burst.seconds, "s", bare.burst.seconds, "bare, 32 at once", BURST_S, at_least=False))
    if theirs is not None:
        rows.append(Row("the same beside Argo Events", ours.burst.seconds, "s", theirs.burst.seconds, "Argo Events"))
    peers = None if theirs is None else 1e3 * theirs.cpu_s / burst
    rows.append(Row("processor for each order of it", 1e3 * ours.cpu_s / burst, "ms", peers, "Argo Events"))
    grown = ours.after_mb - ours.before_mb
    peers = None if theirs is None else theirs.after_mb - theirs.before_mb
    rows.append(Row("the burst's growth of memory (RSS)", grown, "MB", peers, "Argo Events", 40, at_least=False))
    peers = None if theirs is None else theirs.after_mb
    rows.append(Row("memory after it (RSS)", ours.after_mb, "MB", peers, "its 2 services"))
    return [*rows, *_counts(ours, theirs)]


def _counts(ours: Taken, theirs: Taken | None) -> list[Row]:
    def count(taken: Taken, of: Sequence[str]) -> float:
        return float(sum(getattr(one, name) for one in (*taken.paced, taken.burst) for name in of))

    peers = None if theirs is None else count(theirs, ("lost", "doubled"))
    both = count(ours, ("lost", "doubled"))
    return [Row("orders lost or doubled in all this", both, "", peers, "Argo Events", 0, at_least=False)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--paced", type=int, default=100)
    parser.add_argument("--burst", type=int, default=1000)
    parser.add_argument("--no-peer", action="store_true", help="leave Argo Events out, whose burst takes 200 s")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    finish("kubernetes", measure(chosen.rounds, chosen.paced, chosen.burst, peer=not chosen.no_peer))


if __name__ == "__main__":
    sys.exit(main())
