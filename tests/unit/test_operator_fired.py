"""Sensors' firings, followed in the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from retrain.app.operator.fired import MANY, Fired
from retrain.store import firings, open_store
from retrain.store.firings import FiringRow

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def row(number: int, created: datetime = NOON, sensor: str = "train") -> FiringRow:
    return FiringRow(f"f-{number:05}", sensor, "say", "", (), {}, created)


async def test_a_burst_of_one_moment_is_followed_to_its_end_and_what_comes_after_it(tmp_path: Path) -> None:
    """More firings than one page holds, all of the same time."""
    async with open_store(tmp_path / "store.db") as store:
        fired = Fired(store, NOON)
        await store.write(lambda c: firings.add(c, [row(number) for number in range(2 * MANY + 7)]))
        for _ in range(5):
            await fired.look(["train"])
        assert fired.last["train"].id == f"f-{2 * MANY + 6:05}"

        later = row(99_999, NOON + timedelta(seconds=1), sensor="other")
        await store.write(lambda c: firings.add(c, [later]))
        await fired.look(["train", "other"])
        assert fired.last["other"].id == later.id
