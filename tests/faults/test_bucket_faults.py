"""From buckets to the bus nothing is lost or doubled, whatever the network and the platform do meanwhile."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Blow

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


async def test_every_object_is_one_event_through_a_bad_network_and_kills(blow: Blow) -> None:
    found = await blow("minio")
    assert (found.lost, found.doubled) == (0, 0), found
