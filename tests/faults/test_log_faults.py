"""From logs to the bus nothing is lost or doubled, whatever the network and the platform do meanwhile."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Blow

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.mark.parametrize("kind", ["jetstream", "kafka"])
async def test_every_record_is_one_event_through_a_bad_network_and_kills(blow: Blow, kind: str) -> None:
    found = await blow(kind)
    assert (found.lost, found.doubled) == (0, 0), found
