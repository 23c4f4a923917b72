"""A firing whose cluster is away, busy or full waits, and loses none of its attempts by that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from retrain.kube import Busy, Denied, QuotaExceeded, Unreachable
from retrain.store.firings import FiringState
from triggers.port import Firing
from triggers.verdicts import failed

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FIRING = Firing("f-1", "s", "t", "", {"kind": "argoWorkflow", "retryStrategy": {"steps": 1}}, attempts=0)


@pytest.mark.parametrize(
    ("error", "soonest_s"),
    [(Unreachable("away"), 3), (Busy("429"), 2), (Busy("429", 9.0), 9), (QuotaExceeded("full"), 30)],
)
def test_it_waits_and_uses_up_no_attempt(error: Exception, soonest_s: float) -> None:
    at_once = failed(FIRING, 1, error, NOW, lambda: 0.0)
    late = failed(FIRING, 1, error, NOW, lambda: 1.0)

    assert (at_once.settled.state, at_once.settled.attempts) == (FiringState.PENDING, 0)
    assert at_once.settled.next_attempt == NOW + timedelta(seconds=soonest_s)
    assert late.settled.next_attempt == NOW + timedelta(seconds=2 * soonest_s)
    assert at_once.settled.error == str(error)
    assert at_once.letter is None


def test_what_the_cluster_denies_is_a_dead_letter_at_once() -> None:
    verdict = failed(FIRING, 1, Denied("403", "create", "workflows"), NOW)

    assert verdict.settled.state == FiringState.DEAD
    assert verdict.letter is not None
