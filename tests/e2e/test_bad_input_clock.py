"""A clock that jumps: leases run out early or late, but nobody's work is done twice, and none is lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from retrain.clock import FakeClock
from retrain.store import firings, open_store
from retrain.store.firings import FiringRow, FiringState, Settled

pytestmark = pytest.mark.integration

LEASE = timedelta(seconds=30)


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=-1)], ids=["ahead", "back"])
async def test_a_firing_has_one_outcome_however_the_clock_jumps(tmp_path: Path, jump: timedelta) -> None:
    clock = FakeClock()
    row = FiringRow("f-1", "s", "t", "", ("e",), {"kind": "log"}, clock.now())
    async with open_store(tmp_path / "store.db") as store:
        await store.write(lambda c: firings.add(c, [row]))
        (first,) = await store.write(lambda c: firings.claim(c, "first", clock.now(), clock.now() + LEASE))
        clock.time += jump

        taken = await store.write(lambda c: firings.claim(c, "second", clock.now(), clock.now() + LEASE))

        # Ahead: the lease has run out for all to see. Back: it holds longer, until its owner's end gives it free.
        assert [one.id for one in taken] == ([first.id] if jump > timedelta(0) else [])
        owner, other = ("second", "first") if taken else ("first", "second")
        await store.write(lambda c: firings.settle(c, other, [Settled("f-1", FiringState.DONE, 9, result="wrong")]))
        found = await store.read(lambda c: firings.get(c, "f-1"))
        assert found is not None
        assert found.state == FiringState.RUNNING, "who does not hold it settles nothing"
        await store.write(lambda c: firings.release(c, owner))
        again = await store.write(
            lambda c: firings.claim(c, "third", max(clock.now(), row.created), clock.now() + LEASE)
        )
        assert [one.id for one in again] == ["f-1"], "it is not lost"
